"""Somebody else at the inventory of a vSphere endpoint, and at its roles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner.core.values import Path as FieldPath

if TYPE_CHECKING:
    from tests.conformance.provider.vmware_outside import Connected

DATACENTER, CLUSTER, POOL = "dc", "cluster", "resources"
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
        return (super()._picture(item), str(item.configurationEx))


class Hosts(Datacenters):
    """Standalone hosts."""

    sort = vim.HostSystem

    def add(self, there: Connected, name: str) -> str:
        [datacenter] = there.called(vim.Datacenter, DATACENTER)
        spec = vim.host.ConnectSpec(
            hostName=name, port=443, userName="root", password="any", force=False
        )
        task = datacenter.hostFolder.AddStandaloneHost_Task(spec, addConnected=True)
        WaitForTask(task)
        return str(task.info.result._moId)

    def change(self, there: Connected, name: str) -> FieldPath:
        [host] = there.called(self.sort, name)
        WaitForTask(host.EnterMaintenanceMode_Task(0))
        return ("maintenance",)

    def remove(self, there: Connected, name: str) -> None:
        for host in there.called(self.sort, name):
            WaitForTask(host.parent.Destroy_Task())

    def _picture(self, item: Any) -> object:
        return (super()._picture(item), str(item.runtime.inMaintenanceMode))


class ResourcePools(Datacenters):
    """Pools of the cluster; on an ESXi host, its own."""

    sort = vim.ResourcePool

    def add(self, there: Connected, name: str) -> str:
        return str(
            there.compute.resourcePool.CreateResourcePool(name, _allocations("normal"))._moId
        )

    def change(self, there: Connected, name: str) -> FieldPath:
        [pool] = there.called(self.sort, name)
        pool.UpdateConfig(config=_allocations("high"))
        return ("cpu", "shares")

    def _picture(self, item: Any) -> object:
        return (super()._picture(item), str(item.config))


class Rules:
    """Rules of a cluster that keep two machines apart."""

    def add(self, there: Connected, name: str) -> str:
        machines = [*there.called(vim.VirtualMachine, "machine")]
        machines += there.called(vim.VirtualMachine, "machine-b")
        rule = vim.cluster.AntiAffinityRuleSpec(
            name=name, enabled=True, mandatory=False, userCreated=True, vm=machines
        )
        self._write(there, vim.cluster.RuleSpec(operation="add", info=rule))
        return f"{self._cluster(there)._moId}/{self._called(there, name)[0].key}"

    def change(self, there: Connected, name: str) -> FieldPath:
        [rule] = self._called(there, name)
        rule.enabled = False
        self._write(there, vim.cluster.RuleSpec(operation="edit", info=rule))
        return ("enabled",)

    def remove(self, there: Connected, name: str) -> None:
        for rule in self._called(there, name):
            self._write(there, vim.cluster.RuleSpec(operation="remove", removeKey=rule.key))

    def picture(self, there: Connected, name: str) -> object:
        return [str(rule) for rule in self._called(there, name)] or None

    def _called(self, there: Connected, name: str) -> list[Any]:
        return [r for r in self._cluster(there).configurationEx.rule or () if r.name == name]

    def _cluster(self, there: Connected) -> Any:
        [cluster] = there.called(vim.ClusterComputeResource, CLUSTER)
        return cluster

    def _write(self, there: Connected, rule: Any) -> None:
        config = vim.cluster.ConfigSpecEx(rulesSpec=[rule])
        WaitForTask(self._cluster(there).ReconfigureComputeResource_Task(config, modify=True))


class Roles:
    """Roles that hold nothing."""

    def add(self, there: Connected, name: str) -> str:
        there.content.authorizationManager.AddAuthorizationRole(name, [])
        return str(self._called(there, name)[0].roleId)

    def change(self, there: Connected, name: str) -> FieldPath:
        [role] = self._called(there, name)
        there.content.authorizationManager.UpdateAuthorizationRole(role.roleId, name, [])
        return ("privileges",)

    def remove(self, there: Connected, name: str) -> None:
        for role in self._called(there, name):
            there.content.authorizationManager.RemoveAuthorizationRole(
                role.roleId, failIfUsed=False
            )

    def picture(self, there: Connected, name: str) -> object:
        return [str(role) for role in self._called(there, name)] or None

    def _called(self, there: Connected, name: str) -> list[Any]:
        return [r for r in there.content.authorizationManager.roleList if r.name == name]


class Permissions:
    """What somebody may do with the pool of the surroundings, who is called as the object is."""

    def add(self, there: Connected, name: str) -> str:
        [pool] = there.called(vim.ResourcePool, POOL)
        manager = there.content.authorizationManager
        [role] = [role for role in manager.roleList if role.name == "ReadOnly"]
        given = vim.AuthorizationManager.Permission(
            principal=name, group=False, roleId=role.roleId, propagate=True
        )
        manager.SetEntityPermissions(pool, [given])
        return f"{pool._moId}/user/{name}"

    def change(self, there: Connected, name: str) -> FieldPath:
        for found in self._of(there, name):
            found.propagate = False
            there.content.authorizationManager.SetEntityPermissions(found.entity, [found])
        return ("propagate",)

    def remove(self, there: Connected, name: str) -> None:
        for found in self._of(there, name):
            there.content.authorizationManager.RemoveEntityPermission(
                found.entity, name, isGroup=False
            )

    def picture(self, there: Connected, name: str) -> object:
        return [str(found) for found in self._of(there, name)] or None

    def _of(self, there: Connected, name: str) -> list[Any]:
        every = there.content.authorizationManager.RetrieveAllPermissions()
        return [found for found in every if found.principal == name]


def _allocations(cpu: str) -> Any:
    def allocation(level: str) -> Any:
        shares = vim.SharesInfo(level=level, shares=0)
        return vim.ResourceAllocationInfo(
            reservation=0, limit=-1, expandableReservation=True, shares=shares
        )

    return vim.ResourceConfigSpec(
        cpuAllocation=allocation(cpu), memoryAllocation=allocation("normal")
    )
