"""Copies of disks that another tool has made: which files they are, and how old. Called by
:mod:`handler`.

A tool that copies datastores, or machines with their folders, keeps the names of files: the copy of
a disk has the path that the disk has where its machine runs, on a datastore of the Disk's pool at
the receiving endpoint. Once it is promoted it has the path of an own file (see
:mod:`~provisioner_plugins.vmware.storage.file`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from posixpath import dirname, join
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.providers.api import ProviderError, Resource, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FOLDER, FileId, own_path, split_path
from provisioner_plugins.vmware.storage.listing import EVERYWHERE
from provisioner_plugins.vmware.storage.places import Pools
from provisioner_plugins.vmware.storage.store import Store, Stores, stores_in
from provisioner_plugins.vmware.wire.errors import VANISHED

_Browser = vim.host.DatastoreBrowser
_EXTENT = r"-(?:flat|sesparse|delta|rdmp?|[fs][0-9]{3})"
_LAYER = r"-[0-9]{6}"

Place = tuple[Store, str]
"""A datastore, and a path there."""
Times = Mapping[str, datetime]
"""When each of the files of a datastore was written to last, by path."""


class Copy(NamedTuple):
    """The copy of a disk. ``taken``: when it was written to last, by the clock of its host or of
    the one that it was copied from. ``layers`` are files of snapshots that lie over it.
    """

    store: Store
    path: str
    taken: datetime
    layers: tuple[str, ...] = ()

    @property
    def file(self) -> FileId:
        """Where it is."""
        return FileId(self.store.moid, self.path)

    @property
    def text(self) -> str:
        """As vSphere writes it."""
        return self.store.text(self.path)


class Found(NamedTuple):
    """What there is of a replica: copies by disk, None where one is missing; the files of
    its drill. ``problem``: in words, why it could not be looked for.
    """

    copies: Mapping[Address, Copy | None]
    staged: frozenset[FileId] = frozenset()
    problem: str = ""

    @property
    def whole(self) -> Mapping[Address, Copy] | None:
        """The copies of all disks; None if one is missing, or there is no disk."""
        there = {address: copy for address, copy in self.copies.items() if copy is not None}
        return there if there and len(there) == len(self.copies) else None


def staging_folder(machine: Resource) -> str:
    """Where the disks of a machine's drill lie on the datastores of its copies."""
    return f"{FOLDER}/drill.{machine.uid.hex[:8]}"


def find_copies(
    site: Site, replicas: Sequence[Replica], deadline: Deadline
) -> Mapping[Address, Found]:
    """What there is of each replica, by the machine's address, with one look at the inventory and
    one search of each datastore. Raises Retryable.
    """
    # A datastore may have been mounted since, or mounted anew, by the tool that fills it.
    inventory = site.places(anew=True)
    pools = Pools(site, inventory)

    def stores(disk: Resource) -> list[Store]:
        row = pools.row(disk, str(disk.spec["pool"]))
        if row is None:
            return Stores(site).of_pool(disk)  # which says what is missing
        return [Store(site, inventory, item) for item in stores_in(inventory, row)]

    wanted: dict[Address, Mapping[Address, list[Place]]] = {}
    result: dict[Address, Found] = {}
    for replica in replicas:
        machine = replica.machine.address
        try:
            wanted[machine] = {
                address: [*_places(stores(disk), replica, disk)]
                for address, disk in replica.disks.items()
            }
        except Terminal as problem:
            result[machine] = Found(
                dict.fromkeys(replica.disks), problem=problem.diagnostic.summary
            )
    every = [place for disks in wanted.values() for found in disks.values() for place in found]
    times = times_on(site, every, deadline)
    for replica in replicas:
        machine = replica.machine.address
        if machine in wanted:
            result[machine] = _found(replica, wanted[machine], times)
    return result


def _found(
    replica: Replica,
    wanted: Mapping[Address, Sequence[Place]],
    answers: Mapping[str, Times | Terminal],
) -> Found:
    moids = {store.moid for places in wanted.values() for store, _ in places}
    searched: dict[str, Times] = {}
    problem = ""
    for moid in sorted(moids):
        answer = answers[moid]
        if isinstance(answer, Terminal):
            problem = problem or answer.diagnostic.summary
        else:
            searched[moid] = answer
    folder = staging_folder(replica.machine)
    return Found(
        {address: copy_at(places, searched) for address, places in wanted.items()},
        frozenset(
            FileId(moid, path)
            for moid, times in searched.items()
            for path in times
            if dirname(path) == folder
        ),
        problem,
    )


def _places(stores: Sequence[Store], replica: Replica, disk: Resource) -> Iterator[Place]:
    """Where on these datastores the copy of a disk may be, the likeliest place first."""
    source = replica.machine.related.get(disk.address)
    paths = [own_path(disk)]
    if source is not None and source.external_id is not None:
        paths.insert(0, FileId.parse(source.external_id).path)
    if disk.external_id is not None:
        paths.append(FileId.parse(disk.external_id).path)
    for store in stores:
        for path in dict.fromkeys(paths):
            yield store, path


def copy_at(places: Sequence[Place], searched: Mapping[str, Times]) -> Copy | None:
    """The disk at the first of these places where there is one, with its age."""
    for store, path in places:
        times = searched.get(store.moid, {})
        if path in times:
            stem = re.escape(path.removesuffix(".vmdk"))
            parts = [times[name] for name in times if re.fullmatch(f"{stem}{_EXTENT}\\.vmdk", name)]
            layers = sorted(name for name in times if re.fullmatch(f"{stem}{_LAYER}\\.vmdk", name))
            return Copy(store, path, max([times[path], *parts]), tuple(layers))
    return None


def times_on(
    site: Site, places: Iterable[Place], deadline: Deadline
) -> Mapping[str, Times | Terminal]:
    """When the disks' files on datastores were written to, by the ids of these; all are searched at
    once, in the folders that the paths are in. Raises Retryable.
    """
    stores: dict[str, Store] = {}
    folders: dict[str, set[str]] = {}
    for store, path in places:
        stores[store.moid] = store
        folders.setdefault(store.moid, set()).add(dirname(path))
    result: dict[str, Times | Terminal] = {}
    started = []
    for moid, store in stores.items():
        folder = FOLDER if folders[moid] == {FOLDER} else EVERYWHERE
        what = f"search datastore {store.name}"
        try:
            started.append((moid, (what, _search(site, store, folder, what))))
        except Terminal as problem:
            result[moid] = problem
    answers = site.tasks.gather([task for _, task in started], deadline)
    for (moid, _), answer in zip(started, answers, strict=True):
        if isinstance(answer, Terminal):
            # The folder is made with the first file in it.
            is_missing = answer.diagnostic.code == VANISHED.code
            result[moid] = {} if is_missing else answer
        elif isinstance(answer, ProviderError):
            raise answer
        else:
            result[moid] = dict(_read(answer or ()))
    return result


def _search(site: Site, store: Store, folder: str, what: str) -> Any:
    path, browser = store.text(folder), store.row.get("browser")
    return site.client.call(what, lambda _: browser.SearchDatastoreSubFolders_Task(path, _SPEC))


def _read(results: Iterable[Any]) -> Iterator[tuple[str, datetime]]:
    for result in results:
        folder = split_path(str(result.folderPath))[1].strip("/")
        for info in result.file or ():
            if info.modification is not None:
                yield join(folder, str(info.path)), info.modification.astimezone(UTC)


_SPEC = _Browser.SearchSpec(
    # Not as disks: of these only the descriptors are told, which nobody writes to.
    details=_Browser.FileInfo.Details(
        fileType=False, fileSize=False, modification=True, fileOwner=False
    ),
    matchPattern=["*.vmdk"],
)
