"""What the daemon has to know of the files of a replica before anybody uses them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Retryable  # noqa: E402
from provisioner_plugins._libvirt import storage  # noqa: E402
from provisioner_plugins._libvirt.connection import Connection  # noqa: E402
from provisioner_plugins._libvirt.storage import Volumes  # noqa: E402

CLOCK = SystemClock()


class Pool:
    """A pool in which the daemon makes volumes for so many looks."""

    def __init__(self, busy: int) -> None:
        self.busy = busy
        self.looks = 0

    def storagePoolLookupByName(self, _name: str) -> "Pool":  # noqa: N802 - libvirt's
        return self

    def refresh(self, _flags: int) -> None:
        if self.busy:
            self.busy -= 1
            problem = libvirt.libvirtError("refused")
            text = "internal error: pool 'images' has asynchronous jobs running."
            problem.err = (1, 0, text, 2, text, None, None, -1, -1)
            raise problem
        self.looks += 1


def volumes_of(pool: Pool) -> Volumes:
    connection: Any = SimpleNamespace(
        context=SimpleNamespace(clock=CLOCK), call=lambda _what, function: function(pool)
    )
    return Volumes(cast("Connection", connection))


def test_a_pool_in_which_a_volume_is_being_made_is_looked_at_afterwards() -> None:
    pool = Pool(busy=3)
    volumes_of(pool).look("images", Deadline.after(20, CLOCK))
    assert (0, 1) == (pool.busy, pool.looks)


def test_a_pool_that_stays_busy_is_not_called_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_SETTLE_SECONDS", 0.2)
    with pytest.raises(Retryable) as refused:
        volumes_of(Pool(busy=1000)).look("images", Deadline.after(20, CLOCK))
    assert "PRV5112" == refused.value.diagnostic.code
