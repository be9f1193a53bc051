"""Machines are replicated from one KVM host to another write by write: two daemons, guests that
count.
"""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner.providers.capabilities import ReplicaState, Way  # noqa: E402
from provisioner_plugins.kvm.replication import mirror  # noqa: E402
from provisioner_plugins.kvm.replication.qmp import Qmp, QmpError  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC = replicationbench.SPEC


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> Iterator[Any]:
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.start(boot_image)
    yield bench
    bench.discard()
    bench.close()


class Stopped(SystemClock):
    """A clock that a test turns."""

    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


def first_count(sites: Any) -> int:
    """The first that the guest says at the far site."""
    sites.far.apply(VM, "web", SPEC)
    return int(sites.far.wait_for(r"LAB-SEQ ([0-9a-f]{8})")[1], 16)


def test_when_the_source_dies_the_guest_goes_on_where_it_was(sites: Any) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    point = sites.synchronise(replica)
    assert point.taken is None
    state = sites.state(replica)
    assert ReplicaState((point,), in_step=True, moved=state.moved) == state
    assert state.moved > 0
    with sites.near.uninterrupted():
        assert point == sites.synchronise(replica), "it is in step already"
    os.kill(sites.daemons[0].guests()["web"], signal.SIGKILL)
    seen = int(sites.near.said().rpartition("LAB-SEQ ")[2][:8], 16)
    sites.near.until_stopped()
    assert not sites.state(replica).in_step
    sites.far.session.suspend(replica, None, sites.far.deadline())
    path = sites.promote(replica)
    assert sites.written() == counter(path)
    # What it said may not have been on its disk yet.
    assert seen <= first_count(sites) <= seen + 2


def test_it_is_not_promoted_while_the_source_writes(sites: Any) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    with pytest.raises(Terminal, match="still writes"):
        sites.promote(replica)
    with sites.near.uninterrupted():
        sites.far.session.suspend(replica, sites.near.session, sites.far.deadline())
    state = sites.state(replica)
    assert (1, False) == (len(state.points), state.in_step)
    at_suspension = counter(sites.promote(replica))
    assert at_suspension <= sites.written() <= at_suspension + 3


def test_without_the_source_the_receiver_ends_it(sites: Any) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    with sites.near.uninterrupted():
        sites.far.session.suspend(replica, None, sites.far.deadline())
        sites.near.count()
    assert not sites.state(replica).in_step
    # It gets in step again, with another copy.
    point = sites.synchronise(replica)
    assert [point.id] == sites.points(replica)
    assert sites.state(replica).in_step
    assert ["00000002.qcow2", "json"] == sites.files()


def test_a_copy_that_takes_longer_than_a_call_goes_on(
    sites: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica, clock = sites.replica(Way.CONTINUOUS), Stopped()

    def until_the_time_is_up(*_: object) -> bool:
        clock.seconds = 100
        return False

    with monkeypatch.context() as patched:
        patched.setattr(mirror, "_is_ready", until_the_time_is_up)
        with pytest.raises(Retryable) as refused:
            sites.far.session.synchronise(replica, sites.near.session, Deadline(60, clock))
    assert "PRV5372" == refused.value.diagnostic.code
    assert ((), False) == (sites.state(replica).points, sites.state(replica).in_step)
    assert "not whole" in sites.state(replica).problem
    files = sites.files()
    point = sites.synchronise(replica)
    assert (files, (point,)) == (sites.files(), sites.state(replica).points)
    assert sites.state(replica).in_step


def test_a_drill_goes_on_while_every_write_arrives(sites: Any) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    path = sites.stage(replica)
    at_drill = counter(path)
    sites.record_far("Disk", "root", sites.disk, sites.staged)
    with sites.near.uninterrupted():
        assert at_drill + 1 <= first_count(sites) <= at_drill + 2
    assert sites.state(replica).in_step
    assert path == sites.stage(replica)
    sites.far.delete(VM, "web")
    sites.unstage(replica)
    sites.near.count()
    # Once more, over what arrived since.
    assert counter(sites.stage(replica)) > at_drill
    sites.unstage(replica)
    os.kill(sites.daemons[0].guests()["web"], signal.SIGKILL)
    sites.near.until_stopped()
    sites.far.session.suspend(replica, None, sites.far.deadline())
    assert ["00000001.qcow2", "json"] == sites.files()
    assert sites.written() == counter(sites.promote(replica))


def test_a_drill_that_was_interrupted_while_its_disks_were_made_is_completed(
    sites: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    call = Qmp.__call__

    def die_before_it_counts(qmp: Qmp, command: str, **arguments: Any) -> Any:
        if command == "transaction":
            raise QmpError("killed")
        return call(qmp, command, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Qmp, "__call__", die_before_it_counts)
        with pytest.raises(Retryable):
            sites.stage(replica)
    at_drill = counter(sites.stage(replica))
    sites.record_far("Disk", "root", sites.disk, sites.staged)
    assert at_drill + 1 <= first_count(sites) <= at_drill + 2
    assert sites.state(replica).in_step
    sites.far.delete(VM, "web")
    sites.unstage(replica)


def test_a_stopped_machine_is_brought_into_step_once(sites: Any) -> None:
    replica = sites.replica(Way.CONTINUOUS)
    sites.synchronise(replica)
    sites.near.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    point = sites.synchronise(replica)
    assert (point,) == sites.state(replica).points
    assert 0 == sites.state(replica).moved
    assert sites.written() == counter(sites.promote(replica))


def test_the_other_way_it_takes_the_place_of_the_old_disks(sites: Any) -> None:
    replica = sites.replica()
    sites.near.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    sites.synchronise(replica)
    sites.promote(replica)
    sites.far.apply(VM, "web", SPEC)
    back = sites.reversed(Way.CONTINUOUS, seeded=True)
    sites.near.session.synchronise(back, sites.far.session, sites.near.deadline())
    sites.far.count()
    sites.near.session.suspend(back, sites.far.session, sites.near.deadline())
    sites.near.session.promote(back, None, sites.near.deadline())
    assert sites.written() <= counter(sites.far_path()) <= sites.written() + 2


def test_a_source_in_another_network_is_seen_to_write(
    libvirt_system: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    """The kernel tells a process only the sockets of its own network namespace."""
    bench = replicationbench.TwoSites(libvirt_system, libvirt_session)
    bench.start(boot_image)
    replica = bench.replica(Way.CONTINUOUS)
    bench.synchronise(replica)
    assert bench.state(replica).in_step
    with pytest.raises(Terminal, match="still writes"):
        bench.promote(replica)
    bench.discard()
    bench.close()
