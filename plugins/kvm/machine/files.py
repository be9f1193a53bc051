"""Volumes that belong to a machine itself: its cloud-init seed and the log of its serial console.

They lie in a pool, as a rule beside the machine's first disk, so that they can be written and read
on any host through libvirt alone::

    web.1f2e3d4c.seed-0123456789abcdef.iso      the seed, named by its content
    web.1f2e3d4c.console.log                    what the guest said since it was started
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import PurePosixPath
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import ProviderError, Resource, Terminal
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins._libvirt.storage import Volumes, names_in
from provisioner_plugins._libvirt.upload import send_bytes
from provisioner_plugins._libvirt.volume import VolumeId
from provisioner_plugins._libvirt.xml import element, parse, serialize, text_of
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.machine import seed
from provisioner_plugins.kvm.machine.seed_pool import seed_pool

_LOG = ".console.log"
_MODE = "0600"
"""A seed may hold passwords; libvirt hands it to QEMU's user when the machine starts."""
_FOLDERS = ("dir", "fs")
"""Pools whose volumes are files that the daemon itself can make."""


class MachineFiles:
    """Seeds and logs on one daemon."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._volumes = Volumes(connection)

    # --- seed ---

    def put_seed(self, resource: Resource) -> VolumeRef | None:
        """Upload the seed that the spec asks for; None if it asks for none.

        Raises Terminal (PRV1501 for a secret that is not there, PRV5203 without a pool, PRV5114 and
        PRV5137 where it cannot be written).
        """
        if "cloudInit" not in resource.spec:
            return None
        try:
            content = seed.files(resource, self._connection.context.secrets)
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem
        pool = seed_pool(resource)
        if pool is None:
            raise Terminal(
                error(
                    "PRV5203",
                    f"there is no storage pool for the cloud-init disk of {resource.address}",
                    hint="Name a StoragePool of type dir on this host: cloudInit.pool.",
                )
            )
        place = VolumeId(pool, seed.volume_name(resource.name, resource.uid, content))
        data = seed.image(content)
        self._create(place, len(data))
        try:
            self._volumes.with_volume(
                f"upload volume {place}",
                place,
                lambda volume: send_bytes(volume.connect(), volume, data),
            )
        except ProviderError:
            self._volumes.remove_quietly(VolumeId(place.pool, place.volume))
            raise
        return VolumeRef(place.pool, place.volume, "raw")

    def remove_seeds(
        self,
        resource: Resource,
        used: Collection[VolumeRef | None],
        needed: Collection[VolumeRef | None],
    ) -> None:
        """Remove a machine's seeds from the pools of those that it ``used``, but for the ``needed``
        ones.
        """
        beginning = seed.prefix(resource.name, resource.uid)
        kept = {VolumeId(volume.pool, volume.volume) for volume in needed if volume is not None}
        for pool in sorted({volume.pool for volume in used if volume is not None}):
            for name in self._listed(pool):
                if name.startswith(beginning) and VolumeId(pool, name) not in kept:
                    self._volumes.remove(VolumeId(pool, name))

    # --- log ---

    def log_path(self, resource: Resource, bindings: Bindings) -> str | None:
        """Where the serial console can be logged: beside the machine's first disk, else beside its
        seed. None if neither is in a folder.
        """
        disks = [bindings.disk(name) for name in sorted(resource.spec.get("disks", {}))]
        pool = next((volume.pool for volume in disks if volume is not None), None)
        if pool is None and "cloudInit" in resource.spec:
            pool = seed_pool(resource)
        return self._log_in(pool, resource.name, resource.uid) if pool is not None else None

    def is_log(self, resource: Resource, path: str | None) -> bool:
        """Whether a file is one that :meth:`log_path` gave."""
        name = _log_name(resource.name, resource.uid)
        return path is not None and PurePosixPath(path).name == name

    def remove_log(self, path: str) -> None:
        """Remove a log; done already if no pool knows it."""
        self._connection.find(
            f"remove the console log {path}",
            lambda handle: handle.storageVolLookupByPath(path).delete(0),
        )

    def _log_in(self, pool: str, name: str, uid: UUID) -> str | None:
        document = parse(
            self._connection.read(
                f"read storage pool {pool}",
                lambda handle: handle.storagePoolLookupByName(pool).XMLDesc(0),
            )
        )
        folder = text_of(document, "target/path")
        if document.get("type") not in _FOLDERS or folder is None:
            return None
        place = VolumeId(pool, _log_name(name, uid))
        # Made here, so that the daemon knows it without looking through the folder.
        self._create(place, 0)
        return f"{folder}/{place.volume}"

    def read_log(self, path: str) -> str | None:
        """What is in a log; None if no pool has it."""

        def download(handle: Any) -> bytes:
            volume = handle.storageVolLookupByPath(path)
            stream = volume.connect().newStream()
            volume.download(stream, 0, 0, 0)
            parts: list[bytes] = []
            stream.recvAll(lambda _stream, data, _opaque: parts.append(data), None)
            stream.finish()
            return b"".join(parts)

        data = self._connection.find(f"read the console log {path}", download)
        return data.decode(errors="replace") if data is not None else None

    def remove_all(self, resource: Resource) -> None:
        """Remove every seed and log of a machine. Its disks may have been in other pools when they
        were made, so that all pools are looked through.
        """
        beginning = seed.prefix(resource.name, resource.uid)
        log = _log_name(resource.name, resource.uid)

        def listed(handle: Any) -> list[VolumeId]:
            flags = libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE
            return [
                VolumeId(pool.name(), name)
                for pool in handle.listAllStoragePools(flags)
                for name in names_in(pool)
                if name.startswith(beginning) or name == log
            ]

        for volume in sorted(self._connection.read("list the volumes of all pools", listed)):
            self._volumes.remove(volume)

    def require_removed(self, resource: Resource, volume: VolumeRef | None) -> None:
        """Raise Terminal (PRV5209) if a seed may still be there: its pool is out of reach."""
        if volume is None:
            return
        try:
            self._volumes.require_pool(volume.pool)
        except Terminal as problem:
            raise Terminal(
                error(
                    "PRV5209",
                    f"{resource.address} was removed, but not its cloud-init disk",
                    detail=f"{problem.diagnostic.summary}. Volume {volume.volume} in it holds the "
                    "user data, and with it perhaps passwords.",
                    hint="Remove the file by hand.",
                    address=str(resource.address),
                )
            ) from problem

    def _listed(self, pool: str) -> list[str]:
        """The volumes of a pool; none of one that is gone or stopped, where nothing can be removed
        now.
        """
        found = self._connection.find(
            f"list the volumes of pool {pool}",
            lambda handle: names_in(handle.storagePoolLookupByName(pool)),
        )
        return found or []

    def _create(self, place: VolumeId, size: int) -> None:
        document = element(
            "volume",
            element("name", place.volume),
            element("capacity", {"unit": "bytes"}, str(size)),
            element(
                "target",
                element("format", {"type": "raw"}),
                element("permissions", element("mode", _MODE)),
            ),
        )
        try:
            self._volumes.create(place.pool, serialize(document))
        except ProviderError as problem:
            if code_of(problem) != libvirt.VIR_ERR_STORAGE_VOL_EXIST:
                raise


def _log_name(name: str, uid: UUID) -> str:
    return f"{name}.{uid.hex[:8]}{_LOG}"
