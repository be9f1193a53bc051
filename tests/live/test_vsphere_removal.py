"""Machines of vSphere that are to go, or to lose a disk, while snapshots lie over their disks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Absent, Change, Present, Resource, Terminal
from provisioner.providers.capabilities import Undertaking
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import MIB, session, soon

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner_plugins.vmware.machine.power import Power
from provisioner_plugins.vmware.session import VmwareSession
from tests.conformance.provider.vmware_outside import connected
from tests.live.test_vsphere_storage import Stack

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-removal")]

DATA = Address("Disk", "data")


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0)) as started:
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, storagePool="LocalDS_0") as found:
        yield found


@pytest.fixture
def stack(opened: VmwareSession, vcsim: Vcsim) -> Iterator[Stack]:
    made = Stack(opened)
    made.create(made.has("StoragePool", "pool", type="dir", path=str(vcsim.directory / "pool")))
    yield made
    remove_snapshots(vcsim)
    made.clear()


def machine(stack: Stack, **spec: Any) -> Resource:
    return stack.create(stack.has("VirtualMachine", "web", memory={"size": 64 * MIB}, **spec))


def machine_with_a_disk(stack: Stack) -> Resource:
    stack.create(stack.has("Disk", "data", pool="pool", size=4 * MIB))
    return machine(stack, disks={"data": {}})


def take_snapshot(vcsim: Vcsim, *, then_unplug: bool = False) -> None:
    """By hand."""
    with connected(vcsim) as there:
        [found] = there.called(vim.VirtualMachine, "web")
        WaitForTask(found.CreateSnapshot_Task("by hand", "", memory=False, quiesce=False))
        if then_unplug:
            spec = [
                vim.vm.device.VirtualDeviceSpec(operation="remove", device=item)
                for item in found.config.hardware.device
                if isinstance(item, vim.vm.device.VirtualDisk)
            ]
            WaitForTask(found.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=spec)))


def remove_snapshots(vcsim: Vcsim) -> None:
    with connected(vcsim) as there:
        for found in there.called(vim.VirtualMachine, "web"):
            WaitForTask(found.RemoveAllSnapshots_Task())


def refusal(stack: Stack, web: Resource) -> Diagnostic:
    """What is said of its removal, beforehand and by the step; it runs on."""
    [ahead] = stack.opened.preflight([Undertaking(web, removes=True)], soon(), thorough=False)
    with pytest.raises(Terminal) as caught:
        stack.opened.delete(web, soon())
    assert ahead == caught.value.diagnostic
    assert ("PRV5316", str(web.address)) == (ahead.code, ahead.address)
    assert "running" == stack.sees(web).spec["power"]
    return ahead


def test_a_machine_with_snapshots_stays_with_its_disks(vcsim: Vcsim, stack: Stack) -> None:
    web = machine_with_a_disk(stack)
    take_snapshot(vcsim)
    found = refusal(stack, web)
    assert found.detail.startswith("Its snapshots: by hand. The disks: data. ")
    assert found.hint.startswith("Remove the snapshots")
    remove_snapshots(vcsim)
    stack.opened.delete(web, soon())
    assert Absent() == stack.sees(web)
    assert isinstance(stack.sees(stack.known[DATA]), Present)


def test_a_disk_that_only_a_snapshot_has_is_kept_too(vcsim: Vcsim, stack: Stack) -> None:
    web = machine_with_a_disk(stack)
    take_snapshot(vcsim, then_unplug=True)
    assert "Plug in data again first" in refusal(stack, web).hint


def test_a_snapshot_that_is_taken_while_the_guest_goes_down_counts(
    vcsim: Vcsim, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = machine_with_a_disk(stack)
    stop = Power.bring_to

    def slowly(self: Power, state: str, *rest: Any) -> None:
        stop(self, state, *rest)
        take_snapshot(vcsim)

    monkeypatch.setattr(Power, "bring_to", slowly)
    with pytest.raises(Terminal) as caught:
        stack.opened.delete(web, soon())
    monkeypatch.undo()
    assert "PRV5316" == caught.value.diagnostic.code
    assert {"data"} == stack.sees(web).spec["disks"].keys()


def test_a_machine_without_such_disks_goes_with_its_snapshots(vcsim: Vcsim, stack: Stack) -> None:
    web = machine(stack)
    before = stack.sees(web)
    assert ((), False) == (before.goes_along, before.holds_data)
    take_snapshot(vcsim)
    found = stack.sees(web)
    assert ("snapshots that are not of the stack (by hand)",) == found.goes_along
    assert found.holds_data
    assert before.fingerprint != found.fingerprint
    assert [] == [*stack.opened.preflight([Undertaking(web, removes=True)], soon(), thorough=False)]
    stack.opened.delete(web, soon())
    assert Absent() == stack.sees(web)


def test_a_snapshot_of_the_stack_goes_in_a_step_of_its_own(stack: Stack) -> None:
    web = machine_with_a_disk(stack)
    stack.create(stack.has("Snapshot", "before", machine="web"))
    found = stack.sees(web)
    assert ((), False) == (found.goes_along, found.holds_data)
    assert [] == [*stack.opened.preflight([Undertaking(web, removes=True)], soon(), thorough=False)]


def test_a_disk_below_snapshots_stays_plugged_in(vcsim: Vcsim, stack: Stack) -> None:
    web = machine_with_a_disk(stack)
    take_snapshot(vcsim)
    changes = [Change(("disks", "data"), {"bus": "pvscsi"}, None)]
    with pytest.raises(Terminal) as caught:
        stack.opened.update(web, stack.sees(web), changes, restart=True, deadline=soon())
    assert "PRV5316" == caught.value.diagnostic.code
    assert {"data"} == stack.sees(web).spec["disks"].keys()
