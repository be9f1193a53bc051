"""Which disks, drives and cards of a domain fields of the common model can say, and which are
fragments as a whole.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any, Protocol
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Resource
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import Element, attribute
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import cdroms, nics
from provisioner_plugins.kvm.domain.firmware import family
from provisioner_plugins.kvm.domain.tree import at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

DISK, IMAGE, NETWORK = "Disk", "Image", "Network"
_DISK_BUSES = frozenset({"virtio", "scsi", "sata", "ide"})
_DRIVE_BUSES = frozenset({"sata", "ide", "scsi"})
_CARDS = frozenset({"virtio", "e1000", "e1000e", "rtl8139"})
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,30}")
_MAC = re.compile(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}")


class KnownVolume(Protocol):
    """A volume of the endpoint; see :class:`~provisioner_plugins._libvirt.estate.Volume`."""

    @property
    def id(self) -> VolumeId:
        """Pool and name."""
        ...

    @property
    def kind(self) -> str | None:
        """Disk, Image, or neither."""
        ...

    @property
    def form(self) -> str:
        """Its format."""
        ...

    @property
    def path(self) -> str:
        """Where it is on the host."""
        ...

    @property
    def is_shared(self) -> bool:
        """Whether several machines have it and one of them may write."""
        ...


class KnownEstate(Protocol):
    """The endpoint's volumes and networks; see :mod:`provisioner_plugins._libvirt.estate`."""

    def of_disk(self, disk: Element) -> KnownVolume | None:
        """The volume in a machine's disk or drive."""
        ...

    def network(self, name: str | None) -> str | None:
        """The UUID of a network, by libvirt's name of it."""
        ...


def macs_of(domains: Iterable[Element]) -> Counter[str]:
    """How often each MAC address stands in the cards of all domains."""
    return Counter(
        mac
        for domain in domains
        for node in devices_of(domain, "interface")
        if (mac := nics.mac_of(node)) is not None
    )


@dataclass
class Devices:
    """The disks, drives and cards of one domain, sorted. ``disks``, ``cdroms`` and ``nics`` are
    those that fields say, by the key that each has in a spec; ``whole`` are the others.
    """

    disks: dict[str, Element] = field(default_factory=dict)
    cdroms: dict[str, Element] = field(default_factory=dict)
    nics: dict[str, Element] = field(default_factory=dict)
    whole: list[Element] = field(default_factory=list)
    seed: Element | None = None
    """The drive with the cloud-init data of one of our machines."""
    related: dict[Address, Resource] = field(default_factory=dict)

    @property
    def bindings(self) -> Bindings:
        """Names as they stand in a discovered spec: external ids."""
        return Bindings(self.related)

    def modelled(self) -> Iterator[tuple[str, str, Element]]:
        """Set, key and element of those that fields say."""
        for kind, found in (("disks", self.disks), ("cdroms", self.cdroms), ("nics", self.nics)):
            for name, node in found.items():
                yield kind, name, node

    def leave_to_fragments(self, kinds: Iterable[str]) -> None:
        """Have fragments say these sets (``nics``, ...) as a whole, and no field any of them."""
        sets = {"disks": self.disks, "cdroms": self.cdroms, "nics": self.nics}
        for kind in kinds:
            self.whole += sets[kind].values()
            sets[kind].clear()

    def relate(
        self, kind: str, external_id: str, name: str, spec: dict[str, Any], path: str | None = None
    ) -> None:
        """Know an object that a device refers to."""
        address = Address(kind, external_id)
        outputs = {"path": path} if path else {}
        uid, stamp = UUID(int=0), Stamp("", str(address))
        self.related[address] = Resource(address, name, uid, stamp, spec, external_id, outputs)


def sort_devices(domain: Element, estate: KnownEstate, macs: Mapping[str, int]) -> Devices:
    """Sort the devices of a domain. ``macs`` are those of all domains of the endpoint: a manifest's
    MAC address stands once in a stack.
    """
    found = Devices()
    for node in devices_of(domain, "disk"):
        kind = node.get("device", "disk")
        if attribute(node, "target", "bus") == "ide" and not _has_ide(domain):
            found.whole.append(node)
        elif kind == "cdrom" and attribute(node, "alias", "name") == cdroms.SEED_ALIAS:
            found.seed = node
        elif not (
            (kind == "disk" and _take_disk(found, node, estate))
            or (kind == "cdrom" and _take_drive(found, node, estate))
        ):
            found.whole.append(node)
    cards = devices_of(domain, "interface")
    taken = {name for card in cards if (name := nics.alias_name(card)) is not None}
    for node in cards:
        if not _take_card(found, node, estate, macs, taken):
            found.whole.append(node)
    return found


def _has_ide(domain: Element) -> bool:
    """Whether the board that a manifest names has IDE."""
    board = at(domain, "os", "type")
    return board is None or family(board.get("machine", "")) in ("pc", "isapc")


def _take_disk(found: Devices, node: Element, estate: KnownEstate) -> bool:
    volume = estate.of_disk(node)
    bus = attribute(node, "target", "bus")
    if volume is None or volume.kind != DISK or volume.is_shared or bus not in _DISK_BUSES:
        return False
    name = str(volume.id)
    if name in found.disks or (node.find("readonly") is not None and bus in ("sata", "ide")):
        return False
    spec = {"pool": volume.id.pool, "format": volume.form}
    found.relate(DISK, name, volume.id.volume, spec, volume.path)
    found.disks[name] = node
    return True


def _take_drive(found: Devices, node: Element, estate: KnownEstate) -> bool:
    name = cdroms.name_of(node)
    if attribute(node, "target", "bus") not in _DRIVE_BUSES or not _NAME.fullmatch(name):
        return False
    if _has_source(node):
        volume = estate.of_disk(node)
        if volume is None or volume.kind != IMAGE or volume.form != "iso":
            return False
        source = {"volume": volume.id.volume}
        spec = {"pool": volume.id.pool, "source": source, "format": "iso"}
        found.relate(IMAGE, str(volume.id), volume.id.volume, spec, volume.path)
    found.cdroms[name] = node
    return True


def _take_card(
    found: Devices,
    node: Element,
    estate: KnownEstate,
    macs: Mapping[str, int],
    taken: Iterable[str],
) -> bool:
    network = attribute(node, "source", "network")
    uuid = estate.network(network) if node.get("type") == "network" else None
    mac = nics.mac_of(node) or ""
    if uuid is None or network is None or macs[mac] != 1:
        return False
    if not _MAC.fullmatch(mac) or attribute(node, "model", "type") not in _CARDS:
        return False
    alias = nics.alias_name(node)
    if alias is not None and (not _NAME.fullmatch(alias) or alias in found.nics):
        return False
    free = (f"nic{number}" for number in count())
    name = alias or next(name for name in free if name not in {*found.nics, *taken})
    found.relate(NETWORK, uuid, network, {"mode": "any"})
    found.nics[name] = node
    return True


def _has_source(node: Element) -> bool:
    source = node.find("source")
    names = ("file", "dev", "pool", "volume", "protocol", "dir", "name")
    return source is not None and any(source.get(name) is not None for name in names)
