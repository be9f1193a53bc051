"""Images in storage pools: uploaded once, checked, marked as whole.

An uploaded image counts as there only when its marker stands beside it (see :mod:`volume`), or when
it was recorded. An image with ``source.volume`` is somebody else's volume: it is checked and used,
never written to and never removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    ProviderError,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Undertaking, User
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.estate import IMAGE, estate_of
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.local_image import file_checksum, local_file, wrong_checksum
from provisioner_plugins._libvirt.locate import Located, Locator, present
from provisioner_plugins._libvirt.ownership import gone, require_time
from provisioner_plugins._libvirt.storage import Volumes, no_volume, require_ours
from provisioner_plugins._libvirt.upload import content_checksum, send
from provisioner_plugins._libvirt.usage import VolumeUsers
from provisioner_plugins._libvirt.volume import (
    VolumeFacts,
    VolumeId,
    build,
    checksum_marker,
    checksum_markers,
    checksum_of,
    declared_format,
    identity_name,
    identity_names,
    image_volume,
    marker_bytes,
    pool_of,
    pool_reference,
)
from provisioner_plugins._libvirt.xml import serialize


class ImageHandler:
    """Handler of the kind Image."""

    kind = "Image"

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
        places = {target.address: locator.locate(target, _names(target)) for target in targets}
        inventory.volume_documents([p.record for p in places.values() if isinstance(p, Located)])
        return {
            target.address: _observed(inventory, target, places[target.address])
            for target in targets
        }

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Images that were uploaded, CD images, and what disks are based on."""
        for volume in estate_of(inventory).volumes.values():
            if volume.kind != IMAGE:
                continue
            spec: dict[str, Any] = {
                "pool": str(volume.pool.uuid),
                "source": {"volume": volume.id.volume},
                "format": volume.form,
            }
            if volume.checksum is not None:
                spec["checksum"] = volume.checksum
            observed = present(volume.id, volume.facts, spec)
            yield Discovered(self.kind, volume.id.volume, observed, tuple(volume.notes))

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins._libvirt.handler.LooksAhead`. Whole files are read only
        where there is a checksum to compare.
        """
        del inventory
        resource, spec = undertaking.resource, undertaking.resource.spec
        if not undertaking.creates or "file" not in spec["source"]:
            return
        file = local_file(self._path(resource), str(spec["format"]))
        if not thorough or "checksum" not in spec:
            return

        def report(done: int, total: int) -> None:
            self._connection.context.progress(resource.address, "checking its file", done, total)

        found = file_checksum(file, report, deadline)
        if spec["checksum"] != f"sha256:{found}":
            yield wrong_checksum(
                resource.name, f"the file {file.path}", found, str(spec["checksum"])
            )

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins._libvirt.handler.KindHandler`."""
        require_time(resource, deadline)
        pool = pool_of(resource)
        self._volumes.require_pool(pool)
        if "volume" in resource.spec["source"]:
            volume = VolumeId(pool, str(resource.spec["source"]["volume"]))
            self._verify(resource, volume, deadline)
            return self._volumes.outcome(volume)
        name = identity_name(resource.name, resource.uid, resource.spec["format"])
        volume = VolumeId(pool, name)
        names = self._volumes.names(pool)
        if name in names and checksum_of(name, names) is None:
            # What an attempt that did not end has left: only a whole image has its marker. One
            # that is used has lost it.
            self._users.require_none(
                resource,
                volume,
                fate="was not uploaded anew",
                why=f"Volume {volume} has no marker that says that it is whole.",
                hint="If it is, make an empty file beside it that is called "
                f"{checksum_marker(name, '')} and the 64 digits of its SHA-256. Otherwise remove "
                "what uses it first.",
            )
            self._volumes.remove(volume)
        if checksum_of(name, names) is None or name not in names:
            self._upload(resource, volume, deadline)
        return self._volumes.outcome(volume)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Nothing of an image can be changed on the endpoint: it is only looked for."""
        del changes, restart
        require_time(resource, deadline)
        volume = VolumeId.parse(observed.external_id)
        require_ours(resource, volume)
        if not self._volumes.exists(volume):
            raise Terminal(gone(resource))
        return Outcome(observed.external_id, observed.outputs)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Nothing can be written on a volume: that it is recorded makes it ours. Its checksum is
        verified.
        """
        require_time(resource, deadline)
        self._verify(resource, VolumeId.parse(observed.external_id), deadline)
        return Outcome(observed.external_id, observed.outputs)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove the volume and its marker; refused while a linked clone or a machine needs it."""
        require_time(resource, deadline)
        volume = image_volume(resource)
        if "volume" not in resource.spec["source"]:
            self._users.require_none(resource, volume)
            require_ours(resource, volume)
            self._volumes.remove(volume)
        for name in checksum_markers(volume.volume, self._names_or_none(volume.pool)):
            self._volumes.remove(VolumeId(volume.pool, name))

    def users(self, resource: Resource) -> list[User]:
        """Who needs the volume of an image; nobody needs that of somebody else to stay, for it is
        never removed.
        """
        if "volume" in resource.spec["source"]:
            return []
        return self._users.of(image_volume(resource))

    # --- the parts of writing ---

    def _names_or_none(self, pool: str) -> frozenset[str]:
        try:
            return self._volumes.names(pool)
        except Terminal:
            # The pool went before its image: then nothing of the image is left to remove here.
            return frozenset()

    def _upload(self, resource: Resource, volume: VolumeId, deadline: Deadline) -> None:
        spec = resource.spec
        source = local_file(self._path(resource), str(spec["format"]))
        # raw: what is sent is the file as it is; the daemon finds out its format afterwards.
        text = serialize(build(volume.volume, source.size, "raw", allocation=0))
        self._volumes.create(volume.pool, text)

        def report(done: int, total: int) -> None:
            self._connection.context.progress(resource.address, "upload", done, total)

        def copy(handle: Any) -> str:
            pool = handle.storagePoolLookupByName(volume.pool)
            target = pool.storageVolLookupByName(volume.volume)
            return send(handle, target, source, report, deadline)

        try:
            found = self._connection.call(f"upload image {resource.name}", copy)
            self._compare(resource, found, f"the file {source.path}")
            kind = "qcow2" if spec["format"] == "qcow2" else "raw"
            self._volumes.settled_facts(volume, kind, deadline)
            self._volumes.mark(
                volume.pool, checksum_marker(volume.volume, found), marker_bytes(resource)
            )
        except ProviderError:
            # What is left nevertheless has no marker; the next attempt removes it.
            self._volumes.remove_quietly(volume)
            raise

    def _path(self, resource: Resource) -> Path:
        return self._connection.context.root / str(resource.spec["source"]["file"])

    def _verify(self, resource: Resource, volume: VolumeId, deadline: Deadline) -> None:
        """Check a volume that is there already: that it is, its format, its checksum if the
        author gave one.
        """
        facts = self._volumes.facts(volume, afresh=True)
        if facts is None:
            raise Terminal(no_volume(volume))
        wanted_format = str(resource.spec["format"])
        if facts.format(wanted_format) != wanted_format:
            raise Terminal(
                error(
                    "PRV5131",
                    f"volume {volume} is not of the format {wanted_format}",
                    detail=f"libvirt finds {facts.probed}.",
                    hint="Correct format in the Image.",
                )
            )
        if "checksum" not in resource.spec:
            return
        names = self._volumes.names(volume.pool)
        if checksum_of(volume.volume, names) == resource.spec["checksum"]:
            return

        def report(done: int, total: int) -> None:
            self._connection.context.progress(resource.address, "verify", done, total)

        def read(handle: Any) -> str:
            pool = handle.storagePoolLookupByName(volume.pool)
            target = pool.storageVolLookupByName(volume.volume)
            return content_checksum(handle, target, facts.physical, report, deadline)

        found = self._connection.call(f"verify volume {volume}", read)
        self._compare(resource, found, f"volume {volume}")
        self._volumes.mark(
            volume.pool, checksum_marker(volume.volume, found), marker_bytes(resource)
        )

    def _compare(self, resource: Resource, found: str, what: str) -> None:
        wanted = resource.spec.get("checksum", f"sha256:{found}")
        if wanted != f"sha256:{found}":
            raise Terminal(wrong_checksum(resource.name, what, found, wanted))


def _names(target: Resource) -> tuple[str, ...]:
    """The names that only its own volume has; one with ``source.volume`` has none."""
    return () if "volume" in target.spec.get("source", {}) else identity_names(target)


def _observed(
    inventory: Inventory, target: Resource, place: Located | Absent | Undetermined
) -> Observation:
    if not isinstance(place, Located):
        return place
    volume = VolumeId(place.record.pool, place.record.name)
    checksum = checksum_of(volume.volume, place.names)
    recorded = target.external_id == str(volume)
    document = inventory.volume(place.record)
    if document is None or (place.ours and checksum is None and not recorded):
        # An upload that did not end: creating completes it.
        return Absent()
    facts = VolumeFacts.read(document)
    # Of an uploaded image the name tells the format, of another one the author does.
    wanted = str(target.spec.get("format", facts.probed))
    spec: dict[str, Any] = {"pool": pool_reference(target, volume.pool)}
    if volume.volume in identity_names(target):
        spec["format"] = facts.format(declared_format(volume.volume, wanted))
    else:
        spec["source"] = {"volume": volume.volume}
        spec["format"] = facts.format(wanted)
    if checksum is not None:
        spec["checksum"] = checksum
    return present(volume, facts, spec, target if place.ours else None)
