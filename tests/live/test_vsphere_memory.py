"""What a session remembers of machines is believed only as long as it is so: whatever somebody else
changes is seen with a memory as it is without one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner.providers.api import Change, Memory, Observation, Present
from tests.conformance.provider.vmware_outside import Connected, connected
from tests.lab.vcsim import Vcsim
from tests.live.vspherelab import machine, session, soon

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-memory")]

RESOURCE = machine("kept", power="stopped", cdroms={"setup": {}}, machineType="vmx-13")


class Kept(dict[str, bytes]):
    """Implements :class:`provisioner.providers.api.Memory`."""

    def recall(self, subject: str) -> bytes | None:
        return self.get(subject)

    def keep(self, subject: str, content: bytes) -> None:
        self[subject] = content


@pytest.fixture(autouse=True)
def made(vcsim_vcenter: Vcsim) -> Iterator[None]:
    with session(vcsim_vcenter) as opened:
        opened.create(RESOURCE, soon())
    with connected(vcsim_vcenter) as there:
        [found] = there.called(vim.VirtualMachine, RESOURCE.name)
        host, pool = found.runtime.host, found.resourcePool
        yield
        # The simulator would leave the machine's id in its first host, and in its pool.
        if found.config.template:
            found.MarkAsVirtualMachine(pool)
        WaitForTask(found.RelocateVM_Task(vim.vm.RelocateSpec(host=host)))
        if found.runtime.powerState == vim.VirtualMachine.PowerState.poweredOn:
            WaitForTask(found.PowerOffVM_Task())
        WaitForTask(found.Destroy_Task())


def observed(vcsim: Vcsim, memory: Memory | None = None) -> Observation:
    """By a session of its own."""
    with session(vcsim, memory=memory) as opened:
        return opened.observe([RESOURCE])[RESOURCE.address]


def reconfigured(**spec: Any) -> Callable[[Connected, Any], None]:
    def reconfigure(_: Connected, found: Any) -> None:
        WaitForTask(found.ReconfigVM_Task(vim.vm.ConfigSpec(**spec)))

    return reconfigure


def with_device(there: Connected, found: Any, operation: str, device: Any) -> None:
    change = vim.vm.device.VirtualDeviceSpec(operation=operation, device=device)
    reconfigured(deviceChange=[change])(there, found)


def plug_in(there: Connected, found: Any) -> None:
    network = there.datacenter.network[0]
    backing = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo(deviceName=network.name)
    with_device(there, found, "add", vim.vm.device.VirtualVmxnet3(key=-1, backing=backing))


def insert(there: Connected, found: Any) -> None:
    [drive] = [d for d in found.config.hardware.device if isinstance(d, vim.vm.device.VirtualCdrom)]
    [store] = there.called(vim.Datastore, "LocalDS_0")
    drive.backing = vim.vm.device.VirtualCdrom.IsoBackingInfo(
        fileName="[LocalDS_0] tools.iso", datastore=store
    )
    with_device(there, found, "edit", drive)


def rename(_: Connected, found: Any) -> None:
    WaitForTask(found.Rename_Task("kept otherwise"))


def upgrade(_: Connected, found: Any) -> None:
    WaitForTask(found.UpgradeVM_Task("vmx-19"))


def switch_on(_: Connected, found: Any) -> None:
    WaitForTask(found.PowerOnVM_Task())


def convert(_: Connected, found: Any) -> None:
    found.MarkAsTemplate()


def relocate(there: Connected, found: Any) -> None:
    there_now = found.runtime.host
    host = next(item for item in there.compute.host if item != there_now)
    WaitForTask(found.RelocateVM_Task(vim.vm.RelocateSpec(host=host)))


def set_attribute(there: Connected, found: Any) -> None:
    fields = there.content.customFieldsManager
    key = fields.AddCustomFieldDef("cost centre", vim.VirtualMachine).key
    fields.SetField(found, key, "42")
    fields.RemoveCustomFieldDef(key)


def take_snapshot(_: Connected, found: Any) -> None:
    WaitForTask(found.CreateSnapshot_Task("before", memory=False, quiesce=False))


SEEN = (
    reconfigured(annotation="by hand"),
    reconfigured(memoryMB=128),
    reconfigured(extraConfig=[vim.option.OptionValue(key="provisioner.stamp", value="{}")]),
    plug_in,
    insert,
    rename,
    upgrade,
    switch_on,
    take_snapshot,
    convert,
)
NOT_OURS_TO_SEE = (relocate, set_attribute)


@pytest.mark.parametrize("change", SEEN)
def test_what_somebody_else_changes_is_seen_through_a_memory(
    vcsim_vcenter: Vcsim, change: Callable[[Connected, Any], None]
) -> None:
    memory = Kept()
    before = observed(vcsim_vcenter, memory)
    changed_by(vcsim_vcenter, change)
    after = observed(vcsim_vcenter, memory)
    assert observed(vcsim_vcenter) == after
    assert before != after


@pytest.mark.parametrize("change", NOT_OURS_TO_SEE)
def test_what_is_no_part_of_a_machine_changes_nothing_with_a_memory_either(
    vcsim_vcenter: Vcsim, change: Callable[[Connected, Any], None]
) -> None:
    memory = Kept()
    before = observed(vcsim_vcenter, memory)
    changed_by(vcsim_vcenter, change)
    assert before == observed(vcsim_vcenter, memory)
    assert before == observed(vcsim_vcenter)


def test_own_change_is_seen_at_once(vcsim_vcenter: Vcsim) -> None:
    memory = Kept()
    with session(vcsim_vcenter, memory=memory) as opened:
        found = opened.observe([RESOURCE])[RESOURCE.address]
        assert isinstance(found, Present)
        change = Change(("description",), found.spec.get("description"), "ours")
        opened.update(RESOURCE, found, [change], restart=False, deadline=soon())
        again = opened.observe([RESOURCE])[RESOURCE.address]
    assert observed(vcsim_vcenter) == again
    assert again == observed(vcsim_vcenter, memory)


@pytest.mark.parametrize(
    "damage",
    [
        lambda _: b"",
        lambda _: b"[]",
        lambda _: b"\xff",
        lambda content: content[:-9],
        lambda content: json.dumps([json.loads(content)[0], [1]]).encode(),
        lambda content: json.dumps([json.loads(content)[0], {"uuid": 1}]).encode(),
    ],
)
def test_damaged_memory_is_none(vcsim_vcenter: Vcsim, damage: Callable[[bytes], bytes]) -> None:
    memory = Kept()
    before = observed(vcsim_vcenter, memory)
    assert memory
    memory.update({subject: damage(content) for subject, content in memory.items()})
    assert before == observed(vcsim_vcenter, memory)


def test_memory_of_another_endpoint_is_none(vcsim_vcenter: Vcsim) -> None:
    memory = Kept()
    before = observed(vcsim_vcenter, memory)
    for subject, content in memory.items():
        proof, record = json.loads(content)
        record[1] = "a machine of another vCenter"
        other = [part if part != instance(vcsim_vcenter) else "another" for part in proof]
        assert other != proof
        memory[subject] = json.dumps([other, record]).encode()
    assert before == observed(vcsim_vcenter, memory)


def instance(vcsim: Vcsim) -> str:
    with connected(vcsim) as there:
        return str(there.content.about.instanceUuid)


def changed_by(vcsim: Vcsim, change: Callable[[Connected, Any], None]) -> None:
    with connected(vcsim) as there:
        [found] = there.called(vim.VirtualMachine, RESOURCE.name)
        change(there, found)
