"""A cluster without DRS chooses no host for its machines: one is named for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.providers.api import Change, Present, Resource, Terminal
from tests.lab.appliances import ova
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import MIB, machine, resource, session, soon

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from tests.conformance.provider.vmware_outside import Connected, connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, cluster_hosts=2)) as started:
        with connected(started) as there:
            without = vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(enabled=False))
            WaitForTask(there.compute.ReconfigureComputeResource_Task(without, modify=True))
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, storagePool="LocalDS_0") as found:
        yield found


def host_of(there: Connected, name: str) -> Any:
    [found] = there.called(vim.VirtualMachine, name)
    return found.runtime.host


def pool_of(vcsim: Vcsim) -> Resource:
    with connected(vcsim) as there:
        [store] = there.called(vim.Datastore, "LocalDS_0")
        return resource("StoragePool", "LocalDS_0", {"type": "dir"}, external_id=store._moId)


def test_machines_are_spread_over_its_hosts(vcsim: Vcsim, opened: VmwareSession) -> None:
    made = [machine(f"web{number}", power="stopped") for number in range(6)]
    for each in made:
        opened.create(each, soon())
    with connected(vcsim) as there:
        used = {host_of(there, each.name)._moId for each in made}
        assert {host._moId for host in there.compute.host} == used
    for each in made:
        opened.delete(each, soon())


def test_an_appliance_and_its_copy_get_a_host(vcsim: Vcsim, opened: VmwareSession) -> None:
    path = vcsim.directory / "web.ova"
    path.write_bytes(ova())
    pool = pool_of(vcsim)
    spec = {"pool": pool.name, "source": {"file": str(path)}, "format": "ova"}
    image = resource("Image", "debian", spec, related={pool.address: pool})
    image = replace(image, external_id=opened.create(image, soon()).external_id)
    copy = replace(
        machine("copy", power="stopped", clone={"image": "debian"}),
        related={pool.address: pool, image.address: image},
    )
    opened.create(copy, soon())
    with connected(vcsim) as there:
        assert host_of(there, "copy") in list(there.compute.host)
    opened.delete(copy, soon())
    opened.delete(image, soon())


def test_a_machine_that_is_moved_to_another_pool_stays_on_its_host(
    vcsim: Vcsim, opened: VmwareSession
) -> None:
    pools = resource("ResourcePool", "small", {})
    pools = replace(pools, external_id=opened.create(pools, soon()).external_id)
    web = replace(machine("web", power="stopped"), related={pools.address: pools})
    opened.create(web, soon())
    with connected(vcsim) as there:
        [other] = [host for host in there.compute.host if host != host_of(there, "web")]
        [there_is] = there.called(vim.VirtualMachine, "web")
        WaitForTask(there_is.RelocateVM_Task(vim.vm.RelocateSpec(host=other)))
    wanted = replace(web, spec={**web.spec, "placement": {"resourcePool": "small"}})
    change = Change(("placement", "resourcePool"), None, "small")
    found = opened.observe([web])[web.address]
    assert isinstance(found, Present)
    opened.update(wanted, found, [change], restart=False, deadline=soon())
    with connected(vcsim) as there:
        assert other == host_of(there, "web")
    opened.delete(web, soon())
    opened.delete(pools, soon())


def test_no_host_that_can_run_it_is_told(vcsim: Vcsim, opened: VmwareSession) -> None:
    with connected(vcsim) as there:
        for host in there.compute.host:
            WaitForTask(host.EnterMaintenanceMode_Task(timeout=0))
        try:
            with pytest.raises(Terminal) as caught:
                opened.create(machine("web", memory={"size": 64 * MIB}), soon())
        finally:
            for host in there.compute.host:
                WaitForTask(host.ExitMaintenanceMode_Task(timeout=0))
    assert "PRV5330" == caught.value.diagnostic.code
    assert "has no DRS" in caught.value.diagnostic.detail
