"""Datastores and datastore clusters as StoragePools: found in an inventory, told as specs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp
from provisioner.core.values import Json, digest
from provisioner.providers.api import Absent, Present, Resource, Terminal, Undetermined
from provisioner_plugins.vmware.flavour import VCENTER
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.ownership import is_stamped_by
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

READS: Wanted = MappingProxyType(
    {
        vim.Datastore: ("summary.type", "summary.accessible", "summary.url", "info", "host"),
        vim.StoragePod: ("podStorageDrsEntry",),
    }
)
POOLS: Sequence[type] = (vim.Datastore, vim.StoragePod)


@dataclass(frozen=True, slots=True)
class Names:
    """What the stack calls things of the endpoint, by kind and managed object id; what it does not
    know is called by its id.
    """

    known: Mapping[tuple[str, str], str]

    @classmethod
    def of(cls, related: Mapping[Address, Resource]) -> Names:
        """The names in a stack."""
        return cls(
            {
                (address.kind, resource.external_id): address.name
                for address, resource in related.items()
                if resource.external_id is not None
            }
        )

    def name(self, kind: str, moid: str) -> str:
        """The name of one object."""
        return self.known.get((kind, moid), moid)


class Finder:
    """Finds the datastores and clusters of targets in an inventory."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self._inventory = inventory
        rows = list(inventory.rows(*POOLS))
        self._by_mark: dict[Stamp, Row] = {}
        self._by_name: dict[str, list[Row]] = {}
        for row in rows:
            mark = inventory.mark(row)
            if mark is not None:
                self._by_mark[mark.stamp] = row
            self._by_name.setdefault(name_of(row), []).append(row)

    def find(self, target: Resource) -> Row | Absent | Undetermined:
        """By its mark, by its recorded id, by its name."""
        marked = self._by_mark.get(target.stamp)
        if marked is not None:
            return marked
        by_id = self._inventory.row(target.external_id)
        if by_id is not None and issubclass(by_id.kind, tuple(POOLS)):
            return by_id
        found = self._by_name.get(target.name, [])
        if target.name.startswith("/"):
            found = self._inventory.named(target.name, POOLS)
        if len(found) > 1 and not target.name.startswith("/"):
            try:
                within = self._site.datacenter(target)
            except Terminal as problem:
                if target.exact:
                    paths = [self._inventory.path(row) for row in found]
                    return Undetermined(_ambiguous(target, paths))
                return Undetermined(problem.diagnostic)
            found = [row for row in found if self._datacenter(row) == within.moid]
        if len(found) > 1:
            paths = [self._inventory.path(row) for row in found]
            return Undetermined(_ambiguous(target, paths))
        return found[0] if found else Absent()

    def owner(self, target: Resource, row: Row) -> Stamp | None:
        """Whose it is. Without a mark it is the target's where it was recorded and there is no room
        for marks, or where its creation was begun.
        """
        mark = self._inventory.mark(row)
        if mark is not None:
            return mark.stamp
        has_room = self._site.flavour is VCENTER
        is_recorded = not has_room and row.moid == target.external_id
        return target.stamp if is_recorded or target.begun else None

    def is_ours(self, target: Resource, row: Row) -> bool:
        """Whether it may be changed for the target."""
        return is_stamped_by(target, self.owner(target, row), row.moid)

    def _datacenter(self, row: Row) -> str | None:
        found = self._inventory.above(row, vim.Datacenter)
        return None if found is None else found.moid


def spec_of(inventory: Inventory, row: Row, names: Names, *, of_vcenter: bool) -> dict[str, Any]:
    """A datastore or a cluster in canonical form. It lacks ``type`` where the common model has
    none for it.
    """
    if issubclass(row.kind, vim.StoragePod):
        spec = _cluster(inventory, row, names)
    else:
        spec = _place(row.get("info"))
        if of_vcenter:
            mounts = row.get("host", ())
            spec["hosts"] = {
                names.name("ClusterHost", mount.key._GetMoId()): {} for mount in mounts
            }
    spec |= {"autostart": True, "active": True}
    if of_vcenter:
        within, parent = inventory.above(row, vim.Datacenter), inventory.parent(row)
        if within is not None:
            spec["datacenter"] = names.name("Datacenter", within.moid)
        if parent is not None and within is not None and not _is_root(parent, within, inventory):
            spec["folder"] = names.name("Folder", parent.moid)
        mark = inventory.mark(row)
        spec |= mark.fields() if mark is not None else {"labels": {}}
    return spec


def _is_root(folder: Row, datacenter: Row, inventory: Inventory) -> bool:
    return issubclass(folder.kind, vim.StoragePod) or inventory.parent(folder) is datacenter


def _cluster(inventory: Inventory, row: Row, names: Names) -> dict[str, Any]:
    entry = row.get("podStorageDrsEntry")
    config = getattr(getattr(entry, "storageDrsConfig", None), "podConfig", None)
    members = inventory.children(row, vim.Datastore)
    return {
        "type": "cluster",
        "members": {names.name("StoragePool", member.moid): {} for member in members},
        "drs": bool(getattr(config, "enabled", False)),
    }


def _place(info: Any) -> dict[str, Any]:
    if isinstance(info, vim.host.NasDatastoreInfo) and info.nas is not None:
        if info.nas.type != vim.host.FileSystemVolume.FileSystemType.NFS:
            return {}
        source = {"host": str(info.nas.remoteHost), "directory": str(info.nas.remotePath)}
        return {"type": "netfs", "source": {**source, "format": "nfs"}}
    if isinstance(info, vim.host.VmfsDatastoreInfo) and info.vmfs is not None:
        extents = [str(extent.diskName) for extent in info.vmfs.extent]
        return {"type": "vmfs", "source": {"devices": extents}}
    if isinstance(info, vim.host.LocalDatastoreInfo):
        return {"type": "dir", "path": str(info.path or info.url)}
    return {}


def sort_of(row: Row) -> str:
    """What a datastore is that the common model has no type for, in words."""
    nas = getattr(row.get("info"), "nas", None)
    if nas is None:
        return f"of the type {row.get('summary.type')}"
    servers = nas.remoteHostNames or [nas.remoteHost]
    return f"of the type {nas.type}, {nas.remotePath} of {', '.join(map(str, servers))}"


def present(
    row: Row, spec: Mapping[str, Any], owner: Stamp | None, itself: Mapping[str, Json]
) -> Present:
    """The observation of a datastore or cluster. ``itself`` is what does not depend on who asks:
    the spec with ids for names, and the mark.
    """
    return Present(
        external_id=row.moid,
        owner=owner,
        spec=spec,
        fingerprint=digest(
            {
                "id": row.moid,
                "name": str(row.get("name")),
                **itself,
            }
        ),
        outputs=outputs_of(row),
        facts={"accessible": bool(row.get("summary.accessible", True))},
        name=name_of(row),
    )


def outputs_of(row: Row) -> dict[str, Json]:
    """The path on hosts; a cluster has none."""
    url = str(row.get("summary.url", ""))
    return {"path": url.removeprefix("ds://").rstrip("/") or "/"} if url else {}


def _ambiguous(target: Resource, paths: Sequence[str]) -> Diagnostic:
    return error(
        "PRV5324",
        f"{len(paths)} datastores are called {target.name!r}",
        detail=f"Their paths: {', '.join(paths)}.",
        hint="Write the whole path into metadata.externalName.",
        address=str(target.address),
        path=("externalName",),
    )
