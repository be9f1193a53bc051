"""Datacenters."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource
from provisioner_plugins.vmware.building import escaped
from provisioner_plugins.vmware.hierarchy.entity import EntityHandler
from provisioner_plugins.vmware.hierarchy.places import folder_above
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

FOLDERS = ("vmFolder", "hostFolder", "datastoreFolder", "networkFolder")


class DatacenterHandler(EntityHandler):
    """Handler of the kind Datacenter."""

    kind = "Datacenter"
    title = "datacenter"
    sort = vim.Datacenter
    reads: Wanted = MappingProxyType({})
    places = ("folder",)

    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """See the base."""
        return folder_above(self._site, inventory, target, "datacenter", "folder")

    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """See the base."""
        parent = inventory.parent(row)
        return {} if parent is None else {"folder": names.name("Folder", parent.moid)}

    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """See the base."""
        del deadline
        folder = self._site.client.managed(vim.Folder, above)
        return self._site.client.call(
            f"create datacenter {resource.name}",
            lambda _: folder.CreateDatacenter(escaped(resource.name)),
        )

    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """A datacenter has nothing of its own."""

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Refused while something is in it: vSphere would remove that, too."""
        held = [row.get(name) for name in FOLDERS if row.get(name) is not None]
        self.require_empty(resource, held, {vim.Folder: ("childEntity",)})
        super().remove(inventory, resource, row, deadline)
