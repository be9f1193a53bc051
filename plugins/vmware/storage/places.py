"""Finds the files of disks and images: by identity, else as recorded, else by the name that the
author gave. Called by the handlers of both to observe.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Absent, Resource, Undetermined
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FileId, borrowed_path, own_path
from provisioner_plugins.vmware.storage.listing import Found, Listing, folder_for, list_all
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
        self._candidates = {t.address: list(_candidates(inventory, t)) for t in targets}
        paths: dict[str, list[str]] = {}
        for candidates in self._candidates.values():
            for candidate in candidates:
                paths.setdefault(candidate.file.datastore, []).append(candidate.file.path)
        rows = {moid: row for moid in paths if (row := _store(inventory, moid)) is not None}
        folders = {moid: folder_for(paths[moid]) for moid in rows}
        self._listings: Mapping[str, Listing] = list_all(site, folders, rows, checksums=checksums)

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
        pools = {
            address.name: resource.external_id
            for address, resource in target.related.items()
            if address.kind == "StoragePool"
        }
        wanted = str(target.spec.get("pool", ""))
        if pools.get(wanted) in moids:
            return wanted
        return next((name for name, moid in pools.items() if moid == datastore), datastore)


def _candidates(inventory: Inventory, target: Resource) -> Iterator[Candidate]:
    borrowed = borrowed_path(target.spec)
    stores = [row.moid for row in _pool_stores(inventory, target)]
    for moid in stores:
        yield Candidate(FileId(moid, borrowed or own_path(target)), ours=borrowed is None)
    if target.external_id is not None:
        yield Candidate(FileId.parse(target.external_id), ours=True)
    # Ours are never called like their resource, so a file of others is in nobody's way, unless the
    # author gave the path of one: that is how it is taken over.
    if target.exact:
        for moid in stores:
            yield Candidate(FileId(moid, target.name), ours=False)


def _pool_stores(inventory: Inventory, target: Resource) -> Iterable[Row]:
    pool = target.related.get(Address("StoragePool", str(target.spec.get("pool"))))
    row = inventory.row(None if pool is None else pool.external_id)
    return () if row is None else stores_in(inventory, row)


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
