"""What resources of a stack are called on the host, and back: the names in a domain's definition.

Made from :attr:`~provisioner.providers.api.Resource.related` by the rules and the handlers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from ipaddress import IPv4Network
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.pool_xml import clean_path, folder_of
from provisioner_plugins._libvirt.volume import (
    VolumeId,
    identity_name,
    image_volume,
    names_a_volume,
    pool_of,
)
from provisioner_plugins._libvirt.xml import Element

_USER_MODE = "user"
_VOLUMES = ("Disk", "Image")


class VolumeRef(NamedTuple):
    """A volume as a disk or drive names it. ``format`` is QEMU's name of its driver."""

    pool: str
    volume: str
    format: str


class Bindings:
    """Names of Disk, Image and Network resources, and what libvirt calls them."""

    def __init__(self, related: Mapping[Address, Resource]) -> None:
        self._related = related

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
            return self._of_volume(kind, VolumeId(pool, volume))
        path = source.get("file") or source.get("dev") or source.get("name")
        if path is None:
            # The live definition of an empty drive has a source that says nothing.
            return None if node.get("type") in ("file", "block") else node.get("type")
        return self._by_path.get((kind, clean_path(path)), path)

    def _of_volume(self, kind: str, place: VolumeId) -> str:
        # Nearly always the volume is called after its resource.
        likely = place.volume.rsplit(".", 2)[0]
        resource = self._related.get(Address(kind, likely))
        if resource is not None and place in _places(resource):
            return likely
        return self._by_volume.get((kind, place)) or str(place)

    def network_name(self, node: Element, wanted: object) -> str | None:
        """The Network that a card is plugged into. ``wanted`` decides where several could be meant:
        to libvirt all networks of mode user with the same subnet are one.
        """
        kind = node.get("type")
        source = node.find("source")
        if kind == _USER_MODE:
            is_meant = self._is_user_network(str(wanted)) and (
                self.user_subnet(str(wanted)) == _subnet_of(node)
            )
            return str(wanted) if is_meant else _USER_MODE
        if source is None:
            return kind
        network = source.get("network")
        if network is None:
            where = source.get("bridge") or source.get("dev")
            return f"{kind}:{where}" if where is not None else kind
        for likely in (str(wanted), network):
            if self._is_called(likely, network):
                return likely
        known = self._by_network.get(network)
        if known is None and Address("Network", network) in self._related:
            return f"network:{network}"  # called like one of the stack, and another one
        return known or network

    def _is_user_network(self, name: str) -> bool:
        resource = self._related.get(Address("Network", name))
        return resource is not None and _is_user_mode(resource)

    def _is_called(self, name: str, network: str) -> bool:
        """Whether a Network of the stack is this one of libvirt's."""
        resource = self._related.get(Address("Network", name))
        return resource is not None and resource.name == network and not _is_user_mode(resource)

    # Whole stacks are looked through only for what is not called after its resource.

    @cached_property
    def _by_volume(self) -> Mapping[tuple[str, VolumeId], str]:
        return {
            (address.kind, place): address.name
            for address, resource in self._related.items()
            if address.kind in _VOLUMES
            for place in _places(resource)
        }

    @cached_property
    def _by_path(self) -> Mapping[tuple[str, str], str]:
        """By the path that a volume was recorded with; of one that was not, by where it is in its
        pool's folder.
        """
        return {
            (address.kind, path): address.name
            for address, resource in self._related.items()
            if address.kind in _VOLUMES
            for path in _paths(resource, self._related)
        }

    @cached_property
    def _by_network(self) -> Mapping[str, str]:
        return {
            resource.name: address.name
            for address, resource in self._related.items()
            if address.kind == "Network" and not _is_user_mode(resource)
        }


def _subnet_of(node: Element) -> IPv4Network | None:
    """The subnet that a card of mode user has; None: QEMU's own."""
    for address in node.findall("ip"):
        if address.get("family", "ipv4") == "ipv4":
            bits = address.get("prefix", "24")
            return IPv4Network(f"{address.get('address')}/{bits}", strict=False)
    return None


def _is_user_mode(resource: Resource) -> bool:
    return resource.spec.get("mode") == _USER_MODE


def _place(resource: Resource) -> VolumeId:
    """Where the volume of a Disk or Image is."""
    if resource.kind == "Image":
        return image_volume(resource)
    if resource.external_id is not None:
        return VolumeId.parse(resource.external_id)
    name = identity_name(resource.name, resource.uid, str(resource.spec.get("format", "qcow2")))
    return VolumeId(pool_of(resource), name)


def _places(resource: Resource) -> Iterator[VolumeId]:
    """Where the volume of a Disk or Image is; of one that is still to be found, where it can be."""
    yield _place(resource)
    if resource.external_id is None and names_a_volume(resource):
        yield VolumeId(pool_of(resource), resource.name)


def _paths(resource: Resource, related: Mapping[Address, Resource]) -> Iterator[str]:
    if "path" in resource.outputs:
        yield clean_path(str(resource.outputs["path"]))
        return
    pool = related.get(Address("StoragePool", str(resource.spec.get("pool"))))
    folder = folder_of(pool.spec) if pool is not None else None
    if folder is not None:
        for place in _places(resource):
            yield clean_path(f"{folder}/{place.volume}")


def _volume(resource: Resource) -> VolumeRef:
    place = _place(resource)
    otherwise = "raw" if resource.kind == "Image" else "qcow2"
    form = str(resource.spec.get("format", otherwise))
    # A CD image has no format of its own.
    return VolumeRef(place.pool, place.volume, "raw" if form == "iso" else form)
