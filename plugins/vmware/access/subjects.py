"""The objects that permissions are on, as manifests refer to them."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pyVmomi import vim

from provisioner.providers.api import Resource
from provisioner_plugins.vmware.flavour import VCENTER, Flavour
from provisioner_plugins.vmware.hierarchy.places import is_root
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.machine.properties import TEMPLATE, UUID
from provisioner_plugins.vmware.network.distributed import UPLINK, is_uplinks
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "datacenter": "Datacenter",
        "folder": "Folder",
        "cluster": "Cluster",
        "clusterHost": "ClusterHost",
        "resourcePool": "ResourcePool",
        "machine": "VirtualMachine",
        "storagePool": "StoragePool",
        "network": "Network",
    }
)
"""Kinds by the fields of ``on``."""
READS: Wanted = MappingProxyType(
    {
        vim.VirtualMachine: (UUID, TEMPLATE),
        vim.dvs.DistributedVirtualPortgroup: (UPLINK, "tag"),
    }
)
"""What of the inventory tells them."""
_FIELDS: tuple[tuple[type, str], ...] = (
    # The first that fits: a derived type stands before its base.
    (vim.Datacenter, "datacenter"),
    (vim.StoragePod, "storagePool"),
    (vim.Folder, "folder"),
    (vim.ClusterComputeResource, "cluster"),
    (vim.HostSystem, "clusterHost"),
    (vim.ResourcePool, "resourcePool"),
    (vim.VirtualMachine, "machine"),
    (vim.Datastore, "storagePool"),
    (vim.Network, "network"),
)
_OF_VCENTER = frozenset({"datacenter", "folder", "cluster", "clusterHost"})


def root_of(inventory: Inventory) -> str:
    """The id of what holds the whole inventory."""
    return str(inventory.client.content.rootFolder._GetMoId())


def object_of(inventory: Inventory, target: Resource) -> str | None:
    """The managed object id of what ``on`` of a Permission refers to; None while that is still to
    be made.
    """
    on = target.spec.get("on")
    if not on:
        return root_of(inventory)
    [(field, name)] = on.items()
    external_id = References(target.related).moid(KINDS[field], name)
    if field != "machine" or external_id is None:
        return external_id
    rows = inventory.rows(vim.VirtualMachine)
    return next((row.moid for row in rows if row.get(UUID) == external_id), None)


def field_of(inventory: Inventory, moid: str, flavour: Flavour) -> tuple[str, str] | None:
    """The field of ``on`` that an object is told in, and its external id; None for the whole
    inventory, and for what no kind describes: a datacenter's own folders, a cluster's own pool,
    templates, switches, on an ESXi host the host itself.
    """
    row = inventory.row(moid)
    field = None if row is None else next((f for t, f in _FIELDS if issubclass(row.kind, t)), None)
    if row is None or field is None or _is_nameless(inventory, row):
        return None
    if flavour is not VCENTER and field in _OF_VCENTER:
        return None
    return field, str(row.get(UUID)) if field == "machine" else moid


def _is_nameless(inventory: Inventory, row: Row) -> bool:
    if issubclass(row.kind, vim.VirtualMachine):
        return bool(row.get(TEMPLATE, False)) or row.get(UUID) is None
    if issubclass(row.kind, vim.ResourcePool):
        is_own = isinstance(row.get("parent"), vim.ComputeResource)
        return is_own or issubclass(row.kind, vim.VirtualApp)
    if issubclass(row.kind, vim.Folder):
        return is_root(row, inventory)
    if issubclass(row.kind, vim.dvs.DistributedVirtualPortgroup):
        return is_uplinks(row)
    return False
