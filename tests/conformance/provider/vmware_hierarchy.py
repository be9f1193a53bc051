"""Somebody else at the inventory of a vSphere endpoint: datacenters, folders, clusters, pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner.core.values import Path as FieldPath

if TYPE_CHECKING:
    from tests.conformance.provider.vmware_outside import Connected

DATACENTER, CLUSTER = "dc", "cluster"
"""Those of the surroundings in which foreign objects are."""


class Datacenters:
    """Datacenters below the root."""

    sort: type = vim.Datacenter

    def add(self, there: Connected, name: str) -> str:
        return str(there.content.rootFolder.CreateDatacenter(name)._moId)

    def change(self, there: Connected, name: str) -> FieldPath:
        raise NotImplementedError

    def remove(self, there: Connected, name: str) -> None:
        for item in there.called(self.sort, name):
            WaitForTask(item.Destroy_Task())

    def picture(self, there: Connected, name: str) -> object:
        return [self._picture(item) for item in there.called(self.sort, name)] or None

    def _picture(self, item: Any) -> object:
        return (item._moId, str(item.parent), str(item.customValue))


class Folders(Datacenters):
    """Folders of machines."""

    sort = vim.Folder

    def add(self, there: Connected, name: str) -> str:
        [datacenter] = there.called(vim.Datacenter, DATACENTER)
        return str(datacenter.vmFolder.CreateFolder(name)._moId)


class Clusters(Datacenters):
    """Clusters without hosts."""

    sort = vim.ClusterComputeResource

    def add(self, there: Connected, name: str) -> str:
        [datacenter] = there.called(vim.Datacenter, DATACENTER)
        return str(datacenter.hostFolder.CreateClusterEx(name, vim.cluster.ConfigSpecEx())._moId)

    def change(self, there: Connected, name: str) -> FieldPath:
        [cluster] = there.called(self.sort, name)
        config = vim.cluster.ConfigSpecEx(drsConfig=vim.cluster.DrsConfigInfo(vmotionRate=2))
        WaitForTask(cluster.ReconfigureComputeResource_Task(config, modify=True))
        return ("drs", "migrationThreshold")

    def _picture(self, item: Any) -> object:
        return (super()._picture(item), str(item.configurationEx), str(item.summary))


class ResourcePools(Datacenters):
    """Pools of the cluster; on an ESXi host, its own."""

    sort = vim.ResourcePool

    def add(self, there: Connected, name: str) -> str:
        [compute] = there.called(vim.ClusterComputeResource, CLUSTER) or [there.compute]
        return str(compute.resourcePool.CreateResourcePool(name, _allocations("normal"))._moId)

    def change(self, there: Connected, name: str) -> FieldPath:
        [pool] = there.called(self.sort, name)
        pool.UpdateConfig(config=_allocations("high"))
        return ("cpu", "shares")

    def _picture(self, item: Any) -> object:
        return (super()._picture(item), str(item.config))


def _allocations(level: str) -> Any:
    def allocation() -> Any:
        shares = vim.SharesInfo(level=level, shares=0)
        return vim.ResourceAllocationInfo(
            reservation=0, limit=-1, expandableReservation=True, shares=shares
        )

    return vim.ResourceConfigSpec(cpuAllocation=allocation(), memoryAllocation=allocation())
