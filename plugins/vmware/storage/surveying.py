"""Everything on the datastores of an endpoint that is a disk or an image, for discovery."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pyVmomi import vim

from provisioner.core.diagnostics import Diagnostic
from provisioner.core.identity import Stamp
from provisioner.core.values import digest
from provisioner.providers.api import Discovered, Present
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine.properties import EXTENSION
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.backing import file_of, layers_of
from provisioner_plugins.vmware.storage.file import FOLDER, FileId, datastore_path, maker
from provisioner_plugins.vmware.storage.listing import EVERYWHERE, Found, list_all
from provisioner_plugins.vmware.wire.sweep import look

_OF_IMAGE = re.compile(rf"{FOLDER}/.*\.raw\.vmdk")
_PART = re.compile(rf"{FOLDER}/.*\.partial\.[a-z]+|.*-ctk\.vmdk")
"""What is no disk by itself: what is still being made, and the tracked changes of a disk."""
_LAYER = re.compile(r".*-[0-9]{6}\.vmdk")
"""How vSphere calls what a snapshot lays over a disk."""
_OF_SERVICES: Mapping[str, str] = MappingProxyType(
    {
        "fcd/": "it is a first class disk, which its own service (such as Kubernetes) looks after",
        "contentlib-": "it is an item of a content library: use source.libraryItem",
    }
)
"""Folders at the top of datastores in which services keep what is theirs, by their beginnings."""


@dataclass(frozen=True, slots=True)
class Surveyed:
    """A file, and what it is taken for. ``owner``: which resource its name tells to have made it;
    ``notes``: why there can be no manifest of it.
    """

    found: Found
    is_disk: bool
    owner: Stamp | None
    notes: tuple[str, ...] = ()

    @property
    def form(self) -> str:
        """Its format as an image."""
        if self.found.file.path.endswith(".iso"):
            return "iso"
        return "raw" if _OF_IMAGE.fullmatch(self.found.file.path) else "vmdk"


@dataclass(frozen=True, slots=True)
class Unread:
    """A datastore whose files nobody could read."""

    datastore: FileId
    name: str
    problem: Diagnostic

    def told(self, kind: str) -> Discovered:
        """A remark instead of what of ``kind`` is on it."""
        why = f"what is on it is not told: {self.problem.summary}"
        if self.problem.detail:
            why += f" ({' '.join(self.problem.detail.split())})"
        observed = Present(str(self.datastore), None, {}, digest({"unread": self.name}))
        return Discovered(kind, datastore_path(self.name, "").rstrip(), observed, (why,))


def survey(site: Site, inventory: Inventory) -> Iterator[Surveyed | Unread]:
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
    for moid, row in stores.items():
        problem = listings[moid].problem
        if problem is not None:
            yield Unread(FileId(moid, ""), name_of(row), problem)
            continue
        for path, found in sorted(listings[moid].files.items()):
            if _PART.fullmatch(path) or found.file in beside:
                continue
            is_layer = _LAYER.fullmatch(path) is not None and found.file not in layers.bases
            if found.file in layers.tops or is_layer:
                continue
            yield surveyed(found)


def surveyed(found: Found) -> Surveyed:
    """What a file is taken for by its name. A checksum is beside what was uploaded as an image."""
    path = found.file.path
    made_image = maker(path, is_image=True) if found.checksum is not None else None
    is_image = made_image is not None or path.endswith(".iso") or bool(_OF_IMAGE.fullmatch(path))
    notes = tuple(why for start, why in _OF_SERVICES.items() if path.startswith(start))
    return Surveyed(found, not is_image, made_image or maker(path), notes)


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
