"""What the handlers of disks and images do alike with volumes: finding, marking, reading and
removing them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import libvirt

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Outcome, ProviderError, Resource, Retryable, Terminal
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import BUSY, NOT_FOUND, code_of
from provisioner_plugins._libvirt.ownership import not_ours
from provisioner_plugins._libvirt.volume import VolumeFacts, VolumeId, build, identity_names
from provisioner_plugins._libvirt.xml import parse, serialize

_OUT_OF_REACH = {*NOT_FOUND, libvirt.VIR_ERR_OPERATION_INVALID}
_PAUSE = 0.05
_SETTLE_SECONDS = 20.0


class Volumes:
    """Volumes of one daemon."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def require_pool(self, pool: str) -> None:
        """Raise Terminal (PRV5120, PRV5123) unless the pool is there and active."""
        found = self.connection.find(
            f"find storage pool {pool}", lambda h: bool(h.storagePoolLookupByName(pool).isActive())
        )
        if found is None:
            raise Terminal(
                error(
                    "PRV5123",
                    f"there is no storage pool {pool} on the host",
                    hint="Apply its StoragePool first.",
                )
            )
        if not found:
            raise Terminal(
                error(
                    "PRV5120",
                    f"the storage pool {pool} is not active",
                    hint=f"Apply its StoragePool, or start it: virsh pool-start {pool}.",
                )
            )

    def names(self, pool: str) -> frozenset[str]:
        """Names of all volumes of a pool, as they are in its storage now. Costs as much as the pool
        is large.
        """

        def read(handle: Any) -> frozenset[str]:
            found = handle.storagePoolLookupByName(pool)
            look_afresh(found)
            return frozenset(volumes_in(found).volumes)

        return self.connection.read(f"list the volumes of pool {pool}", read)

    def exists(self, volume: VolumeId) -> bool:
        """Whether the daemon knows a volume, without a look at its storage."""

        def read(handle: Any) -> bool:
            handle.storagePoolLookupByName(volume.pool).storageVolLookupByName(volume.volume)
            return True

        return self.connection.find(f"find volume {volume}", read) or False

    def facts(self, volume: VolumeId, *, afresh: bool = False) -> VolumeFacts | None:
        """What a volume's XML says; None if there is no such volume. ``afresh``: after a look at
        the pool's storage, which costs as much as the pool is large.
        """

        def read(handle: Any) -> VolumeFacts:
            found = handle.storagePoolLookupByName(volume.pool)
            if afresh:
                look_afresh(found)
            return VolumeFacts.read(parse(found.storageVolLookupByName(volume.volume).XMLDesc(0)))

        return self.connection.find(f"read volume {volume}", read)

    def look(self, pool: str, deadline: Deadline) -> None:
        """Have the daemon see what others than it have made in a pool and removed from it. Raises
        Retryable (PRV5112) if it is busy with the pool for long.
        """
        clock = self.connection.context.clock
        patience = Deadline.after(min(_SETTLE_SECONDS, deadline.remaining()), clock)
        what = f"refresh storage pool {pool}"

        def read(handle: Any) -> bool:
            return look_afresh(handle.storagePoolLookupByName(pool))

        while not self.connection.call(what, read):
            if patience.passed:
                raise Retryable(
                    error(
                        BUSY.code,
                        BUSY.summary.format(what=what),
                        detail="The daemon makes a volume there, and does not look meanwhile.",
                        hint="Wait until that has ended.",
                    ),
                    5.0,
                )
            time.sleep(_PAUSE)

    def settled_facts(self, volume: VolumeId, kind_of_file: str, deadline: Deadline) -> VolumeFacts:
        """As :meth:`facts`, once the daemon has seen what was written into the volume.

        A pool with another copy under way does not look. Raises Retryable (PRV5112) if that lasts.
        """
        clock = self.connection.context.clock
        patience = Deadline.after(min(_SETTLE_SECONDS, deadline.remaining()), clock)
        facts = self.facts(volume)
        while facts is None or facts.format(kind_of_file) != kind_of_file:
            if patience.passed:
                raise Retryable(
                    error(
                        BUSY.code,
                        f"read volume {volume}: it is not ready",
                        detail="The pool is busy with other volumes, or the content is not "
                        f"{kind_of_file}.",
                        hint="Check the format of the image.",
                    ),
                    5.0,
                )
            time.sleep(_PAUSE)
            facts = self.facts(volume, afresh=True)
            if facts is None:
                raise Terminal(no_volume(volume))
        return facts

    def pool_bytes(self, pool: str) -> int:
        """The size of a pool, used or not."""

        def read(handle: Any) -> int:
            return int(handle.storagePoolLookupByName(pool).info()[1])

        return self.connection.read(f"read storage pool {pool}", read)

    def create(self, pool: str, text: str, flags: int = 0) -> None:
        """Make a volume from its XML."""
        self.connection.call(
            f"create a volume in pool {pool}",
            lambda h: h.storagePoolLookupByName(pool).createXML(text, flags),
        )

    def mark(self, pool: str, marker: str, size: int) -> bool:
        """Make a volume whose name says something, of that many bytes; returns whether it was not
        there already.
        """
        text = serialize(build(marker, size, "raw", allocation=size))
        try:
            self.create(pool, text)
        except ProviderError as problem:
            if code_of(problem) != libvirt.VIR_ERR_STORAGE_VOL_EXIST:
                raise
            return False
        return True

    def remove(self, volume: VolumeId) -> None:
        """Delete a volume; done already if it is not there. One that is being written to raises
        Retryable.
        """

        def delete(handle: Any) -> None:
            pool = handle.storagePoolLookupByName(volume.pool)
            pool.storageVolLookupByName(volume.volume).delete(0)

        try:
            self.connection.find(f"remove volume {volume}", delete)
        except ProviderError as problem:
            if code_of(problem) != libvirt.VIR_ERR_OPERATION_INVALID:
                raise
            # It is still being allocated or uploaded to, perhaps by an attempt whose answer was
            # lost.
            raise Retryable(
                error(
                    BUSY.code,
                    BUSY.summary.format(what=f"remove volume {volume}"),
                    detail=problem.args[0] if problem.args else "",
                    hint="Wait until the copy under way has ended.",
                ),
                5.0,
            ) from problem

    def remove_quietly(self, *volumes: VolumeId) -> None:
        """As :meth:`remove`, after a failure whose reason counts more than what is left of it. In
        order, up to the first that cannot be removed: a marker goes last.
        """
        try:
            for volume in volumes:
                self.remove(volume)
        except ProviderError:
            return

    def outcome(self, volume: VolumeId, *notes: str) -> Outcome:
        """What a step that made or changed a volume returns."""
        facts = self.facts(volume)
        outputs = {"path": facts.path, "volume": facts.name} if facts is not None else {}
        return Outcome(str(volume), outputs, notes=notes)

    def with_volume(self, what: str, volume: VolumeId, function: Callable[[Any], Any]) -> Any:
        """Run ``function`` on libvirt's object of a volume."""

        def run(handle: Any) -> Any:
            pool = handle.storagePoolLookupByName(volume.pool)
            return function(pool.storageVolLookupByName(volume.volume))

        return self.connection.call(what, run)


def look_afresh(pool: Any) -> bool:
    """Have the daemon look at the storage afresh; returns whether it did. While it makes a volume
    there it will not: what it knows is right then for all that were made by it, and what others
    have made is not known.
    """
    try:
        pool.refresh(0)
    except libvirt.libvirtError as problem:
        if "asynchronous jobs running" not in (problem.get_error_message() or ""):
            raise
        return False
    return True


class InPool(NamedTuple):
    """libvirt's objects of the volumes in a pool, by name. ``unreadable`` are the names, escaped,
    of those that the binding cannot tell anything of: their file names are no UTF-8.
    """

    volumes: dict[str, Any]
    unreadable: tuple[str, ...]


def volumes_in(pool: Any) -> InPool:
    """The volumes of a pool that the daemon knows, in the order of names."""
    volumes: dict[str, Any] = {}
    unreadable: list[str] = []
    for volume in pool.listAllVolumes(0):
        try:
            volumes[volume.name()] = volume
        except UnicodeDecodeError as problem:
            unreadable.append(problem.object.decode(errors="backslashreplace"))
    return InPool(dict(sorted(volumes.items())), tuple(sorted(unreadable)))


def names_in(pool: Any) -> list[str]:
    """The volumes of a pool that the daemon knows; none of one that was stopped or removed since it
    was found: other steps go on meanwhile.
    """
    try:
        return list(volumes_in(pool).volumes)
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in _OUT_OF_REACH:
            return []
        raise


def require_ours(resource: Resource, volume: VolumeId) -> None:
    """Raise Terminal (PRV5119) unless a volume has the resource's identity or was recorded."""
    if volume.volume not in identity_names(resource) and str(volume) != resource.external_id:
        raise Terminal(not_ours(resource, None))


def no_volume(volume: VolumeId) -> Diagnostic:
    """The diagnostic for a volume that should be there."""
    return error(
        "PRV5133",
        f"there is no volume {volume.volume} in pool {volume.pool}",
        hint="Apply its Image first, or correct source.volume in the Image.",
    )
