"""Files on datastores: their names, which carry identity because vSphere keeps no metadata of
them. Pure.

``[datastore1] provisioner/web-root.1f2e3d4c.vmdk`` is the disk of Disk/web-root, with the first 8
digits of its UUID, in a folder that no machine calls its own. While it is being made its name has
``.partial`` before the ending: what bears its whole name is whole.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, unquote
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Resource

FOLDER = "provisioner"
"""Folder of a datastore in which everything lies that is made for a Disk or an Image."""
_PLAIN = ":"
_DATASTORE_PATH = re.compile(r"\[(?P<datastore>[^\]]*)\] ?(?P<path>.*)")


class FileId(NamedTuple):
    """A file by the managed object id of its datastore and its path there; its text is the
    ``external_id`` of disks and images. The id of an NFS datastore of an ESXi host has slashes in
    it, which are escaped.
    """

    datastore: str
    path: str

    def __str__(self) -> str:
        return f"{quote(self.datastore, safe=_PLAIN)}/{self.path}"

    @classmethod
    def parse(cls, text: str) -> FileId:
        """Read an ``external_id``."""
        datastore, _, path = text.partition("/")
        return cls(unquote(datastore), path)


def identity_path(name: str, uid: UUID, extension: str) -> str:
    """The path of the file of a resource on its datastore; ``extension`` without its dot."""
    return f"{FOLDER}/{name}.{uid.hex[:8]}.{extension}"


def datastore_path(datastore: str, path: str) -> str:
    """As vSphere writes it: ``[datastore1] provisioner/web.1f2e3d4c.vmdk``; ``datastore`` is a
    name.
    """
    return f"[{datastore}] {path}"


def split_path(text: str) -> tuple[str, str]:
    """The name of the datastore and the path of :func:`datastore_path`'s text."""
    match = _DATASTORE_PATH.fullmatch(text)
    return (match["datastore"], match["path"]) if match is not None else ("", text)


def partial_path(path: str) -> str:
    """The path of a file that is still being made."""
    stem, dot, extension = path.rpartition(".")
    return f"{stem}.partial{dot}{extension}"


def flat_path(path: str) -> str:
    """The path of the data of a disk, beside its descriptor."""
    return f"{path.removesuffix('.vmdk')}-flat.vmdk"


_EXTENSIONS: Mapping[str, str] = {"iso": "iso", "raw": "raw.vmdk"}
_OF_SOMEBODY = re.compile(
    rf"{FOLDER}/(?P<name>[^/]+)\.(?P<digits>[0-9a-f]{{8}})\.(?P<extension>vmdk|raw\.vmdk|iso)"
)
_GENERATIONS = 64
"""As many replacements of a resource are thought of when its own former files are recognised."""


def own_path(resource: Resource) -> str:
    """Where on its datastore the file of a Disk or Image is that is made for it. The name tells the
    format of an image.
    """
    extension = _EXTENSIONS.get(str(resource.spec.get("format")), "vmdk")
    return identity_path(resource.name, resource.uid, extension)


def is_own(resource: Resource, path: str) -> bool:
    """Whether a path is that of the resource's own file: proof that it is ours. One that was
    renamed is known by its id.
    """
    return path == own_path(resource)


def maker(path: str, *, is_image: bool = False, lineage: str | None = None) -> Stamp | None:
    """Whom the name of a file tells to have made it; None: nobody, or the stack of ``lineage``,
    which is free to take its own files again. ``is_image``: whether it is known to be one, where
    the name does not tell. A name has no lineage; the stamp's says what is known of it.
    """
    match = _OF_SOMEBODY.fullmatch(path)
    if match is None:
        return None
    image = is_image or match["extension"] != "vmdk"
    address = Address("Image" if image else "Disk", match["name"])
    digits = match["digits"]
    if lineage is not None and any(
        digits == identity(UUID(lineage), Address(kind, match["name"]), generation).hex[:8]
        for kind in ("Disk", "Image")
        for generation in range(_GENERATIONS)
    ):
        return None
    return Stamp(f"not told by its file, only the identity {digits}...", str(address))


def borrowed_path(spec: Mapping[str, Any]) -> str | None:
    """The path of the file that is there already and that an Image only uses."""
    volume = spec.get("source", {}).get("volume") if "source" in spec else None
    return None if volume is None else str(volume)


def is_borrowed(spec: Mapping[str, Any]) -> bool:
    """Whether an Image uses a file that is there already."""
    return not {"volume", "libraryItem"}.isdisjoint(spec.get("source", {}))


def file_of(resource: Resource) -> FileId | None:
    """Where the file of a Disk or Image is, as recorded, or as it will be made; None as long as
    its pool is not on the endpoint.
    """
    if resource.external_id is not None:
        return FileId.parse(resource.external_id)
    pool = resource.related.get(Address("StoragePool", str(resource.spec.get("pool"))))
    if pool is None or pool.external_id is None:
        return None
    return FileId(pool.external_id, borrowed_path(resource.spec) or own_path(resource))


class Files:
    """Which Disk or Image of a stack a file is, and back."""

    def __init__(self, related: Mapping[Address, Resource]) -> None:
        self._related = related
        self._names: dict[str, dict[FileId, str]] = {}

    def of(self, kind: str, name: str) -> FileId | None:
        """The file of a resource; None if it is not known."""
        resource = self._related.get(Address(kind, name))
        return None if resource is None else file_of(resource)

    def name(self, kind: str, file: FileId) -> str:
        """The resource whose file it is; for one of nobody's, what it is."""
        known = self._names.get(kind)
        if known is None:
            known = self._names[kind] = {
                place: address.name
                for address, resource in self._related.items()
                if address.kind == kind and (place := file_of(resource)) is not None
            }
        return known.get(file, str(file))
