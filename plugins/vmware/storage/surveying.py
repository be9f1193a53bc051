"""Everything on the datastores of an endpoint that is a disk or an image, for discovery."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pyVmomi import vim

from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.machine.properties import EXTENSION
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.backing import file_of, layers_of
from provisioner_plugins.vmware.storage.file import FOLDER, FileId
from provisioner_plugins.vmware.storage.listing import EVERYWHERE, Found, list_all
from provisioner_plugins.vmware.wire.sweep import look

_OF_IMAGE = re.compile(rf"{FOLDER}/.*\.raw\.vmdk")
_PARTIAL = re.compile(rf"{FOLDER}/.*\.partial\.[a-z]+")
_LAYER = re.compile(r".*-[0-9]{6}\.vmdk")
"""How vSphere calls what a snapshot lays over a disk."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A file, and what it is taken for."""

    found: Found
    is_disk: bool
    notes: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """Its format as an image."""
        if self.found.file.path.endswith(".iso"):
            return "iso"
        return "raw" if _OF_IMAGE.fullmatch(self.found.file.path) else "vmdk"


def survey(site: Site, inventory: Inventory) -> Iterator[Surveyed]:
    """Disks and images in the order of the paths of their datastores, then of their own. What is
    on a datastore that no host can reach is not told; its pool says so.
    """
    stores = {
        row.moid: row
        for row in inventory.rows(vim.Datastore)
        if row.get("summary.accessible", True)
    }
    listings = list_all(site, dict.fromkeys(stores, EVERYWHERE), stores, checksums=True)
    layers, beside = _used(site, inventory)
    for moid in stores:
        problem = listings[moid].problem
        if problem is not None:
            raise Terminal(problem)
        for path, found in sorted(listings[moid].files.items()):
            if _PARTIAL.fullmatch(path) or found.file in beside:
                continue
            is_layer = _LAYER.fullmatch(path) is not None and found.file not in layers.bases
            if found.file in layers.tops or is_layer:
                continue
            is_image = path.endswith(".iso") or _OF_IMAGE.fullmatch(path) is not None
            yield Surveyed(found, not is_image)


@dataclass(frozen=True, slots=True)
class _Layers:
    bases: frozenset[FileId]
    tops: frozenset[FileId]


def _used(site: Site, inventory: Inventory) -> tuple[_Layers, frozenset[FileId]]:
    machines = [
        site.client.managed(vim.VirtualMachine, row.moid)
        for row in inventory.rows(vim.VirtualMachine)
    ]
    wanted = {vim.VirtualMachine: ("config.template", EXTENSION, "config.hardware.device")}
    bases: set[FileId] = set()
    tops: set[FileId] = set()
    beside: set[FileId] = set()
    for row in look(site.client, "read the disks of machines", machines, wanted):
        is_used = not row.get("config.template", False) and row.get(EXTENSION) is None
        known = bases if is_used else beside
        for device in row.get("config.hardware.device", ()):
            if isinstance(device, vim.vm.device.VirtualDisk):
                *layers, base = map(file_of, layers_of(device.backing))
                known.update((base,) if base is not None else ())
                tops.update(layer for layer in layers if layer is not None)
    return _Layers(frozenset(bases), frozenset(tops)), frozenset(beside)
