"""Who uses a volume: domains that have it as a disk, volumes that are based on it. Asked before a
volume is deleted.
"""

from __future__ import annotations

import threading
from typing import Any
from xml.sax.saxutils import escape

import libvirt

from provisioner.core.diagnostics import Diagnostic, error
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import NOT_FOUND
from provisioner_plugins._libvirt.storage import look_afresh
from provisioner_plugins._libvirt.volume import VolumeFacts, VolumeId, is_marker
from provisioner_plugins._libvirt.xml import Element, parse

_LOOK_AGAIN_SECONDS = 5.0
"""A look costs as much as the pool is large; deleting a hundred disks must not cost a hundred."""


class VolumeUsers:
    """Finds users of volumes on one daemon.

    What a volume is based on never changes while it lives, so it is read once per session: deleting
    n volumes costs n documents, not n times n. An answer that would forbid a deletion is read again
    before it is believed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._backing: dict[VolumeId, str | None] = {}
        self._looked: dict[str, float] = {}

    def of(self, volume: VolumeId, path: str) -> list[str]:
        """Users in words, sorted: ``domain web01``, ``volume images/web-root.1f2e3d4c.qcow2``."""

        def ask(handle: Any) -> list[str]:
            self._look_afresh(handle, volume.pool)
            return [
                *(f"domain {name}" for name in _domains(handle, volume, path)),
                *(f"volume {other}" for other in self._based_on(handle, path)),
            ]

        return sorted(self._connection.read(f"look for users of volume {volume}", ask))

    def _look_afresh(self, handle: Any, pool: str) -> None:
        """Find volumes that something other than libvirt has made in the pool since the last."""
        now = self._connection.context.clock.monotonic()
        with self._lock:
            if now - self._looked.get(pool, float("-inf")) < _LOOK_AGAIN_SECONDS:
                return
            self._looked[pool] = now
        look_afresh(handle.storagePoolLookupByName(pool))

    def _based_on(self, handle: Any, path: str) -> list[VolumeId]:
        with self._lock:
            self._read_backing(handle)
            candidates = [known for known, below in self._backing.items() if below == path]
        return [known for known in candidates if _backing_of(handle, known) == path]

    def _read_backing(self, handle: Any) -> None:
        present = set()
        for pool in handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            for name in pool.listVolumes():
                known = VolumeId(pool.name(), name)
                present.add(known)
                if known not in self._backing:
                    self._backing[known] = _backing_of(handle, known)
        for gone in self._backing.keys() - present:
            del self._backing[gone]


def _backing_of(handle: Any, volume: VolumeId) -> str | None:
    """The path of what a volume is based on; None if nothing, or if it went since it was listed."""
    if is_marker(volume.volume):
        return None
    try:
        found = handle.storagePoolLookupByName(volume.pool).storageVolLookupByName(volume.volume)
        return VolumeFacts.read(parse(found.XMLDesc(0))).backing
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in NOT_FOUND:
            return None
        raise


def _domains(handle: Any, volume: VolumeId, path: str) -> list[str]:
    names = []
    for domain in handle.listAllDomains(0):
        try:
            texts = [domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)]
            if domain.ID() != -1:
                texts.append(domain.XMLDesc(0))
        except libvirt.libvirtError as problem:
            if problem.get_error_code() in NOT_FOUND:
                continue
            raise
        # Parsing hundreds of definitions would cost far more than a look at their text.
        likely = [text for text in texts if escape(volume.volume) in text]
        if any(uses(parse(text), volume, path) for text in likely):
            names.append(domain.name())
    return names


def uses(definition: Element, volume: VolumeId, path: str) -> bool:
    """Whether a domain's definition names the volume, as a disk or below one."""
    return any(
        path in (source.get("file"), source.get("dev"))
        or (source.get("pool"), source.get("volume")) == volume
        for disk in definition.findall("devices/disk")
        for source in disk.iter("source")
    )


def in_use(kind: str, name: str, users: list[str]) -> Diagnostic:
    """The diagnostic for a volume that cannot be deleted because of its users."""
    shown = ", ".join(users[:5]) + (f" and {len(users) - 5} more" if len(users) > 5 else "")
    return error(
        "PRV5124",
        f"{kind} {name} is in use and was not deleted",
        detail=f"It is used by {shown}.",
        hint="Remove or change what uses it first; a linked clone needs its image as long as it "
        "lives.",
    )
