"""Datastore clusters as StoragePools of the type ``cluster``; called by the StoragePool handler."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.ownership import half_made
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row


class Pods:
    """The datastore clusters of a vCenter."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def make(
        self, resource: Resource, inventory: Inventory, row: Row | None, deadline: Deadline
    ) -> str:
        """Make it, or complete ``row``; returns its id."""
        moid = row.moid if row is not None else self._create(resource)
        with half_made():
            self._set_drs(resource, moid, deadline)
            self._gather(resource, inventory, moid, deadline)
        return moid

    def edit(
        self,
        resource: Resource,
        inventory: Inventory,
        row: Row,
        fields: Collection[str],
        deadline: Deadline,
    ) -> None:
        """Carry out changes of these fields."""
        if "drs" in fields:
            self._set_drs(resource, row.moid, deadline)
        if "members" in fields:
            wanted = self._gather(resource, inventory, row.moid, deadline)
            members = inventory.children(row, vim.Datastore)
            self._release(inventory, row, [m for m in members if m.moid not in wanted], deadline)

    def remove(self, inventory: Inventory, row: Row, deadline: Deadline) -> None:
        """Let its members go, and remove it."""
        self._release(inventory, row, inventory.children(row, vim.Datastore), deadline)
        pod = self._pod(row.moid)
        what = f"remove the datastore cluster {name_of(row)}"
        self._site.run(what, lambda _: pod.Destroy_Task(), deadline)

    def _create(self, resource: Resource) -> str:
        folder = self._folder(resource)
        made = self._site.client.call(
            f"create the datastore cluster {resource.name}",
            lambda _: folder.CreateStoragePod(resource.name),
        )
        return str(made._GetMoId())

    def _folder(self, resource: Resource) -> Any:
        name = resource.spec.get("folder")
        if name is not None:
            row = self._site.referred(resource, "Folder", ("folder",), name)
            return self._site.client.managed(vim.Folder, row.moid)
        return self._site.datacenter(resource).get("datastoreFolder")

    def _set_drs(self, resource: Resource, moid: str, deadline: Deadline) -> None:
        pod = self._pod(moid)
        spec = vim.storageDrs.ConfigSpec(
            podConfigSpec=vim.storageDrs.PodConfigSpec(enabled=resource.spec.get("drs", False))
        )
        self._site.run(
            f"configure the datastore cluster {resource.name}",
            lambda content: content.storageResourceManager.ConfigureStorageDrsForPod_Task(
                pod, spec, modify=True
            ),
            deadline,
        )

    def _gather(
        self, resource: Resource, inventory: Inventory, moid: str, deadline: Deadline
    ) -> set[str]:
        """Move in what is to be in it and is not; returns the ids of all that is to be."""
        wanted = {
            self._site.referred(resource, "StoragePool", ("members", name), name).moid
            for name in resource.spec.get("members", {})
        }
        outside = []
        for member in sorted(wanted):
            row = inventory.row(member)
            parent = None if row is None else inventory.parent(row)
            if parent is None or parent.moid != moid:
                outside.append(self._site.client.managed(vim.Datastore, member))
        if outside:
            pod = self._pod(moid)
            what = f"fill the datastore cluster {resource.name}"
            self._site.run(what, lambda _: pod.MoveIntoFolder_Task(outside), deadline)
        return wanted

    def _release(
        self, inventory: Inventory, row: Row, members: Collection[Row], deadline: Deadline
    ) -> None:
        above = inventory.parent(row)
        if members and above is not None:
            stores = [self._site.client.managed(vim.Datastore, item.moid) for item in members]
            folder = self._site.client.managed(vim.Folder, above.moid)
            what = f"empty the datastore cluster {name_of(row)}"
            self._site.run(what, lambda _: folder.MoveIntoFolder_Task(stores), deadline)

    def _pod(self, moid: str) -> Any:
        return self._site.client.managed(vim.StoragePod, moid)
