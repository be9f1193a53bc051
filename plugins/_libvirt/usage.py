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
from provisioner_plugins._libvirt.storage import jobs_running
from provisioner_plugins._libvirt.volume import VolumeFacts, VolumeId, is_marker
from provisioner_plugins._libvirt.xml import Element, parse

_LOOK_AFRESH_SECONDS = 5.0


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
        self._refreshed = float("-inf")

    def of(self, volume: VolumeId, path: str) -> list[str]:
        """Users in words, sorted: ``domain web01``, ``volume images/web-root.1f2e3d4c.qcow2``."""

        def ask(handle: Any) -> list[str]:
            return [
                *(f"domain {name}" for name in _domains(handle, volume, path)),
                *(f"volume {other}" for other in self._based_on(handle, path)),
            ]

        return sorted(self._connection.read(f"look for users of volume {volume}", ask))

    def _based_on(self, handle: Any, path: str) -> list[VolumeId]:
        with self._lock:
            self._read_backing(handle)
            candidates = [known for known, below in self._backing.items() if below == path]
        found = []
        for known in candidates:
            pool = handle.storagePoolLookupByName(known.pool)
            facts = _facts(pool.storageVolLookupByName(known.volume))
            if facts is not None and facts.backing == path:
                found.append(known)
        return found

    def _read_backing(self, handle: Any) -> None:
        now = self._connection.context.clock.monotonic()
        afresh = now - self._refreshed > _LOOK_AFRESH_SECONDS
        present = set()
        for pool in handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            if afresh:
                try:
                    pool.refresh(0)
                except libvirt.libvirtError as problem:
                    if not jobs_running(problem):
                        raise
            for volume in pool.listAllVolumes(0):
                known = VolumeId(pool.name(), volume.name())
                present.add(known)
                if known not in self._backing:
                    facts = None if is_marker(known.volume) else _facts(volume)
                    self._backing[known] = facts.backing if facts is not None else None
        if afresh:
            self._refreshed = now
        for gone in self._backing.keys() - present:
            del self._backing[gone]


def _facts(volume: Any) -> VolumeFacts | None:
    try:
        return VolumeFacts.read(parse(volume.XMLDesc(0)))
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
