"""Where the vSphere simulator of the lab has its machines: what vcsim leaves out of that, and
`placement.go` and `chosen.go` of tests/vcsim_host fill in.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options

pytest.importorskip("pyVmomi")

from pyVim.task import WaitForTask
from pyVmomi import vim

from tests.conformance.provider.vmware_outside import Connected, connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vcsim")]


@pytest.fixture
def there() -> Iterator[Connected]:
    """A session of a vCenter that a test does not share."""
    with simulated(Options(machines=0)) as simulator, connected(simulator) as found:
        yield found


def make(there: Connected, datastore: str) -> Any:
    files = vim.vm.FileInfo(vmPathName=f"[{datastore}]")
    config = vim.vm.ConfigSpec(name="made", files=files)
    task = there.datacenter.vmFolder.CreateVM_Task(config, there.compute.resourcePool)
    WaitForTask(task)
    return task.info.result


def test_a_machine_that_was_moved_and_destroyed_is_in_no_list(there: Connected) -> None:
    machine, former = make(there, "LocalDS_0"), there.compute.resourcePool
    allocation = vim.ResourceAllocationInfo(
        reservation=0,
        limit=-1,
        expandableReservation=True,
        shares=vim.SharesInfo(level="normal", shares=0),
    )
    pool = former.CreateResourcePool(
        "pool", vim.ResourceConfigSpec(cpuAllocation=allocation, memoryAllocation=allocation)
    )
    WaitForTask(machine.RelocateVM_Task(vim.vm.RelocateSpec(pool=pool)))
    assert ([machine], []) == (list(pool.vm), list(former.vm))
    WaitForTask(machine.Destroy_Task())
    assert [] == list(pool.vm)
    assert [] == there.every(vim.VirtualMachine)


def test_a_host_is_chosen_that_has_the_datastore(there: Connected, tmp_path: Path) -> None:
    hosts = list(there.compute.host)
    stores = hosts[-1].configManager.datastoreSystem
    store = stores.CreateLocalDatastore("one", str(tmp_path))
    machine = make(there, "one")
    assert (hosts[-1], hosts) == (machine.runtime.host, list(there.compute.host))
    WaitForTask(machine.Destroy_Task())
    stores.RemoveDatastore(store)
    with pytest.raises(vim.fault.NoCompatibleHost):
        make(there, "one")
