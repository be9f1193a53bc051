"""Datastores, disks and images of vSphere: interrupted, in use, in clusters, from templates."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import (
    Absent,
    Change,
    InUse,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Terminal,
)
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act
from tests.live.vspherelab import MIB, resource, session, soon

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from tests.conformance.provider.vmware_outside import connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

CALLS = {"disk": 6, "image": 5}
"""As many writing calls as one is made with, or more."""


BOTH = pytest.mark.parametrize("vcsim", ["vcenter", "esxi"], indirect=True)


@pytest.fixture(scope="module")
def vcsim(request: pytest.FixtureRequest) -> Iterator[Vcsim]:
    with simulated(Options(esx=getattr(request, "param", "") == "esxi", machines=2)) as started:
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, storagePool="LocalDS_0") as found:
        yield found


class Stack:
    """Resources that know one another, as the engine hands them to a session."""

    def __init__(self, opened: VmwareSession) -> None:
        self.opened = opened
        self.known: dict[Address, Resource] = {}

    def has(self, kind: str, name: str, **spec: Any) -> Resource:
        made = replace(resource(kind, name, spec), related=self.known)
        self.known[made.address] = made
        return made

    def create(self, wanted: Resource) -> Resource:
        return self.made(wanted, self.opened.create(wanted, soon()))

    def made(self, wanted: Resource, outcome: Outcome) -> Resource:
        made = replace(wanted, external_id=outcome.external_id, outputs=outcome.outputs)
        self.known[made.address] = made
        return made

    def sees(self, wanted: Resource) -> Any:
        return self.opened.observe([wanted])[wanted.address]

    def clear(self) -> None:
        for item in reversed(list(self.known.values())):
            self.opened.delete(item, soon())


@pytest.fixture
def stack(opened: VmwareSession, vcsim: Vcsim) -> Iterator[Stack]:
    """With a pool whose folder is on this machine."""
    made = Stack(opened)
    made.create(made.has("StoragePool", "pool", type="dir", path=str(vcsim.directory / "pool")))
    yield made
    made.clear()


def files(vcsim: Vcsim) -> list[str]:
    return sorted(file.name for file in (vcsim.directory / "pool" / "provisioner").glob("*"))


def write_image(vcsim: Vcsim) -> Path:
    path = vcsim.directory / "image.raw"
    path.write_bytes(b"r" * MIB)
    return path


@pytest.mark.parametrize(("nth", "act"), [*product(range(CALLS["image"]), (Act.REFUSE, Act.LOSE))])
@pytest.mark.parametrize("form", ["iso", "raw"])
def test_an_upload_that_was_interrupted_is_not_taken_for_whole(
    vcsim: Vcsim, stack: Stack, form: str, nth: int, act: Act
) -> None:
    raw = write_image(vcsim)
    image = stack.has("Image", "image", pool="pool", source={"file": str(raw)}, format=form)
    writes = "PUT .*|(Move|Delete).*_Task|MakeDirectory"
    with vcsim.fault(writes, act, skip=nth, times=1):
        try:
            stack.create(image)
        except ProviderError:
            whole = [name for name in files(vcsim) if ".partial" not in name]
            there = any(name.endswith((".iso", ".raw.vmdk")) for name in whole)
            assert isinstance(stack.sees(image), Present if there else Absent)
    image = stack.create(image)
    assert isinstance(stack.sees(image), Present)
    assert not [name for name in files(vcsim) if ".partial" in name]
    data = next(name for name in files(vcsim) if name.endswith((".iso", "-flat.vmdk")))
    content = (vcsim.directory / "pool" / "provisioner" / data).read_bytes()
    assert raw.read_bytes() == content


@pytest.mark.parametrize(("nth", "act"), [*product(range(CALLS["disk"]), (Act.REFUSE, Act.LOSE))])
def test_a_copy_that_was_interrupted_is_made_anew(
    vcsim: Vcsim, stack: Stack, nth: int, act: Act
) -> None:
    raw = write_image(vcsim)
    stack.create(stack.has("Image", "image", pool="pool", source={"file": str(raw)}, format="raw"))
    disk = stack.has("Disk", "web", pool="pool", image="image", size=4 * MIB)
    with vcsim.fault(".*VirtualDisk_Task|MakeDirectory", act, skip=nth, times=1):
        try:
            stack.create(disk)
        except ProviderError:
            found = stack.sees(disk)
            assert isinstance(found, Absent) or 4 * MIB == found.spec["size"]
    disk = stack.create(disk)
    found = stack.sees(disk)
    assert {"pool": "pool", "format": "vmdk", "size": 4 * MIB} == found.spec
    assert 2 == len([name for name in files(vcsim) if name.startswith("web.")])


@BOTH
def test_a_disk_grows_in_its_machine_and_is_not_deleted_with_it_in(stack: Stack) -> None:
    disk = stack.create(stack.has("Disk", "web", pool="pool", size=4 * MIB))
    machine = stack.create(
        stack.has(
            "VirtualMachine", "web", memory={"size": 64 * MIB}, disks={"web": {}}, power="stopped"
        )
    )
    with pytest.raises(InUse) as caught:
        stack.opened.delete(disk, soon())
    assert "web" in caught.value.diagnostic.detail
    with pytest.raises(InUse):
        stack.opened.delete(stack.known[Address("StoragePool", "pool")], soon())
    wanted = replace(disk, spec={**disk.spec, "size": 8 * MIB})
    changes = [Change(("size",), 4 * MIB, 8 * MIB)]
    outcome = stack.opened.update(wanted, stack.sees(disk), changes, restart=False, deadline=soon())
    assert 8 * MIB == outcome.outputs["size"] == stack.sees(wanted).spec["size"]
    stack.opened.delete(machine, soon())
    assert isinstance(stack.sees(wanted), Present)


@BOTH
def test_a_disk_below_snapshots_does_not_grow(vcsim: Vcsim, stack: Stack) -> None:
    disk = stack.create(stack.has("Disk", "web", pool="pool", size=4 * MIB))
    stack.create(
        stack.has(
            "VirtualMachine", "web", memory={"size": 64 * MIB}, disks={"web": {}}, power="stopped"
        )
    )
    with connected(vcsim) as there:
        [machine] = there.called(vim.VirtualMachine, "web")
        [device] = [
            item
            for item in machine.config.hardware.device
            if isinstance(item, vim.vm.device.VirtualDisk)
        ]
        backing: Any = device.backing
        # The simulator lays nothing over a disk for a snapshot.
        device.backing = vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
            fileName=backing.fileName.replace(".vmdk", "-000001.vmdk"),
            datastore=backing.datastore,
            diskMode=backing.diskMode,
            parent=vim.vm.device.VirtualDisk.FlatVer2BackingInfo(
                fileName=backing.fileName, datastore=backing.datastore, diskMode=backing.diskMode
            ),
        )
        layer = vcsim.directory / "pool" / backing.fileName.partition("] ")[2]
        target = layer.with_name(layer.name.replace(".vmdk", "-000001.vmdk"))
        target.write_text(layer.read_text())
        spec = vim.vm.device.VirtualDeviceSpec(operation="edit", device=device)
        WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[spec])))
    observed = stack.sees(disk)
    names = {item.name for item in stack.opened.discover({"Disk"})}
    assert observed.outputs["volume"] in names
    assert not [name for name in names if name.endswith("-000001.vmdk")]
    with pytest.raises(Terminal) as caught:
        stack.opened.update(
            disk,
            observed,
            [Change(("size",), 4 * MIB, 8 * MIB)],
            restart=False,
            deadline=soon(),
        )
    assert "PRV5316" == caught.value.diagnostic.code


def test_a_disk_goes_into_a_member_of_a_cluster(vcsim: Vcsim, stack: Stack) -> None:
    cluster = stack.has("StoragePool", "all", type="cluster", members={"pool": {}})
    cluster = stack.create(cluster)
    assert {"pool": {}} == stack.sees(cluster).spec["members"]
    assert stack.sees(cluster).spec["drs"] is False
    disk = stack.create(stack.has("Disk", "web", pool="all", size=4 * MIB))
    pool = stack.known[Address("StoragePool", "pool")]
    assert f"{pool.external_id}/" in str(disk.external_id)
    assert "all" == stack.sees(disk).spec["pool"]


@pytest.fixture
def template(vcsim: Vcsim) -> Iterator[str]:
    """The inventory path of a machine that is a template now."""
    with connected(vcsim) as there:
        machine = there.every(vim.VirtualMachine)[0]
        WaitForTask(machine.PowerOffVM_Task())
        machine.MarkAsTemplate()
        name = machine.name
        pool = there.compute.resourcePool
    yield f"/DC0/vm/{name}"
    with connected(vcsim) as there:
        [machine] = there.called(vim.VirtualMachine, name)
        machine.MarkAsVirtualMachine(pool)
        WaitForTask(machine.PowerOnVM_Task())


def test_a_template_is_used_as_it_is(vcsim: Vcsim, stack: Stack, template: str) -> None:
    local = stack.has("StoragePool", "LocalDS_0", type="dir", path="/")
    stack.known[local.address] = replace(local, external_id=stack.sees(local).external_id)
    image = stack.has(
        "Image",
        "debian",
        pool="LocalDS_0",
        source={"template": template.rpartition("/")[2]},
        format="template",
    )
    assert Absent() == stack.sees(image)
    image = stack.create(image)
    found = stack.sees(image)
    assert image.spec == found.spec
    told = {item.name: item.observed for item in stack.opened.discover({"Image"})}
    assert image.external_id == told[template].external_id
    assert not [item for item in stack.opened.discover({"Disk"}) if template in item.name]
    stack.opened.delete(image, soon())
    assert isinstance(stack.sees(image), Present)
    del stack.known[local.address]


def test_a_template_that_is_not_there(vcsim: Vcsim, stack: Stack, template: str) -> None:
    name = template.rpartition("/")[2]
    image = stack.has(
        "Image", "debian", pool="pool", source={"template": f"{name}x"}, format="template"
    )
    with pytest.raises(Terminal) as caught:
        stack.create(image)
    assert ("PRV5323", f"Did you mean {name}?") == (
        caught.value.diagnostic.code,
        caught.value.diagnostic.hint,
    )
