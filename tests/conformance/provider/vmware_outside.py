"""Somebody else at a vSphere endpoint: pyvmomi's own calls, without the plugin."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Protocol

from pyVim.connect import Disconnect, SmartConnect
from pyVim.task import WaitForTask
from pyVmomi import vim

from provisioner.core.values import Path as FieldPath
from tests.conformance.provider import vmware_hierarchy, vmware_networks, vmware_storage
from tests.lab.vcsim import Vcsim


class Connected(NamedTuple):
    """A session of somebody else's."""

    instance: Any
    content: Any

    def every(self, kind: type, within: Any = None) -> list[Any]:
        """All objects of a type."""
        view = self.content.viewManager.CreateContainerView(
            container=within or self.content.rootFolder, type=[kind], recursive=True
        )
        found = list(view.view)
        view.DestroyView()
        return found

    def called(self, kind: type, name: str) -> list[Any]:
        """Those with a name."""
        return [item for item in self.every(kind) if item.name == name]

    @property
    def datacenter(self) -> Any:
        """The one that the simulator has by itself."""
        return (self.called(vim.Datacenter, "DC0") or self.every(vim.Datacenter))[0]

    @property
    def compute(self) -> Any:
        """The cluster that it has by itself; on an ESXi host, itself."""
        clusters = self.called(vim.ClusterComputeResource, "DC0_C0")
        return (clusters or self.every(vim.ComputeResource))[0]


@contextmanager
def connected(vcsim: Vcsim) -> Iterator[Connected]:
    """Logged in, and out again."""
    context = ssl.create_default_context(cafile=str(vcsim.ca))
    instance = SmartConnect(
        host=vcsim.host, port=vcsim.port, user=vcsim.user, pwd=vcsim.password, sslContext=context
    )
    try:
        yield Connected(instance, instance.RetrieveContent())
    finally:
        Disconnect(instance)
        instance._stub.DropConnections()


class OutsideKind(Protocol):
    """What somebody else does to the objects of one kind; see
    :class:`tests.conformance.provider.under_test.Outside`."""

    def add(self, there: Connected, name: str) -> str: ...

    def change(self, there: Connected, name: str) -> FieldPath: ...

    def remove(self, there: Connected, name: str) -> None: ...

    def picture(self, there: Connected, name: str) -> object: ...


class Machines:
    """Virtual machines."""

    def add(self, there: Connected, name: str) -> str:
        config = vim.vm.ConfigSpec(
            name=name,
            guestId="otherGuest64",
            numCPUs=1,
            memoryMB=16,
            files=vim.vm.FileInfo(vmPathName=f"[{there.every(vim.Datastore)[0].name}]"),
        )
        folder, pool = there.datacenter.vmFolder, there.compute.resourcePool
        task = folder.CreateVM_Task(config, pool)
        WaitForTask(task)
        return str(task.info.result.config.instanceUuid)

    def change(self, there: Connected, name: str) -> FieldPath:
        [machine] = there.called(vim.VirtualMachine, name)
        WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(annotation="changed outside")))
        return ("description",)

    def remove(self, there: Connected, name: str) -> None:
        [machine] = there.called(vim.VirtualMachine, name)
        if machine.runtime.powerState == vim.VirtualMachine.PowerState.poweredOn:
            WaitForTask(machine.PowerOffVM_Task())
        WaitForTask(machine.Destroy_Task())

    def picture(self, there: Connected, name: str) -> object:
        found = there.called(vim.VirtualMachine, name)
        return [(str(item.config), str(item.runtime.powerState)) for item in found] or None


class Snapshots:
    """Snapshots of the machine of the surroundings."""

    def add(self, there: Connected, name: str) -> str:
        [machine] = there.called(vim.VirtualMachine, "machine")
        task = machine.CreateSnapshot_Task(name, "", memory=False, quiesce=False)
        WaitForTask(task)
        return f"{machine.config.instanceUuid}/{task.info.result._moId}"

    def change(self, there: Connected, name: str) -> FieldPath:
        [(_, item)] = self._called(there, name)
        text = item.description.replace("as the author wants it", "changed outside")
        item.snapshot.RenameSnapshot(name, text)
        return ("description",)

    def remove(self, there: Connected, name: str) -> None:
        for _, item in self._called(there, name):
            WaitForTask(item.snapshot.RemoveSnapshot_Task(removeChildren=False))

    def picture(self, there: Connected, name: str) -> object:
        found = [(machine, str(item.description)) for machine, item in self._called(there, name)]
        return found or None

    def _called(self, there: Connected, name: str) -> list[tuple[str, Any]]:
        found = []
        for machine in there.every(vim.VirtualMachine):
            # pyvmomi has no attribute for a property that the simulator does not set.
            known = getattr(machine, "snapshot", None)
            waiting = [] if known is None else list(known.rootSnapshotList)
            while waiting:
                item = waiting.pop()
                waiting += item.childSnapshotList or []
                if item.name == name:
                    found.append((machine.name, item))
        return found


KINDS: dict[str, Callable[[], OutsideKind]] = {
    "Datacenter": vmware_hierarchy.Datacenters,
    "Folder": vmware_hierarchy.Folders,
    "Cluster": vmware_hierarchy.Clusters,
    "ResourcePool": vmware_hierarchy.ResourcePools,
    "ClusterHost": vmware_hierarchy.Hosts,
    "PlacementRule": vmware_hierarchy.Rules,
    "Role": vmware_hierarchy.Roles,
    "Permission": vmware_hierarchy.Permissions,
    "VirtualMachine": Machines,
    "Network": vmware_networks.Networks,
    "StoragePool": vmware_storage.Datastores,
    "Disk": vmware_storage.Disks,
    "Image": vmware_storage.Images,
    "Snapshot": Snapshots,
}


class VsphereOutside:
    """Implements Outside."""

    def __init__(self, vcsim: Vcsim) -> None:
        self._vcsim = vcsim

    def add(self, kind: str, name: str) -> str:
        with connected(self._vcsim) as there:
            return KINDS[kind]().add(there, name)

    def change(self, kind: str, name: str) -> FieldPath:
        with connected(self._vcsim) as there:
            return KINDS[kind]().change(there, name)

    def remove(self, kind: str, name: str) -> None:
        with connected(self._vcsim) as there:
            KINDS[kind]().remove(there, name)

    def picture(self, kind: str, name: str) -> object:
        with connected(self._vcsim) as there:
            return KINDS[kind]().picture(there, name)
