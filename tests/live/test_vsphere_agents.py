"""Machines that extensions of a vCenter look after, such as the agents of a cluster (vCLS):
they are nobody's to manage, and keep no host. And hosts that go: in maintenance, or out of reach.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.providers.api import Absent, InUse, Resource, Terminal, Undetermined
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import machine, resource, session, soon

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from tests.conformance.provider.vmware_outside import Connected, connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-agents")]

AGENT = "vCLS-1"
EXTENSION = vim.ext.ManagedByInfo(extensionKey="com.vmware.vim.eam", type="cluster-agent")


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0)) as started:
        yield started


@pytest.fixture
def reports() -> list[str]:
    return []


@pytest.fixture
def opened(vcsim: Vcsim, reports: list[str]) -> Iterator[VmwareSession]:
    with session(vcsim, datacenter="DC0", storagePool="LocalDS_0", reports=reports) as found:
        yield found


@pytest.fixture
def node(vcsim: Vcsim, opened: VmwareSession) -> Resource:
    """A host of the cluster that is ours."""
    with connected(vcsim) as there:
        address = there.compute.host[-1].name
    found = resource("ClusterHost", "node", {"address": address})
    observed: Any = opened.observe([found])[found.address]
    opened.adopt(found, observed, soon())
    return replace(found, external_id=observed.external_id)


def host(there: Connected, node: Resource) -> Any:
    [found] = there.called(vim.HostSystem, node.spec["address"])
    return found


def make(there: Connected, name: str, on: Any, **more: Any) -> Any:
    """A machine that runs on a host."""
    files = vim.vm.FileInfo(vmPathName="[LocalDS_0]")
    config = vim.vm.ConfigSpec(name=name, files=files, memoryMB=16, numCPUs=1, **more)
    task = there.datacenter.vmFolder.CreateVM_Task(config, on.parent.resourcePool, on)
    WaitForTask(task)
    WaitForTask(task.info.result.PowerOnVM_Task())
    return task.info.result


def remove(found: Any) -> None:
    WaitForTask(found.PowerOffVM_Task())
    WaitForTask(found.Destroy_Task())


@pytest.fixture
def agent(vcsim: Vcsim) -> Iterator[str]:
    """The path of one."""
    with connected(vcsim) as there:
        made = make(there, AGENT, there.compute.host[0], managedBy=EXTENSION)
        yield f"/DC0/vm/{AGENT}"
        remove(made)


def test_discovery_leaves_machines_of_extensions_out(
    vcsim: Vcsim, opened: VmwareSession, reports: list[str], agent: str
) -> None:
    with connected(vcsim) as there:
        [found] = there.called(vim.VirtualMachine, AGENT)
        WaitForTask(found.CreateSnapshot_Task("before", "", memory=False, quiesce=False))
    assert [] == list(opened.discover({"VirtualMachine", "Snapshot", "Disk"}))
    told = [text for text in reports if "left out" in text]
    assert [f"{agent} is left out: it is of com.vmware.vim.eam"] == told


def test_a_machine_of_an_extension_is_nobodys_to_take_over(
    opened: VmwareSession, agent: str
) -> None:
    wanted = machine(AGENT)
    found = opened.observe([wanted])[wanted.address]
    assert isinstance(found, Undetermined)
    assert "PRV5347" == found.diagnostic.code
    assert agent in found.diagnostic.summary


def test_a_machine_that_an_extension_took_meanwhile_is_not_taken_over(
    vcsim: Vcsim, opened: VmwareSession
) -> None:
    wanted = machine("mine")
    with connected(vcsim) as there:
        made = make(there, "mine", there.compute.host[0])
        observed: Any = opened.observe([wanted])[wanted.address]
        WaitForTask(made.ReconfigVM_Task(vim.vm.ConfigSpec(managedBy=EXTENSION)))
        with pytest.raises(Terminal) as caught:
            opened.adopt(wanted, observed, soon())
        remove(made)
    assert "PRV5347" == caught.value.diagnostic.code


def test_a_host_goes_with_the_agents_on_it(
    vcsim: Vcsim, opened: VmwareSession, node: Resource
) -> None:
    with connected(vcsim) as there:
        make(there, AGENT, host(there, node), managedBy=EXTENSION)
    opened.delete(node, soon())
    assert Absent() == opened.observe([node])[node.address]


def test_a_host_with_machines_that_nobody_moves_is_let_alone(
    vcsim: Vcsim, opened: VmwareSession, node: Resource
) -> None:
    with connected(vcsim) as there:
        lasting = make(there, "lasting", host(there, node))
        vcsim.reset_counts()
        with pytest.raises(InUse) as caught:
            opened.delete(node, soon())
        assert "In it are: lasting." == caught.value.diagnostic.detail
        assert 0 == vcsim.counts().get("EnterMaintenanceMode_Task", 0)
        remove(lasting)


@pytest.mark.parametrize("level", ["fullyAutomated", "manual"])
def test_a_cluster_with_drs_is_asked_to_move_machines_first(
    vcsim: Vcsim, opened: VmwareSession, node: Resource, level: str
) -> None:
    """The simulator moves nothing, so that they stay, and the host works on."""
    drs = vim.cluster.DrsConfigInfo(enabled=True, defaultVmBehavior=level)
    config = vim.cluster.ConfigSpecEx(drsConfig=drs)
    with connected(vcsim) as there:
        WaitForTask(there.compute.ReconfigureComputeResource_Task(config, modify=True))
        member = host(there, node)
        made = make(there, "lasting", member)
        vcsim.reset_counts()
        with pytest.raises(InUse):
            opened.delete(node, soon())
        tried = bool(vcsim.counts().get("EnterMaintenanceMode_Task", 0))
        assert (level == "fullyAutomated", False) == (tried, member.runtime.inMaintenanceMode)
        remove(made)


def test_a_host_that_is_out_of_reach_goes_without_maintenance(
    vcsim: Vcsim, opened: VmwareSession, node: Resource
) -> None:
    with connected(vcsim) as there:
        WaitForTask(host(there, node).DisconnectHost_Task())
    vcsim.reset_counts()
    opened.delete(node, soon())
    assert 0 == vcsim.counts().get("EnterMaintenanceMode_Task", 0)
    assert Absent() == opened.observe([node])[node.address]
