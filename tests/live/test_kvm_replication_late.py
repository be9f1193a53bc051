"""A replication is under way, and sleeps, when the machine is recovered; then it wakes up."""

import hashlib
import os
import signal
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")
replicationkilled = pytest.importorskip("tests.live.replicationkilled")

from provisioner.providers.api import Terminal  # noqa: E402
from provisioner.providers.capabilities import Way  # noqa: E402
from provisioner_plugins.kvm.replication import locks  # noqa: E402
from tests.live.replicationservers import servers  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

PUT_OUT = "PRV5386"
ALREADY_THERE = "PRV5368"
# Calls in between are for the long run.
STEPS = [5, pytest.param(1, marks=pytest.mark.slow)]


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon,
    libvirt_session: LibvirtDaemon,
    boot_image: BootImage,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Any]:
    monkeypatch.setattr(locks, "PATIENCE", 0.5)
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.start(boot_image)
    yield bench
    bench.discard()
    bench.close()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_it_writes_nothing_into_what_has_become_the_disk(
    sites: Any, tmp_path: Path, way: Way, step: int
) -> None:
    uris = sites.uris
    refused: list[str] = []
    for call in count(3, step):
        sites.synchronise(sites.replica())
        with replicationkilled.stopped(tmp_path, sites.replica(way), uris, call) as wake:
            # As a failover does. The source gives no answer then, so nothing ends at it.
            sites.far.session.suspend(sites.replica(), None, sites.far.deadline())
            promoted = sites.promote(sites.replica())
            before = digest(promoted)
            refused.append(wake())
        assert [] == sites.files()
        assert [] == servers(sites.far.pool_folder())
        assert before == digest(promoted)
        promoted.unlink()
        sites.far.refresh()
        if not refused[-1]:
            break
    assert len(refused) > 2, "it slept on all of the way"
    assert {PUT_OUT} == {*refused[:-1]}
    assert 1 >= len(sites.near.domain().listAllCheckpoints(0))
    assert [] == sites.scratch_files()


def test_what_begins_after_the_promotion_is_refused(sites: Any) -> None:
    sites.synchronise(sites.replica())
    os.kill(sites.daemons[0].guests()["web"], signal.SIGKILL)
    sites.near.until_stopped()
    promoted = sites.promote(sites.replica())
    before = digest(promoted)
    for way in (Way.INCREMENTAL, Way.CONTINUOUS):
        with pytest.raises(Terminal) as refused:
            sites.synchronise(sites.replica(way))
        assert ALREADY_THERE == refused.value.diagnostic.code
    assert ([], before) == (sites.files(), digest(promoted))
