"""What lies on datastores: one search of each, however many files are asked about. Called for
every observation of disks and images, and before one is made.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from posixpath import basename, dirname, join
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.storage.file import FOLDER, FileId, datastore_path, split_path
from provisioner_plugins.vmware.storage.namespaces import TYPE
from provisioner_plugins.vmware.wire.errors import VANISHED
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

READS: Wanted = {vim.Datastore: ("browser", "summary.accessible", TYPE)}
_Browser = vim.host.DatastoreBrowser
_SECONDS = 600.0
"""An observation has no deadline of its own; searching a large datastore takes minutes."""
_MARKER = ".sha256-"
_LONGEST = 128
"""Characters of the name of a file on VMFS. Source: VMware vSphere Storage, VMFS Datastores."""
_DIGITS_OF_NAME = 16
EVERYWHERE = ""
"""The folder that stands for the whole datastore."""


@dataclass(frozen=True, slots=True)
class Found:
    """A file on a datastore. ``size`` and ``capacity``, which is what a guest sees of a disk, in
    bytes; ``capacity`` None: nobody tells.
    """

    file: FileId
    datastore: str
    size: int
    capacity: int | None
    checksum: str | None = None

    @property
    def text(self) -> str:
        """As vSphere writes it."""
        return datastore_path(self.datastore, self.file.path)


@dataclass(frozen=True, slots=True)
class Listing:
    """The disks and CD images of one datastore by path; ``problem``: why it could not be read."""

    files: Mapping[str, Found] = field(default_factory=dict)
    problem: Diagnostic | None = None


def marker(path: str, sha256: str) -> str:
    """The path of the file beside an image whose name tells the SHA-256 of that."""
    whole = f"{path}{_MARKER}{sha256}"
    return whole if len(basename(whole)) <= _LONGEST else f"{_short(path)}{_MARKER}{sha256}"


def markers(path: str, sha256: str) -> Iterable[str]:
    """Every path that such a file may have: on NFS one may have a longer name, from before there
    were short ones.
    """
    return dict.fromkeys((f"{path}{_MARKER}{sha256}", marker(path, sha256)))


def _short(path: str) -> str:
    """What stands for a long name in that of its marker."""
    digits = hashlib.sha256(basename(path).encode()).hexdigest()[:_DIGITS_OF_NAME]
    return join(dirname(path), digits)


def folder_for(paths: Iterable[str]) -> str:
    """The smallest folder to search in which all these paths are."""
    return FOLDER if all(dirname(path) == FOLDER for path in paths) else EVERYWHERE


def list_all(
    site: Site, folders: Mapping[str, str], rows: Mapping[str, Row], *, checksums: bool
) -> dict[str, Listing]:
    """The listings of several datastores by their ids, all searched at once. ``folders`` says what
    of each is searched, ``rows`` has the datastores; ``checksums``: whether they are asked for.
    """
    deadline = Deadline.after(_SECONDS, site.client.context.clock)
    listings: dict[str, Listing] = {}
    started: list[tuple[str, str, Any]] = []
    for moid, folder in folders.items():
        row = rows[moid]
        what = f"search datastore {name_of(row)}"
        if not row.get("summary.accessible", True):
            listings[moid] = Listing(problem=_out_of_reach(name_of(row)))
            continue
        try:
            started += [
                (moid, what, _start(site, row, folder, spec))
                for spec in (_SPECS if checksums else _SPECS[:1])
            ]
        except Terminal as problem:
            listings[moid] = Listing(problem=problem.diagnostic)
    answers = site.tasks.gather([(what, task) for _, what, task in started], deadline)
    results: dict[str, list[Any]] = {}
    for (moid, _, _), answer in zip(started, answers, strict=True):
        if isinstance(answer, Retryable):
            raise answer
        if isinstance(answer, Terminal):
            # The folder is made with the first file in it.
            is_missing = answer.diagnostic.code == VANISHED.code and folders[moid] != EVERYWHERE
            listings[moid] = Listing() if is_missing else Listing(problem=answer.diagnostic)
        else:
            results.setdefault(moid, []).extend(answer or ())
    for moid, found in results.items():
        if moid not in listings:
            listings[moid] = Listing(read(moid, name_of(rows[moid]), found))
    return listings


def _start(site: Site, row: Row, folder: str, spec: Any) -> Any:
    path = datastore_path(str(row.get("name")), folder)
    browser = row.get("browser")
    return site.client.call(
        f"search datastore {name_of(row)}",
        lambda _: browser.SearchDatastoreSubFolders_Task(path, spec),
    )


def find(
    site: Site, row: Row, path: str, deadline: Deadline, *, checksums: bool = False
) -> Found | None:
    """One disk or CD image of a datastore, as it is now."""
    disks, tell = _SPECS
    name = basename(path)
    kinds = [(disks, [name])]
    if checksums:
        kinds.append((tell, [f"{name}{_MARKER}*", f"{basename(_short(path))}{_MARKER}*"]))
    return read(row.moid, name_of(row), _look(site, row, path, kinds, deadline)).get(path)


def _look(
    site: Site, row: Row, path: str, kinds: Iterable[tuple[Any, list[str]]], deadline: Deadline
) -> list[Any]:
    what = f"look for {datastore_path(name_of(row), path)}"
    folder = datastore_path(str(row.get("name")), dirname(path))
    started = []
    for spec, patterns in kinds:
        one = _Browser.SearchSpec(query=spec.query, details=spec.details, matchPattern=patterns)
        search = partial(_search, row.get("browser"), folder, one)
        started.append((what, site.client.call(what, search)))
    results = []
    for answer in site.tasks.gather(started, deadline):
        if isinstance(answer, Terminal) and answer.diagnostic.code == VANISHED.code:
            continue
        if isinstance(answer, ProviderError):
            raise answer
        results.append(answer)
    return results


def _search(browser: Any, folder: str, spec: Any, _: Any) -> Any:
    return browser.SearchDatastore_Task(folder, spec)


def read(moid: str, datastore: str, results: Iterable[Any]) -> dict[str, Found]:
    """The files in results of searches (``HostDatastoreBrowserSearchResults``) by path."""
    files: dict[str, Any] = {}
    checksums: dict[str, str] = {}
    for result in results:
        folder = split_path(str(result.folderPath))[1].strip("/")
        for info in result.file or ():
            path = join(folder, str(info.path))
            image, marked, digits = path.partition(_MARKER)
            if marked:
                checksums[image] = f"sha256:{digits}"
            else:
                files[path] = info
    found = {}
    for path, info in files.items():
        capacity = getattr(info, "capacityKb", None)
        found[path] = Found(
            FileId(moid, path),
            datastore,
            int(info.fileSize or 0),
            None if capacity is None else int(capacity) * 1024,
            checksums.get(path, checksums.get(_short(path))),
        )
    return found


def _specs() -> tuple[Any, ...]:
    details = _Browser.FileInfo.Details(
        fileType=True, fileSize=True, modification=False, fileOwner=False
    )
    disks = _Browser.VmDiskQuery(
        details=_Browser.VmDiskQuery.Details(
            diskType=False,
            capacityKb=True,
            hardwareVersion=False,
            controllerType=False,
            diskExtents=False,
            thin=False,
        )
    )
    return (
        _Browser.SearchSpec(
            query=[disks, _Browser.IsoImageQuery()],
            details=details,
            matchPattern=["*.vmdk", "*.iso"],
        ),
        _Browser.SearchSpec(details=details, matchPattern=[f"*{_MARKER}*"]),
    )


_SPECS = _specs()
"""Disks and CD images; the checksums that are known of them."""


def _out_of_reach(datastore: str) -> Diagnostic:
    return error(
        "PRV5350",
        f"the datastore {datastore} cannot be read",
        detail="No host of it can reach it now.",
        hint="Check its storage, and that a host which has it is connected.",
    )
