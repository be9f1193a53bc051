"""What the volumes and networks of a whole endpoint are to the common model: which volume is a
Disk, which an Image, which neither, and what machines have each one for.

Every volume is one thing only, whoever asks, so that manifests of machines, disks and images fit
each other. Made for one discovery from its inventory; called by the discovery of every kind.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID

from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt import network_discovery
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.pool_xml import clean_path, describe
from provisioner_plugins._libvirt.records import PoolRecord, VolumeRecord
from provisioner_plugins._libvirt.volume import (
    PARTIAL,
    SECTOR,
    VolumeFacts,
    VolumeId,
    checksum_of,
    declared_format,
    has_identity,
    is_accessory,
    is_marker,
)
from provisioner_plugins._libvirt.xml import Element, attribute

DISK, IMAGE = "Disk", "Image"
_DISK_FORMATS = ("qcow2", "raw")
_IMAGE_FORMATS = ("qcow2", "raw", "iso")


class Use(NamedTuple):
    """A disk or drive of a machine in which a volume is. ``form`` is the format that the machine
    takes it for.
    """

    machine: UUID
    device: str
    form: str | None
    read_only: bool


@dataclass(slots=True)
class Volume:
    """A volume. ``kind`` is Disk, Image, or None for what is neither; then ``notes`` say why.
    ``base`` is the Image that it is based on.
    """

    id: VolumeId
    facts: VolumeFacts
    document: Element
    pool: PoolRecord
    pool_type: str | None
    checksum: str | None
    kind: str | None = None
    form: str = ""
    base: VolumeId | None = None
    uses: list[Use] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def size(self) -> int:
        """What a guest sees, in bytes."""
        return self.facts.size(declared_format(self.id.volume, self.form))

    @property
    def path(self) -> str:
        """Where it is on the host."""
        return self.facts.path

    @property
    def is_shared(self) -> bool:
        """Whether several machines have it and one of them may write."""
        writers = [use for use in self.uses if not use.read_only]
        return len(self.uses) > 1 and bool(writers)


class Estate:
    """See the module."""

    def __init__(self, inventory: Inventory) -> None:
        self.networks: Mapping[str, network_discovery.Found] = network_discovery.find(
            list(inventory.networks())
        )
        self.unread: dict[str, list[str]] = {}
        """What could not be read of a pool, by its name."""
        self.volumes: dict[VolumeId, Volume] = {}
        for pool in inventory.pools():
            for volume in self._listed(inventory, pool):
                self.volumes[volume.id] = volume
        self._by_path = {
            clean_path(volume.facts.path): volume
            for volume in reversed(self.volumes.values())
            if volume.facts.path
        }
        self._note_uses(inventory)
        bases = {
            below.id
            for volume in self.volumes.values()
            if (below := self.at(volume.facts.backing)) is not None
        }
        for volume in self.volumes.values():
            _classify(volume, is_base=volume.id in bases)
        for volume in self.volumes.values():
            self._base(volume)

    def at(self, path: str | None) -> Volume | None:
        """The volume with this path."""
        return self._by_path.get(clean_path(path)) if path is not None else None

    def of_disk(self, disk: Element) -> Volume | None:
        """The volume in a machine's disk or drive; None for what is in no pool that can be read."""
        source = disk.find("source")
        if source is None:
            return None
        pool, volume = source.get("pool"), source.get("volume")
        if pool is not None and volume is not None:
            return self.volumes.get(VolumeId(pool, volume))
        if disk.get("type") not in ("file", "block"):
            return None
        return self.at(source.get("file") or source.get("dev"))

    def network(self, name: str | None) -> str | None:
        """The UUID of a network that the common model can express, by libvirt's name of it."""
        found = self.networks.get(name or "")
        return str(found.record.uuid) if found is not None and "mode" in found.spec else None

    # --- looking through it ---

    def _listed(self, inventory: Inventory, pool: PoolRecord) -> Iterator[Volume]:
        listing = inventory.volumes(pool, afresh=False)
        if listing.problem is not None:
            self.unread[pool.name] = [f"its volumes are not known: {listing.problem.summary}"]
            return
        if listing.unreadable:
            self.unread[pool.name] = [
                f"volume '{name}' cannot be read: its file name is not UTF-8"
                for name in listing.unreadable
            ]
        names = frozenset(listing.volumes)
        pool_type = describe(pool.name, pool.uuid, pool.document)[0].get("type")
        wanted = [record for record in listing.volumes.values() if _is_told(record.name, names)]
        for record, document in self._documents(inventory, wanted):
            checksum = checksum_of(record.name, names)
            if checksum is None and has_identity(record.name) and record.name.endswith(".iso"):
                continue  # an upload of ours that did not end
            facts = VolumeFacts.read(document)
            place = VolumeId(pool.name, record.name)
            yield Volume(place, facts, document, pool, pool_type, checksum)

    def _documents(
        self, inventory: Inventory, records: list[VolumeRecord]
    ) -> Iterator[tuple[VolumeRecord, Element]]:
        """Those that can be read; one that cannot is no reason to know nothing of the others."""
        with suppress(Terminal):
            inventory.volume_documents(records)
        for record in records:
            try:
                document = inventory.volume(record)
            except Terminal as problem:
                said = problem.diagnostic.detail.rstrip(".") or problem.diagnostic.summary
                note = f"volume {record.name!r} cannot be read: {said}"
                self.unread.setdefault(record.pool, []).append(note)
                continue
            if document is not None:
                yield record, document

    def _note_uses(self, inventory: Inventory) -> None:
        for domain in inventory.domains():
            for disk in domain.configured.findall("devices/disk"):
                volume = self.of_disk(disk)
                if volume is None:
                    continue
                form = attribute(disk, "driver", "type")
                read_only = disk.find("readonly") is not None
                use = Use(domain.uuid, disk.get("device", "disk"), form, read_only)
                volume.uses.append(use)

    def _base(self, volume: Volume) -> None:
        backing = volume.facts.backing
        if backing is None:
            return
        below = self.at(backing)
        is_image = below is not None and below.kind == IMAGE and below.form != "iso"
        if below is not None and is_image and (volume.kind, volume.form) == (DISK, "qcow2"):
            volume.base = below.id
        else:
            volume.notes.append(f"based on {backing}")


def estate_of(inventory: Inventory) -> Estate:
    """The estate of an endpoint, looked through once for an inventory."""
    return inventory.once(Estate)


def _is_told(name: str, names: frozenset[str]) -> bool:
    """Whether a volume is one of its own: not a marker, what a machine has beside its disks, or a
    copy of ours that has not ended.
    """
    return not is_marker(name) and not is_accessory(name) and name + PARTIAL not in names


def _classify(volume: Volume, *, is_base: bool) -> None:
    disks = [use for use in volume.uses if use.device == "disk"]
    drives = [use for use in volume.uses if use.device == "cdrom"]
    probed = volume.facts.probed
    likely = next((use.form for use in disks if use.form), probed)
    volume.form = volume.facts.format(declared_format(volume.id.volume, likely))
    is_iso = probed == "iso" or volume.id.volume.endswith(".iso")
    if not disks and (drives or is_iso):
        volume.form = "iso"
    if volume.checksum is not None:
        # As it was uploaded, whoever uses it as what.
        volume.form = volume.facts.format(declared_format(volume.id.volume, volume.form))
    is_image = volume.checksum is not None or (not disks and (drives or is_iso or is_base))
    problem = _cannot_be(volume, _IMAGE_FORMATS if is_image else _DISK_FORMATS, sized=not is_image)
    if problem is not None:
        volume.notes.append(problem)
    else:
        volume.kind = IMAGE if is_image else DISK


def _cannot_be(volume: Volume, formats: tuple[str, ...], *, sized: bool) -> str | None:
    if volume.pool_type is None:
        kind = volume.pool.document.get("type")
        return f"its pool, of the type {kind}, has no counterpart in the common model"
    shape = volume.document.get("type", "file")
    if shape not in ("file", "block"):
        return f"it is a {shape}, neither a file nor a block device"
    if volume.form not in formats:
        return f"the format {volume.form} has no counterpart in the common model"
    if not sized:
        return None
    if volume.pool_type == "iscsi":
        return "the units of an iSCSI target are made on the server: no Disk can be one"
    if volume.pool_type == "logical" and volume.form != "raw":
        return f"a logical volume with the format {volume.form} has no counterpart"
    if volume.size % SECTOR or volume.size == 0:
        return f"its {volume.size} bytes are no whole number of sectors: it is no disk"
    return None
