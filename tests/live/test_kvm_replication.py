"""Machines are replicated from one KVM host to another at intervals: two daemons, guests that
count.
"""

import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner.providers.capabilities import ReplicaState, Way  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

CLUSTER = 65536
VM = "VirtualMachine"
SPEC = replicationbench.SPEC


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> Iterator[Any]:
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.start(boot_image)
    yield bench
    bench.close()


def test_each_point_has_what_was_written_before_it_and_the_oldest_go(sites: Any) -> None:
    replica = sites.replica(keep=2)
    assert ReplicaState() == sites.state(replica)
    written, taken = [], []
    for _ in range(3):
        sites.near.count()
        written.append(sites.written())
        taken.append((sites.near.clock.now(), sites.synchronise(replica), sites.near.clock.now()))
    for before, point, after in taken:
        assert before <= point.taken <= after
    state = sites.state(replica)
    # Only what was written since the point before was transferred.
    assert CLUSTER == state.moved
    assert tuple(point for _, point, _ in taken[1:]) == state.points
    for before, point in zip(written[1:], state.points, strict=True):
        assert before <= sites.count_at(replica, point.id) <= before + 1
    assert ["00000001.qcow2", "00000003.qcow2", "json"] == sites.files()


def test_the_guest_goes_on_while_it_is_read(sites: Any) -> None:
    with sites.near.uninterrupted():
        sites.synchronise(sites.replica())
        sites.synchronise(sites.replica())
    # One checkpoint stays, with which the next point begins.
    assert 1 == len(sites.near.domain().listAllCheckpoints(0))


def test_a_stopped_machine_loses_nothing(sites: Any) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    sites.near.count()
    sites.near.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    point = sites.synchronise(replica)
    assert CLUSTER == sites.state(replica).moved
    assert point.quiesced
    sites.far.session.suspend(replica, sites.near.session, sites.far.deadline())
    assert sites.written() == counter(sites.promote(replica))


def test_after_a_crash_of_qemu_only_what_differs_is_transferred(sites: Any) -> None:
    replica = sites.replica()
    sites.synchronise(replica)
    os.kill(sites.daemons[0].guests()["web"], signal.SIGKILL)
    sites.near.until_stopped()
    # Its bitmap is damaged; that is known of the stopped machine and of the one started again.
    sites.synchronise(replica)
    assert sites.written() == sites.count_at(replica)
    sites.near.session.power(sites.near.machine(), "running", sites.near.deadline())
    sites.near.count()
    written = sites.written()
    sites.synchronise(replica)
    assert CLUSTER == sites.state(replica).moved
    assert written <= sites.count_at(replica) <= written + 1


def test_a_drill_writes_to_disks_of_its_own_while_points_are_taken(sites: Any) -> None:
    replica = sites.replica(keep=1)
    first = sites.synchronise(replica)
    at_first = sites.count_at(replica)
    path = sites.stage(replica)
    sites.record_far("Disk", "root", sites.disk, sites.staged)
    sites.far.apply(VM, "web", SPEC)
    sites.far.wait_for("LAB-SEQ")
    for _ in range(3):
        sites.near.count()
        last = sites.synchronise(replica)
    # The one that the drill stands on, and the newest.
    assert [first.id, last.id] == sites.points(replica)
    assert sites.state(replica).staged
    assert sites.far.count() > at_first
    assert path == sites.stage(replica)
    with pytest.raises(Terminal, match="drill"):
        sites.promote(replica)
    sites.far.delete(VM, "web")
    sites.unstage(replica)
    sites.unstage(replica)
    assert [last.id] == sites.points(replica)
    assert not sites.state(replica).staged
    assert sites.count_at(replica, last.id) > at_first
    assert 2 == len(sites.files())


def test_a_promoted_point_is_a_disk_like_any_other(sites: Any) -> None:
    replica = sites.replica(keep=3)
    sites.synchronise(replica)
    sites.near.count()
    middle = sites.synchronise(replica)
    sites.near.count()
    sites.synchronise(replica)
    count = sites.count_at(replica, middle.id)
    path = sites.promote(replica, middle.id)
    assert path == sites.promote(replica, middle.id), "it is repeated after a crash of the caller"
    assert count == counter(path)
    assert [] == sites.files()
    assert ReplicaState() == sites.state(replica)
    assert not sites.far.plan("Disk", "root", sites.disk).changes
    sites.far.apply(VM, "web", SPEC)
    # The first count is at most one beyond what was on the disk.
    assert count + 1 == int(sites.far.wait_for(r"LAB-SEQ ([0-9a-f]{8})")[1], 16)


def test_the_other_way_only_what_differs_is_transferred(sites: Any) -> None:
    replica = sites.replica()
    sites.near.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    sites.synchronise(replica)
    sites.promote(replica)
    sites.far.apply(VM, "web", SPEC)
    sites.far.count()
    back = sites.reversed(seeded=True)
    written = counter(sites.far_path())
    sites.near.session.synchronise(back, sites.far.session, sites.near.deadline())
    state = sites.near.session.replicas([back])[back.machine.address]
    assert CLUSTER == state.moved
    sites.far.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    sites.near.session.synchronise(back, sites.far.session, sites.near.deadline())
    outcome = sites.near.session.promote(back, None, sites.near.deadline())
    assert sites.near.machine().related[replicationbench.ROOT].external_id == (
        outcome[replicationbench.ROOT].external_id
    )
    assert written <= counter(sites.far_path()) == sites.written()


def test_nothing_is_left_of_a_replica_that_is_discarded(sites: Any) -> None:
    replica = sites.replica(keep=2)
    sites.synchronise(replica)
    sites.synchronise(replica)
    sites.far.session.discard(replica, sites.far.deadline())
    sites.far.session.discard(replica, sites.far.deadline())
    assert [] == sites.files()
    assert ReplicaState() == sites.state(replica)


def test_one_works_on_a_replica_at_a_time(sites: Any) -> None:
    replica = sites.replica()
    refused = []

    def again(*_: object) -> None:
        with pytest.raises(Retryable) as refusal:
            sites.synchronise(replica)
        refused.append(refusal.value.diagnostic.code)

    sites.far.session.connection.context = replace(
        sites.far.session.connection.context, progress=again
    )
    sites.synchronise(replica)
    assert {"PRV5358"} == set(refused)


def test_a_disk_that_is_there_is_not_replaced(sites: Any) -> None:
    sites.far.apply("Disk", "root", sites.disk)
    with pytest.raises(Terminal, match="at the receiving site already"):
        sites.synchronise(sites.replica())


def test_a_loss_is_at_most_what_was_written_since_the_last_point(sites: Any) -> None:
    replica = sites.replica()
    point = sites.synchronise(replica)
    os.kill(sites.daemons[0].guests()["web"], signal.SIGKILL)
    ended = datetime.now(point.taken.tzinfo)
    last = sites.written()
    count = counter(sites.promote(replica))
    # The guest counts once a second.
    assert last - count <= (ended - point.taken) / timedelta(seconds=1) + 1


def test_what_another_tool_replicates_is_as_old_as_its_file(sites: Any) -> None:
    replica = sites.replica(Way.EXTERNAL)
    assert () == sites.state(replica).points
    with pytest.raises(Terminal, match="no copy"):
        sites.synchronise(replica)
    # As an array would have it: the file is there, and the daemon does not know it yet.
    path = sites.far.pool_folder() / sites.far_volume()
    path.write_bytes(sites.near_path().read_bytes())
    os.utime(path, (1_700_000_000, 1_700_000_000))
    point = sites.synchronise(replica)
    assert datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC) == point.taken
    assert (point,) == sites.state(replica).points
    with pytest.raises(Terminal, match="stands still"):
        sites.stage(replica)
    assert path == sites.promote(replica)


def test_snapshots_are_gone_back_to_on_a_replicated_machine(sites: Any) -> None:
    """QEMU refuses that while a bitmap remembers what is written."""
    replica = sites.replica()
    sites.near.apply("Snapshot", "before", {"machine": "web"})
    sites.synchronise(replica)
    snapshot = sites.near.recorded[Address("Snapshot", "before")]
    sites.near.session.revert(snapshot, sites.near.deadline())
    sites.near.wait_for("LAB-SEQ")
    written = sites.written()
    sites.synchronise(replica)
    assert written <= sites.count_at(replica) <= written + 2
    # Of a stopped machine, the bitmaps are in its files.
    sites.near.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    sites.near.session.revert(snapshot, sites.near.deadline())
    sites.synchronise(replica)
    assert sites.written() == sites.count_at(replica)
