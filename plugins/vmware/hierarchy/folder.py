"""Folders of the inventory."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.places import folder_above, is_root
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

_HOLDS = {
    "VirtualMachine": "machine",
    "ComputeResource": "host",
    "Datastore": "storage",
    "Network": "network",
    "Datacenter": "datacenter",
}
"""The type of a folder by what can be in it (Folder.childType)."""


class FolderHandler(EntityHandler):
    """Handler of the kind Folder."""

    kind = "Folder"
    title = "folder"
    sort = vim.Folder
    reads: Wanted = MappingProxyType({})
    places = ("parent",)

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        kind = str(target.spec.get("type", "machine"))
        return folder_above(self._site, inventory, target, kind, "parent")

    def is_meant(self, row: Row) -> bool:
        """Neither a datacenter's own folders nor clusters of datastores."""
        if issubclass(row.kind, vim.StoragePod):
            return False
        return row.get("parent") is None or not isinstance(row.get("parent"), vim.Datacenter)

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        held = next((_HOLDS[name] for name in row.get("childType", ()) if name in _HOLDS), "")
        spec: dict[str, Any] = {"type": held}
        within, parent = inventory.above(row, vim.Datacenter), inventory.parent(row)
        if within is not None:
            spec["datacenter"] = names.name("Datacenter", within.moid)
        if parent is not None and not is_root(parent, inventory):
            spec["parent"] = names.name("Folder", parent.moid)
        return spec

    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """See the base."""
        del deadline
        folder = self._site.client.managed(vim.Folder, above)
        return self._site.client.call(
            f"create folder {resource.name}",
            lambda _: folder.CreateFolder(escaped(resource.name)),
        )

    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """A folder has nothing of its own."""

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Refused while something is in it: vSphere would remove that, too."""
        self.require_empty(resource, [self.entity(row)], {vim.Folder: ("childEntity",)})
        super().remove(inventory, resource, row, deadline)
