"""A promotion that did not end, and a replica that was only begun: each leaves a way on, and one
back.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")
replicationkilled = pytest.importorskip("tests.live.replicationkilled")

from provisioner.core.address import Address  # noqa: E402
from provisioner.core.diagnostics import error  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner.providers.capabilities import Replica, Way  # noqa: E402
from provisioner_plugins.kvm.replication.mirror import Mirror  # noqa: E402
from provisioner_plugins.kvm.replication.points import Points  # noqa: E402
from provisioner_plugins.kvm.replication.store import Store  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

DATA = Address("Disk", "data")
RAW = {"pool": "images", "size": "4MiB", "format": "raw"}
SEED = "00000000"
MIDST = {Way.INCREMENTAL: (Points, "_fill"), Way.CONTINUOUS: (Mirror, "_in_step")}
"""Where a synchronisation has begun to write."""


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> Iterator[Any]:
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.near.boot_disk(boot_image)
    bench.near.apply("Disk", "data", RAW)
    disks = [{"disk": "root"}, {"disk": "data"}]
    bench.near.apply("VirtualMachine", "web", {**replicationbench.SPEC, "disks": disks})
    bench.near.wait_for("LAB-SEQ")
    yield bench
    bench.far.session.discard(both(bench), bench.far.deadline())
    bench.close()


def both(sites: Any, **more: Any) -> Replica:
    """The replica of a machine with two disks, of which one is raw."""
    plain: Replica = sites.replica(**more)
    data = sites.far.resource("Disk", "data", RAW)
    return replace(plain, disks={**plain.disks, DATA: data})


def promoted(sites: Any, replica: Replica, point: str | None = None) -> int:
    """How far the promoted machine had come."""
    made = sites.far.session.promote(replica, point, sites.far.deadline())
    assert {*replica.disks} == {*made}
    return counter(Path(made[replicationbench.ROOT].outputs["path"]))


def staged(sites: Any, replica: Replica) -> int:
    made = sites.far.session.stage(replica, None, sites.far.deadline())
    found = counter(Path(made[replicationbench.ROOT].outputs["path"]))
    sites.unstage(replica)
    return found


def breaks(monkeypatch: pytest.MonkeyPatch, where: Any, method: str, call: Any) -> None:
    """Have the host be lost in the middle of a call."""

    def lost(*_: Any) -> None:
        raise Retryable(error("PRV9999", "the host is gone"), 1.0)

    with monkeypatch.context() as patched:
        patched.setattr(where, method, lost)
        with pytest.raises(Retryable, match="the host is gone"):
            call()


@pytest.fixture
def half_done(sites: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[Replica, int]:
    """A replica of which the first disk has been promoted, and how far that had come."""
    replica = both(sites, keep=3)
    for _ in range(2):
        sites.near.count()
        sites.synchronise(replica)
    reached = staged(sites, replica)
    breaks(monkeypatch, Store, "copy", lambda: promoted(sites, replica))
    return replica, reached


def test_a_promotion_that_broke_off_is_gone_on_with_by_a_later_recovery(
    sites: Any, half_done: tuple[Replica, int]
) -> None:
    replica, reached = half_done
    state = sites.state(replica)
    assert ["00000002"] == [point.id for point in state.points]
    assert "did not end" in state.problem
    for _ in range(2):
        sites.far.session.suspend(replica, None, sites.far.deadline())
        sites.unstage(replica)
    assert reached == promoted(sites, replica, state.points[-1].id)
    assert [] == sites.files()


def test_what_a_promotion_left_behind_is_not_replicated_to_unasked(
    sites: Any, half_done: tuple[Replica, int]
) -> None:
    replica, _ = half_done
    before = sites.files()
    for call in (sites.synchronise, sites.stage, lambda it: sites.promote(it, "00000001")):
        with pytest.raises(Terminal) as refused:
            call(replica)
        found = refused.value.diagnostic
        assert "PRV5378" == found.code
        assert "'provisioner dr resume'" in found.hint
        assert "'provisioner dr reprotect'" in found.hint
    assert before == sites.files()


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_after_a_rollback_it_becomes_the_replica_again(
    sites: Any, half_done: tuple[Replica, int], way: Way
) -> None:
    _, reached = half_done
    sites.near.count()
    written = sites.written()
    replica = both(sites, way=way, seeded=True)
    sites.synchronise(replica)
    assert 1 == len(sites.points(replica))
    sites.far.session.suspend(replica, sites.near.session, sites.far.deadline())
    assert reached < written <= promoted(sites, replica)
    assert [] == sites.files()


@pytest.fixture
def former(sites: Any) -> tuple[int, Any]:
    """How far the machine had come that has its disks at the far site, and when."""
    sites.near.count()
    point = sites.synchronise(both(sites))
    reached = promoted(sites, both(sites))
    sites.near.count()
    return reached, point.taken


@pytest.mark.parametrize("way", MIDST)
@pytest.mark.parametrize("in_drill", [False, True])
def test_what_the_machine_ran_on_before_is_a_point_until_there_is_a_newer_one(
    sites: Any,
    former: tuple[int, Any],
    monkeypatch: pytest.MonkeyPatch,
    way: Way,
    in_drill: bool,
) -> None:
    replica, (reached, taken) = both(sites, way=way, seeded=True), former
    breaks(monkeypatch, *MIDST[way], lambda: sites.synchronise(replica))
    (point,) = sites.state(replica).points
    assert SEED == point.id
    assert 0 <= (taken - point.taken).total_seconds() < 1
    assert sites.state(replica).problem
    assert reached == staged(sites, replica)
    if in_drill:
        sites.far.session.stage(replica, None, sites.far.deadline())
    newer = sites.synchronise(both(sites, way=way)).id
    expected = [SEED, newer] if in_drill else [newer]
    assert expected == sites.points(replica)
    sites.unstage(replica)
    assert [newer] == sites.points(replica)
    sites.far.session.suspend(replica, sites.near.session, sites.far.deadline())
    assert reached < promoted(sites, replica)
    assert [] == sites.files()


@pytest.mark.parametrize("way", MIDST)
def test_the_machine_gets_its_disks_back_if_the_first_synchronisation_never_ends(
    sites: Any,
    former: tuple[int, Any],
    monkeypatch: pytest.MonkeyPatch,
    way: Way,
) -> None:
    replica = both(sites, way=way, seeded=True)
    breaks(monkeypatch, *MIDST[way], lambda: sites.synchronise(replica))
    sites.far.session.suspend(replica, None, sites.far.deadline())
    assert former[0] == promoted(sites, replica, SEED)
    assert [] == sites.files()


def test_a_disk_without_a_former_one_is_replicated_beside_those_that_have_one(sites: Any) -> None:
    root = sites.replica()
    sites.synchronise(root)
    sites.promote(root)
    sites.near.count()
    written = sites.written()
    replica = both(sites, seeded=True)
    assert [sites.synchronise(replica).id] == sites.points(replica)
    assert written <= promoted(sites, replica)
    assert [] == sites.files()


# Calls in between are for the long run: a process takes a second to begin.
@pytest.mark.parametrize("step", [3, pytest.param(1, marks=pytest.mark.slow)])
def test_wherever_it_was_killed_the_former_disks_are_there(
    sites: Any, former: tuple[int, Any], tmp_path: Path, step: int
) -> None:
    replica = both(sites, seeded=True)
    for call in count(4, step):
        if replicationkilled.run_killed(tmp_path, replica, sites.uris, call):
            break
        if [point.id for point in sites.state(replica).points] in ([], [SEED]):
            assert former[0] == promoted(sites, replica)
    assert call > 10, "it was killed on all of the way"
    assert former[0] < promoted(sites, replica)
    assert [] == sites.files()
