"""Finds the files of disks and images: by identity, else as recorded, else by the name that the
author gave. Called by the handlers of both to observe.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Absent, Resource, Undetermined
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FileId, borrowed_path, own_path
from provisioner_plugins.vmware.storage.listing import Found, Listing, folder_for, list_all
from provisioner_plugins.vmware.storage.pool_reading import Finder
from provisioner_plugins.vmware.storage.store import stores_in
from provisioner_plugins.vmware.wire.sweep import Row


class Candidate(NamedTuple):
    """Where a file could be; ``ours``: whether it is the resource's if it is there."""

    file: FileId
    ours: bool


class Located(NamedTuple):
    """A file that was found."""

    found: Found
    ours: bool


class Places:
    """The files of some targets: every datastore in which one could be is searched once."""

    def __init__(
        self, site: Site, inventory: Inventory, targets: Sequence[Resource], *, checksums: bool
    ) -> None:
        self._inventory = inventory
        self._pools = Pools(site, inventory)
        self._candidates = {target.address: [*self._of(target)] for target in targets}
        paths: dict[str, list[str]] = {}
        for candidates in self._candidates.values():
            for candidate in candidates:
                paths.setdefault(candidate.file.datastore, []).append(candidate.file.path)
        rows = {moid: row for moid in paths if (row := _store(inventory, moid)) is not None}
        folders = {moid: folder_for(paths[moid]) for moid in rows}
        self._listings: Mapping[str, Listing] = list_all(site, folders, rows, checksums=checksums)

    def _of(self, target: Resource) -> Iterator[Candidate]:
        pool = self._pools.row(target, str(target.spec.get("pool")))
        stores = () if pool is None else [row.moid for row in stores_in(self._inventory, pool)]
        # A file that is only used is nobody's own, and known once that is recorded.
        if borrowed_path(target.spec) is None:
            for moid in stores:
                yield Candidate(FileId(moid, own_path(target)), ours=True)
        if target.external_id is not None:
            yield Candidate(FileId.parse(target.external_id), ours=True)
        # Ours are never called like their resource, so a file of others is in nobody's way, unless
        # the author gave the path of one: that is how it is taken over.
        if target.exact:
            for moid in stores:
                yield Candidate(FileId(moid, target.name), ours=False)

    def locate(self, target: Resource) -> Located | Absent | Undetermined:
        """The file of a target. Undetermined where it could be on a datastore that cannot be read,
        or that is gone: the datastore may come back with all that is on it.
        """
        for candidate in self._candidates[target.address]:
            file = candidate.file
            listing = self._listings.get(file.datastore)
            if listing is None:
                if str(file) == target.external_id and file.path != own_path(target):
                    return Undetermined(_no_datastore(target, file))
                continue
            if listing.problem is not None:
                return Undetermined(listing.problem)
            found = listing.files.get(file.path)
            if found is not None:
                return Located(found, candidate.ours)
        return Absent()

    def pool_name(self, target: Resource, datastore: str) -> str:
        """What the stack calls the pool in which a file lies: the wanted one, if it is that."""
        moids = [datastore]
        row = self._inventory.row(datastore)
        above = None if row is None else self._inventory.parent(row)
        if above is not None and issubclass(above.kind, vim.StoragePod):
            moids.append(above.moid)
        wanted = str(target.spec.get("pool", ""))
        pool = self._pools.row(target, wanted)
        if pool is not None and pool.moid in moids:
            return wanted
        for address in target.related:
            if address.kind == "StoragePool":
                pool = self._pools.row(target, address.name)
                if pool is not None and pool.moid == datastore:
                    return address.name
        return datastore


class Pools:
    """The datastores and clusters of the pools of a stack, recorded yet or not."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._finder = Finder(site, inventory)
        self._rows: dict[str, Row | None] = {}

    def row(self, target: Resource, name: str) -> Row | None:
        """That of the pool that the target's stack calls so; None if it is not there."""
        pool = target.related.get(Address("StoragePool", name))
        if pool is None:
            return None
        key = f"{pool.stamp} {pool.external_id} {pool.name}"
        if key not in self._rows:
            found = self._finder.find(pool)
            self._rows[key] = found if isinstance(found, Row) else None
        return self._rows[key]


def _store(inventory: Inventory, moid: str) -> Row | None:
    row = inventory.row(moid)
    return row if row is not None and issubclass(row.kind, vim.Datastore) else None


def _no_datastore(target: Resource, file: FileId) -> Diagnostic:
    return error(
        "PRV5323",
        f"there is no datastore {file.datastore} on the endpoint, so its files are unknown",
        detail=f"{target.address} was recorded as {file.path} on it, which may be there still.",
        hint="Apply its StoragePool first, or give the hosts the datastore again. If the file is "
        f"gone for good: provisioner state forget {target.address}",
        address=str(target.address),
    )
