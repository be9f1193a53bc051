"""Volumes: their names, which carry identity because libvirt keeps no metadata of them, and their
XML. Pure.

- ``web-root.1f2e3d4c.qcow2``: the volume of Disk/web-root, with the first 8 digits of its UUID;
- ``web-root.1f2e3d4c.qcow2.provisioner-partial`` stands beside it as long as a copy into it is
  under way;
- ``debian-12.5a6b7c8d.qcow2.sha256-<64 digits>`` stands beside an image once it is whole, and is
  its checksum.

Source: libvirt, "Storage pool and volume XML format" (https://libvirt.org/formatstorage.html).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import gcd
from typing import Any, NamedTuple
from uuid import UUID

from provisioner.core.address import Address
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.xml import Element, attribute, child, copied, element, text_of

EXTENSIONS = (".qcow2", ".raw", ".iso")
PARTIAL = ".provisioner-partial"
"""Not ``.partial``: other programs call files so, and beside a marker the volume is made anew."""
REPLICA = ".replica."
"""Between the name of a volume and what tells one file of its replica from another."""
_IDENTITY = re.compile(r".+\.[0-9a-f]{8}\.(qcow2|raw|iso)")
_ACCESSORY = re.compile(r".+\.[0-9a-f]{8}\.(seed-[0-9a-f]{16}\.iso|console\.log)")
_OF_REPLICA = re.compile(r".+\.replica\.((stage-)?[0-9]{8}\.(qcow2|raw)(\..+)?|json(\.new)?|new)")
_CHECKSUM = re.compile(r"(?P<volume>.+)\.sha256-(?P<digits>[0-9a-f]{64})")
SECTOR = 512
_CLUSTER = "65536"
"""Bytes of a cluster of a qcow2 image, unless somebody chose others."""
_OF_CONTENT = ("compat", "nocow", "clusterSize", "features", "encryption")
_SMALLEST_LOGICAL = 512
"""Bytes of which LVM makes a volume of one extent (lvcreate(8))."""


class VolumeId(NamedTuple):
    """Pool and volume; its text is the ``external_id`` of disks and images."""

    pool: str
    volume: str

    def __str__(self) -> str:
        return f"{self.pool}/{self.volume}"

    @classmethod
    def parse(cls, text: str) -> VolumeId:
        """Read an ``external_id``. Neither pools nor volumes have a slash in their names."""
        pool, _, volume = text.partition("/")
        return cls(pool, volume)


def identity_name(name: str, uid: UUID, kind_of_file: str) -> str:
    """The name of the volume of a resource; ``kind_of_file`` is its format."""
    return f"{name}.{uid.hex[:8]}.{kind_of_file}"


def identity_names(resource: Resource) -> tuple[str, ...]:
    """Every name that the volume of a resource can have, whatever its format."""
    return tuple(
        identity_name(resource.name, resource.uid, extension[1:]) for extension in EXTENSIONS
    )


def place_to_make(resource: Resource, kind_of_file: str) -> VolumeId:
    """Where the volume of a resource is to be made. One that was lost is made where it was, so that
    machines that name its file need no change; if that tells another format, or is in another pool,
    it gets a name with its identity like any other.
    """
    pool = pool_of(resource)
    if resource.external_id is not None:
        former = VolumeId.parse(resource.external_id)
        if (former.pool, declared_format(former.volume, kind_of_file)) == (pool, kind_of_file):
            return former
    return VolumeId(pool, identity_name(resource.name, resource.uid, kind_of_file))


def has_identity(volume: str) -> bool:
    """Whether a name is one that :func:`identity_name` gives."""
    return _IDENTITY.fullmatch(volume) is not None


def names_a_volume(resource: Resource) -> bool:
    """Whether a volume that is called just like the resource is the one that its author means."""
    return resource.exact or resource.name.endswith(EXTENSIONS)


def declared_format(volume: str, otherwise: str) -> str:
    """The format that a volume was made in, by its name; ``otherwise`` where its name does not
    tell.
    """
    return next((ext[1:] for ext in EXTENSIONS if volume.endswith(ext)), otherwise)


def checksum_marker(volume: str, sha256: str) -> str:
    """Name of the marker of a whole image."""
    return f"{volume}.sha256-{sha256}"


def checksum_of(volume: str, names: Iterable[str]) -> str | None:
    """``sha256:...`` of an image by the marker beside it; None if there is none."""
    for marker in checksum_markers(volume, names):
        return f"sha256:{marker.rpartition('-')[2]}"
    return None


def checksum_markers(volume: str, names: Iterable[str]) -> Iterator[str]:
    """Those of some names that are markers of just this image."""
    for name in names:
        match = _CHECKSUM.fullmatch(name) if name.startswith(volume) else None
        if match is not None and match["volume"] == volume:
            yield name


def is_marker(name: str) -> bool:
    """Whether a volume only says something about another one."""
    return name.endswith(PARTIAL) or _CHECKSUM.fullmatch(name) is not None


def is_accessory(name: str) -> bool:
    """Whether a volume belongs to a machine of ours beside its disks: its seed, its log, what is
    replicated.
    """
    return any(pattern.fullmatch(name) is not None for pattern in (_ACCESSORY, _OF_REPLICA))


@dataclass(frozen=True, slots=True)
class VolumeFacts:
    """What a volume's XML says. Sizes in bytes; ``probed`` is the format as libvirt finds it in
    the content.
    """

    name: str
    path: str
    capacity: int
    physical: int
    probed: str
    backing: str | None

    @classmethod
    def read(cls, document: Element) -> VolumeFacts:
        """From a volume's document."""
        capacity = int(text_of(document, "capacity") or 0)
        path = text_of(document, "target/path") or ""
        return cls(
            name=text_of(document, "name") or "",
            path=path,
            capacity=capacity,
            physical=int(text_of(document, "physical") or capacity),
            probed=attribute(document, "target/format", "type") or "raw",
            backing=_resolved(text_of(document, "backingStore/path"), path),
        )

    def format(self, declared: str) -> str:
        """The format in force. Of a raw volume the content says nothing: a guest can write a
        header of any other.
        """
        return self.probed if declared == "qcow2" else declared

    def size(self, declared: str) -> int:
        """What a guest sees, in bytes: of raw volumes the length, whatever their content looks
        like.
        """
        return self.capacity if declared == "qcow2" else self.physical


def _resolved(backing: str | None, path: str) -> str | None:
    """The path of a backing file; in an image it may stand relative to the image's folder."""
    return None if backing is None else posixpath.join(posixpath.dirname(path), backing)


def build(
    name: str,
    capacity: int,
    kind_of_file: str,
    *,
    allocation: int | None = None,
    backing: tuple[str, str] | None = None,
) -> Element:
    """The definition of a volume. Sizes in bytes; ``backing`` is path and format of the image
    below it.
    """
    return element(
        "volume",
        element("name", name),
        element("capacity", {"unit": "bytes"}, str(capacity)),
        element("allocation", {"unit": "bytes"}, str(allocation))
        if allocation is not None
        else None,
        element("target", element("format", {"type": kind_of_file})),
        element(
            "backingStore",
            element("path", backing[0]),
            element("format", {"type": backing[1]}),
        )
        if backing is not None
        else None,
    )


def volume_core(document: Element) -> Element:
    """A volume's document without what says where it is, how full it is, and who may open it: what
    is left beside size and format belongs to its content.
    """
    target = document.find("target")
    kept = [] if target is None else [node for node in target if node.tag in _OF_CONTENT]
    core = element("volume", element("target", *map(copied, kept)))
    content = child(core, "target")
    for node in list(content):
        is_usual = {
            "compat": node.text == "1.1",
            "clusterSize": node.text == _CLUSTER,
            "features": not len(node),
        }
        if is_usual.get(node.tag):
            content.remove(node)
    return core


def pool_of(resource: Resource) -> str:
    """Name of the pool on the host in which the resource's volume is."""
    return on_host(resource.related, "StoragePool", str(resource.spec["pool"]))


def pool_type(resource: Resource) -> str | None:
    """Type of that pool as the stack has it; None if it is not known."""
    pool = resource.related.get(Address("StoragePool", str(resource.spec["pool"])))
    kind = pool.spec.get("type") if pool is not None else None
    return kind if isinstance(kind, str) else None


def is_logical(resource: Resource) -> bool:
    """Whether the resource's volume is one of LVM. libvirt takes an allocation that is not the
    capacity for the wish to have a snapshot there, so they are made with both alike.
    """
    return pool_type(resource) == "logical"


def marker_bytes(resource: Resource) -> int:
    """The size of a marker beside the resource's volume: as small as its pool can have it."""
    return _SMALLEST_LOGICAL if is_logical(resource) else 0


def rounded(resource: Resource, found: int, pool_bytes: int) -> int:
    """The size of a logical volume, but the wanted one where LVM could only round it up.

    A volume group and its volumes have whole extents: what divides both sizes is taken for one.
    """
    wanted = resource.spec.get("size")
    if isinstance(wanted, int) and 0 <= found - wanted < gcd(found, pool_bytes):
        return wanted
    return found


def pool_reference(resource: Resource, pool: str) -> str:
    """The other way: the name in the stack of a pool of the host; the pool's own where the stack
    has none.
    """
    wanted = str(resource.spec.get("pool", ""))
    if on_host(resource.related, "StoragePool", wanted) == pool:
        return wanted
    for address, other in resource.related.items():
        if address.kind == "StoragePool" and other.name == pool:
            return address.name
    return pool


def on_host(related: Mapping[Address, Resource], kind: str, name: str) -> str:
    """What a resource of the stack is called on the host (it may have been renamed since it was
    made).
    """
    resource = related.get(Address(kind, name))
    return resource.name if resource is not None else name


def image_volume(image: Resource) -> VolumeId:
    """The volume of an Image."""
    source: Mapping[str, Any] = image.spec.get("source", {})
    if "volume" in source:
        return VolumeId(pool_of(image), str(source["volume"]))
    if image.external_id is not None:
        return VolumeId.parse(image.external_id)
    name = identity_name(image.name, image.uid, str(image.spec["format"]))
    return VolumeId(pool_of(image), name)
