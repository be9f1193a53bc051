"""Disks in storage pools: empty, linked or full clones of an image; they grow, in use or not, and
never shrink.

A disk's identity is in its volume's name (see :mod:`volume`). While a copy into it is under way a
marker stands beside it, so that what an interrupted run left is told from a disk with data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import libvirt

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.units import format_size
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Undertaking, User
from provisioner_plugins._libvirt.beyond import beyond
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.disk import format_of, is_linked
from provisioner_plugins._libvirt.errors import EXISTS
from provisioner_plugins._libvirt.estate import DISK, IMAGE, Volume, estate_of
from provisioner_plugins._libvirt.grow import grow
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.local_image import local_file
from provisioner_plugins._libvirt.locate import Located, Locator, present
from provisioner_plugins._libvirt.native import PROVIDER, merge_all
from provisioner_plugins._libvirt.ownership import gone, require_time, taken
from provisioner_plugins._libvirt.storage import Volumes, require_ours
from provisioner_plugins._libvirt.usage import VolumeUsers
from provisioner_plugins._libvirt.volume import (
    PARTIAL,
    VolumeFacts,
    VolumeId,
    build,
    declared_format,
    identity_name,
    identity_names,
    image_volume,
    is_logical,
    marker_bytes,
    place_to_make,
    pool_of,
    pool_reference,
    rounded,
    volume_core,
)
from provisioner_plugins._libvirt.xml import Element, child, element, serialize


class DiskHandler:
    """Handler of the kind Disk."""

    kind = "Disk"

    def __init__(self, connection: Connection, users: VolumeUsers) -> None:
        self._connection = connection
        self._volumes = Volumes(connection)
        self._users = users

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        locator = Locator(inventory)
        places = {t.address: locator.locate(t, identity_names(t)) for t in targets}
        inventory.volume_documents([p.record for p in places.values() if isinstance(p, Located)])
        return {t.address: _observed(inventory, t, places[t.address]) for t in targets}

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Volumes that are no images, and those that are nothing to the common model: they lack
        ``size``.
        """
        for volume in estate_of(inventory).volumes.values():
            if volume.kind != IMAGE:
                yield _discovered(volume)

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`: a disk that starts from an
        image which lies on this machine is no smaller than that.
        """
        del inventory, deadline, thorough
        resource = undertaking.resource
        name, size = resource.spec.get("image"), resource.spec.get("size")
        image = resource.related.get(Address("Image", str(name)))
        if not undertaking.creates or image is None or not isinstance(size, int):
            return
        path = image.spec["source"].get("file")
        if path is None or image.external_id is not None:
            return  # what was uploaded need not be what lies here now
        try:
            file = local_file(self._connection.context.root / path, str(image.spec["format"]))
        except Terminal:
            return  # said of the image, if it is still to be uploaded
        if size < file.capacity:
            yield _too_small(resource, size, str(name), file.capacity)

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        pool = pool_of(resource)
        self._volumes.require_pool(pool)
        volume = place_to_make(resource, format_of(resource.spec))
        partial = VolumeId(pool, volume.volume + PARTIAL)
        if self._volumes.exists(partial):
            # What an attempt that did not end has left. The daemon may have ended the copy by
            # itself and a machine been started with it: then there is data in it.
            self._users.require_none(
                resource,
                volume,
                fate="was not made anew",
                why=f"Its marker {partial.volume} says that the copy into it did not end.",
                hint="Remove what uses it first, or, if the volume is whole, only the marker.",
            )
            self._volumes.remove(volume)
            self._volumes.remove(partial)
        elif self._volumes.exists(volume):
            return self._take_over(resource, volume)
        try:
            self._make(resource, volume, deadline)
        except Terminal as problem:
            # In the storage, but not yet known to the daemon: it has our identity, so it is ours.
            exists = problem.diagnostic.code == EXISTS.code
            if not exists or volume.volume not in self._volumes.names(pool):
                raise
            return self.create(resource, deadline)
        return self._volumes.outcome(volume)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Grow; nothing else of a disk can be changed in place."""
        del restart
        require_time(resource, deadline)
        volume = VolumeId.parse(observed.external_id)
        require_ours(resource, volume)
        if not self._volumes.exists(volume):
            raise Terminal(gone(resource))
        for change in changes:
            if change.path == ("size",) and isinstance(change.after, int):
                grow(self._connection, volume, format_of(resource.spec), change.after)
        return self._volumes.outcome(volume)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Nothing can be written on a volume: that it is recorded makes it ours."""
        require_time(resource, deadline)
        if not self._volumes.exists(VolumeId.parse(observed.external_id)):
            raise Terminal(gone(resource))
        return Outcome(observed.external_id, observed.outputs)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Delete the volume with its data; refused while a machine or another volume needs it."""
        require_time(resource, deadline)
        volume = self._volume_of(resource)
        require_ours(resource, volume)
        self._users.require_none(resource, volume)
        self._volumes.remove(volume)
        self._volumes.remove(VolumeId(volume.pool, volume.volume + PARTIAL))

    def users(self, resource: Resource) -> list[User]:
        """Who needs the volume of a disk."""
        return self._users.of(self._volume_of(resource))

    # --- the parts of writing ---

    def _volume_of(self, resource: Resource) -> VolumeId:
        if resource.external_id is not None:
            return VolumeId.parse(resource.external_id)
        name = identity_name(resource.name, resource.uid, format_of(resource.spec))
        return VolumeId(pool_of(resource), name)

    def _take_over(self, resource: Resource, volume: VolumeId) -> Outcome:
        """A whole volume with our identity: of an attempt whose answer was lost, or of a disk that
        was kept when it left the stack. Its data stays, and it gets the size that is wanted now.
        """
        kind_of_file, wanted = format_of(resource.spec), resource.spec.get("size")
        facts = self._volumes.facts(volume)
        note = "its volume was there already and is taken over with its data"
        if facts is not None and isinstance(wanted, int):
            found = facts.size(kind_of_file)
            if is_logical(resource):
                found = rounded(resource, found, self._volumes.pool_bytes(volume.pool))
            if found > wanted:
                raise Terminal(_too_large(resource, volume, found, wanted))
            if found < wanted:
                grow(self._connection, volume, kind_of_file, wanted)
                note += f"; it was grown from {format_size(found)} to {format_size(wanted)}"
        return self._volumes.outcome(volume, note)

    def _make(self, resource: Resource, volume: VolumeId, deadline: Deadline) -> None:
        spec = resource.spec
        kind_of_file = format_of(spec)
        if "image" not in spec:
            self._make_empty(resource, volume, int(spec["size"]))
            return
        image = resource.related.get(Address("Image", str(spec["image"])))
        if image is None:
            raise Terminal(taken(resource, f"needs Image/{spec['image']}, which is not known here"))
        source = image_volume(image)
        source_format = "qcow2" if image.spec.get("format") == "qcow2" else "raw"
        facts = self._volumes.settled_facts(source, source_format, deadline)
        smallest = facts.size(source_format)
        size = int(spec.get("size", smallest))
        if size < smallest:
            raise Terminal(_too_small(resource, size, str(spec["image"]), smallest))
        if is_linked(spec):
            definition = build(
                volume.volume, size, kind_of_file, backing=(facts.path, source_format)
            )
            self._volumes.create(volume.pool, self._complete(resource, definition))
            return
        with self._marked(resource, volume):
            self._clone(resource, volume, source, size)

    def _make_empty(self, resource: Resource, volume: VolumeId, size: int) -> None:
        kind_of_file = format_of(resource.spec)
        flags, allocation = _preallocation(resource, size)
        definition = build(volume.volume, size, kind_of_file, allocation=allocation)
        text = self._complete(resource, definition)
        if allocation == 0:
            self._volumes.create(volume.pool, text, flags)
            return
        with self._marked(resource, volume):
            self._volumes.create(volume.pool, text, flags)

    @contextmanager
    def _marked(self, resource: Resource, volume: VolumeId) -> Iterator[None]:
        """A block that makes a volume, with the marker beside it until it has. Of one that fails
        nothing is left, but a volume that was there before stays: it is whole.
        """
        partial = VolumeId(volume.pool, volume.volume + PARTIAL)
        is_new = self._volumes.mark(partial.pool, partial.volume, marker_bytes(resource))
        try:
            yield
        except Terminal as problem:
            if problem.diagnostic.code != EXISTS.code:
                self._volumes.remove_quietly(volume, partial)
            elif is_new:
                self._volumes.remove_quietly(partial)
            raise
        self._volumes.remove(partial)

    def _clone(self, resource: Resource, volume: VolumeId, source: VolumeId, size: int) -> None:
        """Copy an image. The daemon copies; it tells nothing of how far it is."""
        kind_of_file = format_of(resource.spec)
        flags, allocation = _preallocation(resource, size)
        definition = build(volume.volume, size, kind_of_file, allocation=allocation)
        text = self._complete(resource, definition)
        self._connection.context.progress(resource.address, f"copy of {source}")

        def copy(handle: Any) -> None:
            origin = handle.storagePoolLookupByName(source.pool).storageVolLookupByName(
                source.volume
            )
            handle.storagePoolLookupByName(volume.pool).createXMLFrom(text, origin, flags)

        self._connection.call(f"copy image volume {source} to {volume}", copy)
        facts = self._volumes.facts(volume)
        if facts is not None and facts.size(kind_of_file) < size:
            grow(self._connection, volume, kind_of_file, size)

    def _complete(self, resource: Resource, definition: Element) -> str:
        """The text of a volume's definition, with the author's fragments."""
        try:
            merge_all(definition, resource.spec, "volume")
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem
        if format_of(resource.spec) == "qcow2" and definition.find("target/compat") is None:
            # libvirt's own default is that of QEMU 0.10, which cannot grow once it has snapshots.
            child(definition, "target").append(element("compat", "1.1"))
        return serialize(definition)


def _discovered(volume: Volume) -> Discovered:
    spec: dict[str, Any] = {"pool": str(volume.pool.uuid)}
    notes = list(volume.notes)
    if volume.kind == DISK:
        spec |= {"format": volume.form, "size": volume.size}
        if volume.base is not None:
            spec["image"] = str(volume.base)
        made = build("disk", volume.size, volume.form)
        fragments, remarks = beyond(volume_core(volume.document), made, {})
        if fragments:
            spec["native"] = {PROVIDER: {"volume": list(fragments)}}
        notes += remarks
    observed = present(volume.id, volume.facts, spec)
    return Discovered(DISK, volume.id.volume, observed, tuple(notes))


def _preallocation(resource: Resource, size: int) -> tuple[int, int]:
    """Flags of virStorageVolCreateXML and the allocation in bytes."""
    if is_logical(resource):
        return 0, size
    spec = resource.spec
    wanted = spec.get("preallocation", "none")
    if wanted == "none" or (wanted == "metadata" and format_of(spec) == "raw"):
        return 0, 0  # a raw disk has no tables that could be written in advance
    qcow2 = format_of(spec) == "qcow2"
    flags = libvirt.VIR_STORAGE_VOL_CREATE_PREALLOC_METADATA if qcow2 else 0
    return flags, size if wanted == "full" else 0


def _too_small(resource: Resource, size: int, image: str, smallest: int) -> Diagnostic:
    return error(
        "PRV5135",
        f"disk {resource.name} is smaller than its image",
        detail=f"Its size is {format_size(size)}; Image/{image} has {format_size(smallest)}.",
        path=("size",),
        hint=f"Use a size of at least {format_size(smallest)}, or leave it out.",
        address=str(resource.address),
    )


def _too_large(resource: Resource, volume: VolumeId, found: int, wanted: int) -> Any:
    return error(
        "PRV5138",
        f"the volume of disk {resource.name} is there already, and larger than wanted",
        detail=f"Found {volume} of {format_size(found)}, kept from an earlier time; spec.size is "
        f"{format_size(wanted)}, and a disk cannot shrink.",
        hint=f"Write size: {format_size(found)} to have it back with its data, or delete the "
        "volume.",
        address=str(resource.address),
    )


def _observed(
    inventory: Inventory, target: Resource, place: Located | Absent | Undetermined
) -> Observation:
    if not isinstance(place, Located):
        return place
    volume = VolumeId(place.record.pool, place.record.name)
    document = inventory.volume(place.record)
    if document is None or volume.volume + PARTIAL in place.names:
        # A copy that did not end: creating completes it.
        return Absent()
    facts = VolumeFacts.read(document)
    declared = declared_format(volume.volume, format_of(target.spec))
    size = facts.size(declared)
    if is_logical(target):
        size = rounded(target, size, inventory.pool_bytes(volume.pool))
    spec = {
        "pool": pool_reference(target, volume.pool),
        "format": facts.format(declared),
        "size": size,
    }
    return present(volume, facts, spec, target if place.ours else None)
