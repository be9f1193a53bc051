"""What an author may have meant by the name of an object that is not there. Called by the session
for its observations.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.nearest import nearest

_TYPES: Mapping[str, tuple[type, ...]] = {
    "Cluster": (vim.ClusterComputeResource,),
    "Datacenter": (vim.Datacenter,),
    "Folder": (vim.Folder,),
    "Network": (vim.Network,),
    "ResourcePool": (vim.ResourcePool,),
    "StoragePool": (vim.Datastore, vim.StoragePod),
    "VirtualMachine": (vim.VirtualMachine,),
}


def near_to(inventory: Inventory, target: Resource) -> tuple[str, ...]:
    """Names of objects of the target's kind that are nearly its own; paths, if that is one."""
    rows = inventory.rows(*_TYPES.get(target.kind, ()))
    by_path = target.name.startswith("/")
    names = dict.fromkeys(inventory.path(row) if by_path else name_of(row) for row in rows)
    return tuple(nearest(target.name, names))
