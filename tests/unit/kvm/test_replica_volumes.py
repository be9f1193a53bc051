"""What the daemon has to know of the files of a replica before anybody uses them."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner_plugins._libvirt import storage  # noqa: E402
from provisioner_plugins._libvirt.connection import Connection  # noqa: E402
from provisioner_plugins._libvirt.storage import Volumes  # noqa: E402
from provisioner_plugins.kvm.replication.shell import Shell  # noqa: E402
from provisioner_plugins.kvm.replication.store import Store  # noqa: E402

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


class Mounted:
    """A pool on a file system of another host."""

    def __init__(self, *, active: bool) -> None:
        self.active = active

    def listAllStoragePools(self, _flags: int) -> list["Mounted"]:  # noqa: N802 - libvirt's
        return [self]

    def storagePoolLookupByName(self, _name: str) -> "Mounted":  # noqa: N802 - libvirt's
        return self

    def XMLDesc(self, _flags: int) -> str:  # noqa: N802 - libvirt's
        return "<pool type='netfs'><name>far</name><target><path>/srv</path></target></pool>"

    def name(self) -> str:
        return "far"

    def isActive(self) -> bool:  # noqa: N802 - libvirt's
        return self.active


def folder(pool: Mounted) -> str:
    def ask(_what: str, function: Any) -> Any:
        return function(pool)

    connection: Any = SimpleNamespace(read=ask, find=ask)
    return Store(cast("Connection", connection), Shell("lab")).folder("far")


def test_the_folder_of_a_file_system_that_is_not_mounted_is_not_written_to() -> None:
    assert "/srv" == folder(Mounted(active=True))
    with pytest.raises(Terminal) as refused:
        folder(Mounted(active=False))
    assert "PRV5120" == refused.value.diagnostic.code
