"""Replication is killed wherever it may be, and repeated."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")
replicationkilled = pytest.importorskip("tests.live.replicationkilled")

from provisioner.providers.capabilities import Way  # noqa: E402
from tests.live.replicationservers import servers  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> Iterator[Any]:
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.start(boot_image)
    yield bench
    bench.discard()
    bench.close()


# Calls in between are for the long run: a process takes a second to begin.
STEPS = [3, pytest.param(1, marks=pytest.mark.slow)]


@pytest.mark.parametrize("step", STEPS)
def test_incremental(sites: Any, tmp_path: Path, step: int) -> None:
    replica, uris = sites.replica(keep=1), sites.uris
    sites.synchronise(replica)
    newest = sites.points(replica)[-1]
    for call in count(2, step):
        written = sites.written()
        ended = replicationkilled.run_killed(tmp_path, replica, uris, call)
        # What was whole stays, whatever happens.
        points = sites.points(replica)
        assert points
        assert newest <= points[-1]
        if points[-1] > newest:
            newest = points[-1]
            assert written <= counter(sites.stage(replica))
            sites.unstage(replica)
        if ended:
            break
    assert call > 10, "it was killed on all of the way"
    assert 2 == len(sites.files())
    assert 1 == len(sites.near.domain().listAllCheckpoints(0))
    assert [] == servers(sites.far.pool_folder())
    assert [] == sites.scratch_files()


@pytest.mark.parametrize("step", STEPS)
def test_continuous(sites: Any, tmp_path: Path, step: int) -> None:
    replica, uris = sites.replica(Way.CONTINUOUS), sites.uris
    for call in count(2, step):
        if replicationkilled.run_killed(tmp_path, replica, uris, call):
            break
    assert call > 8, "it was killed on all of the way"
    assert sites.state(replica).in_step
    assert 2 == len(sites.files())
    assert 1 == len(servers(sites.far.pool_folder()))


@pytest.mark.parametrize("step", STEPS)
def test_promotion(sites: Any, tmp_path: Path, step: int) -> None:
    replica, uris = sites.replica(keep=3), sites.uris
    for _ in range(3):
        sites.near.count()
        sites.synchronise(replica)
    expected = sites.count_at(replica)
    for call in count(2, step):
        if replicationkilled.run_killed(tmp_path, replica, uris, call, "promote"):
            break
    assert call > 5, "it was killed on all of the way"
    assert expected == counter(sites.promote(replica))
    assert [] == sites.files()
