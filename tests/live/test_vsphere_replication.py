"""What becomes of copies that an array or vSphere Replication has made: the capability Replication
of the vSphere providers. The test is the array.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Absent, InUse, Present, Resource, Retryable, Terminal
from provisioner.providers.capabilities import Replica, ReplicaState, Way
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import MIB, machine, resource, session, soon

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.storage.store import Store
from tests.conformance.provider.vmware_outside import connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-replication")]

POOL, ROOT, DATA = Address("StoragePool", "disks"), Address("Disk", "root"), Address("Disk", "data")
OLD, NEW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC)
ESX = Options(esx=True, machines=0, users=(("root", "lab-password"),))


class Place:
    """An endpoint with a datastore."""

    def __init__(self, stack: ExitStack, options: Options) -> None:
        self.vcsim: Vcsim = stack.enter_context(simulated(options))
        self.opened: Any = stack.enter_context(session(self.vcsim))
        with connected(self.vcsim) as there:
            store = there.every(vim.Datastore)[0]
            self.folder = Path(store.summary.url)
            self.moid = store._moId
        pool = resource("StoragePool", POOL.name, {"type": "dir"}, external_id=self.moid)
        self.pool = replace(pool, name="LocalDS_0")

    def disk(self, address: Address) -> Resource:
        spec = {"pool": POOL.name, "size": 4 * MIB}
        return resource("Disk", address.name, spec, related={POOL: self.pool})


class Sites:
    """A machine with two disks at ``near``, and the endpoint where copies of them are to arrive."""

    def __init__(self, near: Place, far: Place) -> None:
        self.near, self.far = near, far
        self.disks = {address: near.disk(address) for address in (ROOT, DATA)}
        for address, disk in self.disks.items():
            made = near.opened.create(disk, soon())
            self.disks[address] = replace(disk, external_id=made.external_id)
        spec = {"disks": {"root": {}, "data": {}}, "power": "stopped", "shutdownTimeout": 0}
        self.machine = replace(machine("web", **spec), related={POOL: near.pool, **self.disks})
        near.opened.create(self.machine, soon())

    @property
    def replica(self) -> Replica:
        there = {address: self.far.disk(address) for address in self.disks}
        return Replica(self.machine, there, Way.EXTERNAL)

    @property
    def state(self) -> ReplicaState:
        (state,) = self.far.opened.replicas([self.replica]).values()
        assert isinstance(state, ReplicaState)
        return state

    def copy(self, taken: datetime | None = None) -> None:
        """As an array does: with the times of the files, but for tests that need others."""
        there = self.far.folder / "provisioner"
        shutil.copytree(self.near.folder / "provisioner", there, dirs_exist_ok=True)
        for file in there.glob("*.vmdk"):
            touch(file, taken or modified(self.near.folder / "provisioner" / file.name))

    def file(self, address: Address) -> Path:
        """The descriptor of the copy of a disk."""
        external_id = self.disks[address].external_id
        assert external_id is not None
        return self.far.folder / external_id.partition("/")[2]

    def observed(self, address: Address) -> Present | Absent:
        disk = self.far.disk(address)
        found = self.far.opened.observe([disk])[address]
        assert isinstance(found, Present | Absent)
        return found

    def files(self) -> list[str]:
        """What lies on the receiving datastore."""
        found = self.far.folder.rglob("*.vmdk")
        return sorted(str(path.relative_to(self.far.folder)) for path in found)


def modified(file: Path) -> datetime:
    return datetime.fromtimestamp(file.stat().st_mtime, UTC)


def touch(file: Path, when: datetime) -> None:
    os.utime(file, (when.timestamp(), when.timestamp()))


@pytest.fixture(scope="module")
def near() -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, Options(machines=0))


@pytest.fixture(scope="module", params=[Options(machines=0), ESX], ids=["vcenter", "esxi"])
def far(request: pytest.FixtureRequest) -> Iterator[Place]:
    with ExitStack() as stack:
        yield Place(stack, request.param)


@pytest.fixture
def sites(near: Place, far: Place) -> Iterator[Sites]:
    made = Sites(near, far)
    yield made
    near.opened.delete(made.machine, soon())
    for place in (near, far):
        for folder in place.folder.iterdir():
            shutil.rmtree(folder)


def refusal(call: Any, *given: Any) -> str:
    with pytest.raises(Terminal) as caught:
        call(*given)
    return caught.value.diagnostic.code


def test_without_a_copy_of_each_disk_there_is_no_point(sites: Sites) -> None:
    assert ReplicaState() == sites.state
    sites.copy()
    sites.file(DATA).unlink()
    assert () == sites.state.points
    assert "PRV5348" == refusal(sites.far.opened.promote, sites.replica, None, soon())


def test_the_point_is_as_old_as_the_disk_that_was_written_to_least_recently(sites: Sites) -> None:
    sites.copy(OLD)
    for file in (sites.file(ROOT), sites.file(DATA)):
        touch(file.with_name(f"{file.stem}-flat.vmdk"), NEW)
    assert [NEW] == [point.taken for point in sites.state.points]
    touch(sites.file(ROOT).with_name(f"{sites.file(ROOT).stem}-flat.vmdk"), OLD)
    assert [OLD] == [point.taken for point in sites.state.points]


def test_a_datastore_that_was_mounted_anew_is_found_by_its_name(sites: Sites) -> None:
    sites.copy()
    before = sites.far.pool
    sites.far.pool = replace(before, external_id="datastore-4711")
    try:
        assert 1 == len(sites.state.points)
        sites.far.pool = replace(sites.far.pool, name="not mounted")
        assert "is not on the endpoint" in sites.state.problem
    finally:
        sites.far.pool = before


def test_a_machine_of_others_is_not_synchronised(sites: Sites) -> None:
    sites.copy()
    theirs = replace(sites.machine, stamp=Stamp("another stack", "VirtualMachine/web"))
    replica = replace(sites.replica, machine=theirs)
    near = sites.near.opened
    assert "PRV5319" == refusal(sites.far.opened.synchronise, replica, near, soon())


def test_a_machine_that_is_gone_is_not_synchronised(sites: Sites) -> None:
    sites.copy()
    sites.near.opened.delete(sites.machine, soon())
    near = sites.near.opened
    assert "PRV5315" == refusal(sites.far.opened.synchronise, sites.replica, near, soon())


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_other_ways_are_refused(sites: Sites, way: Way) -> None:
    replica = replace(sites.replica, way=way)
    opened = sites.far.opened
    assert str(way) in opened.replicas([replica])[sites.machine.address].problem
    assert "PRV5345" == refusal(opened.synchronise, replica, sites.near.opened, soon())
    assert "PRV5345" == refusal(opened.promote, replica, None, soon())
    assert "PRV5345" == refusal(opened.stage, replica, None, soon())


def test_a_machine_that_is_off_is_only_synchronised_with_all_that_it_wrote(sites: Sites) -> None:
    sites.copy(OLD)
    with pytest.raises(Retryable) as caught:
        sites.far.opened.synchronise(sites.replica, sites.near.opened, soon())
    assert "PRV5346" == caught.value.diagnostic.code
    sites.copy()
    point = sites.far.opened.synchronise(sites.replica, sites.near.opened, soon())
    assert point == sites.state.points[0]


def test_a_running_machine_is_as_old_as_its_copy(sites: Sites) -> None:
    sites.copy(OLD)
    sites.near.opened.power(sites.machine, "running", soon())
    point = sites.far.opened.synchronise(sites.replica, sites.near.opened, soon())
    assert OLD == point.taken


def test_one_vcenter_is_not_both_sites(sites: Sites) -> None:
    opened = sites.near.opened
    assert "PRV5345" == refusal(opened.synchronise, sites.replica, opened, soon())


def test_a_copy_with_snapshots_over_it_is_no_point(sites: Sites) -> None:
    sites.copy()
    layer = sites.file(ROOT).with_name(f"{sites.file(ROOT).stem}-000001.vmdk")
    layer.touch()
    assert (True, ()) == ("snapshots" in sites.state.problem, sites.state.points)
    assert "PRV5348" == refusal(sites.far.opened.promote, sites.replica, None, soon())


def test_copies_that_lie_where_disks_do_are_used_in_place(sites: Sites) -> None:
    sites.copy()
    before = sites.files()
    for _ in range(2):
        made = sites.far.opened.promote(sites.replica, "external", soon())
        for address, outcome in made.items():
            found = sites.observed(address)
            assert isinstance(found, Present)
            assert outcome.external_id == found.external_id
    assert before == sites.files()


def test_the_copy_of_an_adopted_disk_becomes_a_disk(sites: Sites) -> None:
    sites.copy()
    copied = sites.file(ROOT)
    folder = sites.far.folder / "web"
    folder.mkdir()
    for file in copied.parent.glob("root.*"):
        file.rename(folder / file.name.replace(copied.stem, "web"))
    there = f"{sites.near.moid}/web/web.vmdk"
    sites.disks[ROOT] = replace(sites.disks[ROOT], external_id=there)
    sites.machine = replace(sites.machine, related={**sites.machine.related, **sites.disks})
    assert isinstance(sites.observed(ROOT), Absent)
    made = sites.far.opened.promote(sites.replica, None, soon())
    found = sites.observed(ROOT)
    assert isinstance(found, Present)
    assert made[ROOT].external_id == found.external_id
    assert not (folder / "web.vmdk").exists()
    assert made == sites.far.opened.promote(sites.replica, None, soon())
    shutil.copytree(copied.parent, folder, dirs_exist_ok=True)
    for file in folder.glob("root.*"):
        file.rename(folder / file.name.replace(copied.stem, "web"))
    assert "PRV5349" == refusal(sites.far.opened.promote, sites.replica, None, soon())


def test_a_machine_that_was_there_gets_the_disks_of_now(sites: Sites) -> None:
    place = sites.near
    other = place.opened.create(place.disk(Address("Disk", "other")), soon())
    moved = replace(sites.disks[ROOT], external_id=other.external_id)
    now = replace(sites.machine, related={**sites.machine.related, ROOT: moved})
    place.opened.create(now, soon())
    found = place.opened.observe([now])[now.address]
    assert isinstance(found, Present)
    assert {"root", "data"} == found.spec["disks"].keys()


def test_another_point_is_refused(sites: Sites) -> None:
    sites.copy()
    for call in (sites.far.opened.promote, sites.far.opened.stage):
        assert "PRV5348" == refusal(call, sites.replica, "00000007", soon())


def test_a_drill_leaves_the_copies_as_they_are(sites: Sites) -> None:
    sites.copy()
    before = sites.files()
    made = sites.far.opened.stage(sites.replica, None, soon())
    assert made == sites.far.opened.stage(sites.replica, None, soon())
    assert sites.state.staged
    assert {*before} < {*sites.files()}
    for _ in range(2):
        sites.far.opened.unstage(sites.replica, soon())
    assert (before, False) == (sites.files(), sites.state.staged)
    assert ["provisioner"] == [path.name for path in sites.far.folder.iterdir()]


def test_what_changes_while_it_is_copied_is_copied_anew(
    sites: Sites, monkeypatch: pytest.MonkeyPatch
) -> None:
    sites.copy(OLD)
    copy_disk = Store.copy_disk

    def meanwhile(store: Store, *given: Any, **rest: Any) -> None:
        copy_disk(store, *given, **rest)
        touch(sites.file(ROOT), NEW)

    monkeypatch.setattr(Store, "copy_disk", meanwhile)
    with pytest.raises(Retryable) as caught:
        sites.far.opened.stage(sites.replica, None, soon())
    assert "PRV5346" == caught.value.diagnostic.code
    made = sites.far.opened.stage(sites.replica, None, soon())
    assert {ROOT, DATA} == made.keys()


def test_the_disks_of_a_drill_stay_while_its_machine_does(sites: Sites) -> None:
    sites.copy()
    far = sites.far
    made = far.opened.stage(sites.replica, None, soon())
    disks = {a: replace(far.disk(a), external_id=made[a].external_id) for a in made}
    drill = replace(machine("drill", disks={"root": {}, "data": {}}), related=disks)
    far.opened.create(drill, soon())
    with pytest.raises(InUse):
        far.opened.unstage(sites.replica, soon())
    assert sites.state.staged
    far.opened.delete(drill, soon())
    far.opened.unstage(sites.replica, soon())
    assert not sites.state.staged


def test_what_another_tool_has_copied_is_not_removed(sites: Sites) -> None:
    sites.copy()
    before = sites.files()
    sites.far.opened.suspend(sites.replica, None, soon())
    sites.far.opened.discard(sites.replica, soon())
    assert before == sites.files()
