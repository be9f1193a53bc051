"""What resources of a stack are called on the host, and back: the names in a domain's definition.

Made from :attr:`~provisioner.providers.api.Resource.related` by the rules and the handlers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from ipaddress import IPv4Network
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.volume import VolumeId, identity_name, image_volume, pool_of
from provisioner_plugins._libvirt.xml import Element

_USER_MODE = "user"


class VolumeRef(NamedTuple):
    """A volume as a disk or drive names it. ``format`` is QEMU's name of its driver."""

    pool: str
    volume: str
    format: str


class _Names(NamedTuple):
    """Names of resources by what libvirt calls them."""

    by_volume: dict[tuple[str, str, str], str]
    by_path: dict[tuple[str, str], str]
    by_network: dict[str, list[str]]

    @classmethod
    def of(cls, related: Mapping[Address, Resource]) -> _Names:
        names = cls({}, {}, {})
        for address, resource in related.items():
            if address.kind in ("Disk", "Image"):
                names.add_volume(resource)
            elif address.kind == "Network" and not _is_user_mode(resource):
                names.by_network.setdefault(resource.name, []).append(address.name)
        return names

    def add_volume(self, resource: Resource) -> None:
        kind, name = resource.address
        volume = _volume(resource)
        self.by_volume[kind, volume.pool, volume.volume] = name
        path = resource.outputs.get("path")
        if isinstance(path, str):
            self.by_path[kind, path] = name


class Bindings:
    """Names of Disk, Image and Network resources, and what libvirt calls them."""

    def __init__(self, related: Mapping[Address, Resource]) -> None:
        self._related = related

    @cached_property
    def _names(self) -> _Names:
        # Made when first asked for: most of what makes a definition asks the other way only, and
        # to go through the whole stack for each machine would make it quadratic.
        return _Names.of(self._related)

    # --- from the stack to the host ---

    def disk(self, name: str) -> VolumeRef | None:
        """The volume of a Disk; None if the stack has none of that name."""
        return self._find("Disk", name)

    def image(self, name: str) -> VolumeRef | None:
        """The volume of an Image; None if the stack has none of that name."""
        return self._find("Image", name)

    def _find(self, kind: str, name: str) -> VolumeRef | None:
        resource = self._related.get(Address(kind, name))
        return _volume(resource) if resource is not None else None

    def started_from_image(self, disk: str) -> bool:
        """Whether a Disk began as a copy of an image, and so may have something to boot."""
        resource = self._related.get(Address("Disk", disk))
        return resource is not None and "image" in resource.spec

    def network(self, name: str) -> str | None:
        """libvirt's name of a Network; None for one of mode user, which is no object."""
        resource = self._related.get(Address("Network", name))
        if resource is None:
            return name
        return None if _is_user_mode(resource) else resource.name

    def user_subnet(self, name: str) -> IPv4Network | None:
        """The subnet of a Network of mode user, where its author chose one."""
        resource = self._related.get(Address("Network", name))
        cidr = resource.spec.get("cidr") if resource is not None else None
        return IPv4Network(cidr) if isinstance(cidr, str) else None

    # --- from the host to the stack ---

    def disk_name(self, node: Element) -> str:
        """The Disk in a ``<disk>``; for a volume or file that is no resource's, what it is."""
        return self._name("Disk", node) or "nothing"

    def image_name(self, node: Element) -> str | None:
        """The Image in a drive; None: it is empty."""
        return self._name("Image", node)

    def _name(self, kind: str, node: Element) -> str | None:
        source = node.find("source")
        if source is None:
            return None
        pool, volume = source.get("pool"), source.get("volume")
        if pool is not None and volume is not None:
            return self._names.by_volume.get((kind, pool, volume)) or f"{pool}/{volume}"
        path = source.get("file") or source.get("dev") or source.get("name")
        if path is None:
            # The live definition of an empty drive has a source that says nothing.
            return None if node.get("type") in ("file", "block") else node.get("type")
        return self._names.by_path.get((kind, path), path)

    def network_name(self, node: Element, wanted: object) -> str | None:
        """The Network that a card is plugged into. ``wanted`` decides where several could be meant:
        all networks of mode user are the same to libvirt.
        """
        kind = node.get("type")
        source = node.find("source")
        if kind == _USER_MODE:
            resource = self._related.get(Address("Network", str(wanted)))
            return str(wanted) if resource is not None and _is_user_mode(resource) else _USER_MODE
        if source is None:
            return kind
        network = source.get("network")
        if network is not None:
            names = self._names.by_network.get(network)
            if names is None:
                return network
            return str(wanted) if wanted in names else names[0]
        where = source.get("bridge") or source.get("dev")
        return f"{kind}:{where}" if where is not None else kind


def _is_user_mode(resource: Resource) -> bool:
    return resource.spec.get("mode") == _USER_MODE


def _volume(resource: Resource) -> VolumeRef:
    if resource.kind == "Image":
        place, form = image_volume(resource), str(resource.spec.get("format", "raw"))
        # A CD image has no format of its own.
        return VolumeRef(place.pool, place.volume, "raw" if form == "iso" else form)
    form = str(resource.spec.get("format", "qcow2"))
    if resource.external_id is not None:
        place = VolumeId.parse(resource.external_id)
    else:
        name = identity_name(resource.name, resource.uid, form)
        place = VolumeId(pool_of(resource), name)
    return VolumeRef(place.pool, place.volume, form)
