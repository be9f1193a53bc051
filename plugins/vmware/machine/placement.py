"""Where a machine is, in the words of its spec, and moving it elsewhere.

Which host of a cluster runs it is the cluster's choice: it is neither told nor compared.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine.home import datastore_of, folder_of, pool_of
from provisioner_plugins.vmware.machine.host_choice import host_without_drs
from provisioner_plugins.vmware.machine.reading import Machine
from provisioner_plugins.vmware.machine.record import DISK
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import split_path
from provisioner_plugins.vmware.wire.sweep import Row


def placement_of(inventory: Inventory, machine: Machine, names: References) -> dict[str, str]:
    """The section ``placement`` of an observed machine."""
    found: dict[str, str] = {}
    row = inventory.row(machine.row.moid) or machine.row
    folder = inventory.parent(row)
    if folder is not None and not _is_own(inventory, folder):
        found["folder"] = names.name("Folder", folder.moid)
    pool = inventory.row(_moid(machine.row.get("resourcePool")))
    if pool is not None:
        owner = inventory.above(pool, vim.ComputeResource)
        if inventory.parent(pool) is not owner:
            found["resourcePool"] = names.name("ResourcePool", pool.moid)
        if owner is not None and issubclass(owner.kind, vim.ClusterComputeResource):
            found["cluster"] = names.name("Cluster", owner.moid)
    store = _store(inventory, machine)
    if store is not None:
        found["storagePool"] = names.name("StoragePool", store.moid)
    return found


def _is_own(inventory: Inventory, folder: Row) -> bool:
    parent = inventory.parent(folder)
    return parent is not None and issubclass(parent.kind, vim.Datacenter)


def _store(inventory: Inventory, machine: Machine) -> Row | None:
    name = split_path(machine.record.home)[0]
    row = inventory.row(machine.row.moid)
    within = None if row is None else inventory.above(row, vim.Datacenter)
    for store in inventory.rows(vim.Datastore):
        if name_of(store) == name and inventory.above(store, vim.Datacenter) is within:
            return store
    return None


def move(
    site: Site,
    resource: Resource,
    found: Machine,
    fields: Collection[str],
    deadline: Deadline,
) -> None:
    """Bring a machine to where its spec has it, as far as ``fields`` of its placement ask."""
    if not fields:
        return
    entity = site.client.managed(vim.VirtualMachine, found.row.moid)
    if "folder" in fields:
        folder = site.client.managed(vim.Folder, folder_of(site, resource))
        site.run(
            f"move machine {resource.name} into another folder",
            lambda _: folder.MoveIntoFolder_Task([entity]),
            deadline,
        )
    where = vim.vm.RelocateSpec()
    store = datastore_of(site, resource) if "storagePool" in fields else None
    if {"cluster", "resourcePool"} & {*fields}:
        pool, host = pool_of(site, resource)
        host = host or host_without_drs(site, resource, pool, store, entity)
        where.pool = site.client.managed(vim.ResourcePool, pool)
        where.host = None if host is None else site.client.managed(vim.HostSystem, host)
    if "storagePool" in fields:
        where.datastore = None if store is None else site.client.managed(vim.Datastore, store.moid)
        # Only the machine's own files: every disk stays where it is, but those that came with it.
        where.disk = [
            vim.vm.RelocateSpec.DiskLocator(
                diskId=disk.key, datastore=site.client.managed(vim.Datastore, disk.file.datastore)
            )
            for disk in found.record.of_sort(DISK)
            if disk.file is not None and disk.key not in found.own
        ]
    if where.pool is not None or where.datastore is not None:
        site.run(
            f"move machine {resource.name}",
            lambda _: entity.RelocateVM_Task(
                where, vim.VirtualMachine.MovePriority.defaultPriority
            ),
            deadline,
        )


def _moid(reference: Any) -> str | None:
    return None if reference is None else str(reference._GetMoId())
