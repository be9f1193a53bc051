"""Who uses a volume (domains that have it as a disk, volumes that are based on it), a network or a
pool (guests of others that run). Asked before one of them is deleted.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any
from uuid import UUID

import libvirt

from provisioner.core.diagnostics import error
from provisioner.providers.api import InUse, Resource
from provisioner.providers.capabilities import User
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import NOT_FOUND
from provisioner_plugins._libvirt.storage import Volumes, look_afresh, names_in
from provisioner_plugins._libvirt.volume import VolumeFacts, VolumeId, is_marker
from provisioner_plugins._libvirt.xml import Element, parse

_LOOK_AGAIN_SECONDS = 5.0
"""A look costs as much as the pool, or all definitions of domains, are large; deleting a hundred
disks must not cost a hundred.
"""
_LET_GO = "Remove or change what uses it first; a linked clone needs its image as long as it lives."


class VolumeUsers:
    """Finds users of volumes on one daemon.

    What a volume is based on never changes while it lives, so it is read once per session; the
    definitions of domains are read every few seconds. So deleting n volumes costs about n
    documents, not n times n. An answer that would forbid a deletion is read again before it is
    believed.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._volumes = Volumes(connection)
        self._lock = threading.Lock()
        self._backing: dict[str, dict[str, str | None]] = {}
        """What each volume is based on, by pool and name."""
        self._sources: dict[str | VolumeId, set[UUID]] = {}
        self._looked: dict[str | None, float] = {}

    def of(self, volume: VolumeId) -> list[User]:
        """Users by their words: ``domain web01``, ``volume images/web-root.1f2e3d4c.qcow2``; none
        of a volume that is not there.

        A domain that has a volume which is based on this one is told by that volume.
        """
        facts = self._volumes.facts(volume)
        if facts is None:
            return []
        path = facts.path

        def ask(handle: Any) -> list[User]:
            self._look_afresh(handle, volume.pool)
            volumes = self._based_on(handle, path)
            return [
                *self._domains(handle, volume, path, volumes),
                *(User(str(other), f"volume {other}") for other in volumes),
            ]

        users = self._connection.read(f"look for users of volume {volume}", ask)
        return sorted(users, key=lambda user: user.text)

    def require_none(
        self,
        resource: Resource,
        volume: VolumeId,
        fate: str = "was not deleted",
        *,
        why: str = "",
        hint: str = _LET_GO,
    ) -> None:
        """Raise InUse (PRV5124) if somebody needs the resource's volume. See :func:`in_use`."""
        users = self.of(volume)
        if users:
            raise in_use(resource, users, fate, why=why, hint=hint)

    def _look_afresh(self, handle: Any, pool: str) -> None:
        """Find volumes that something other than libvirt has made in the pool since the last."""
        with self._lock:
            if self._is_due(pool):
                look_afresh(handle.storagePoolLookupByName(pool))
                self._looked[pool] = self._now()

    def _is_due(self, pool: str | None) -> bool:
        """Whether a pool, or the domains (None), were not looked at lately. A look that failed is
        none.
        """
        return self._now() - self._looked.get(pool, float("-inf")) >= _LOOK_AGAIN_SECONDS

    def _now(self) -> float:
        return self._connection.context.clock.monotonic()

    def _domains(
        self, handle: Any, volume: VolumeId, path: str, above: Collection[VolumeId]
    ) -> list[User]:
        with self._lock:
            if self._is_due(None):
                self._sources = _sources_of_domains(handle)
                self._looked[None] = self._now()
            likely = self._sources.get(volume, set()) | self._sources.get(path, set())
        users = (_user(handle, domain, volume, path, above) for domain in likely)
        return [user for user in users if user is not None]

    def _based_on(self, handle: Any, path: str) -> list[VolumeId]:
        with self._lock:
            self._read_backing(handle)
            candidates = [
                VolumeId(pool, name)
                for pool, volumes in self._backing.items()
                for name, below in volumes.items()
                if below == path
            ]
        return [known for known in candidates if _backing_of(handle, known) == path]

    def _read_backing(self, handle: Any) -> None:
        before, self._backing = self._backing, {}
        for pool in handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE):
            name, volumes = pool.name(), frozenset(names_in(pool))
            known = before.get(name, {})
            for gone in known.keys() - volumes:
                del known[gone]
            for new in volumes - known.keys():
                known[new] = _backing_of(handle, VolumeId(name, new))
            self._backing[name] = known


def _backing_of(handle: Any, volume: VolumeId) -> str | None:
    """The path of what a volume is based on; None if nothing, if it went since it was listed, or
    if that path is no text, so that no volume we know is meant.
    """
    if is_marker(volume.volume):
        return None
    try:
        found = handle.storagePoolLookupByName(volume.pool).storageVolLookupByName(volume.volume)
        return VolumeFacts.read(parse(found.XMLDesc(0))).backing
    except UnicodeDecodeError:
        return None
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in NOT_FOUND:
            return None
        raise


def _sources_of_domains(handle: Any) -> dict[str | VolumeId, set[UUID]]:
    """What the disks of all domains are made of, and which domains those are."""
    sources: dict[str | VolumeId, set[UUID]] = {}
    for domain in handle.listAllDomains(0):
        for definition in _definitions(domain):
            for source in sources_of(definition):
                sources.setdefault(source, set()).add(UUID(bytes=domain.UUID()))
    return sources


def _definitions(domain: Any) -> list[Element]:
    """The configured definition and, of a domain that runs, the live one; none if it is gone."""
    try:
        texts = [domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE)]
        if domain.ID() != -1:
            texts.append(domain.XMLDesc(0))
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in NOT_FOUND:
            return []
        raise
    return [parse(text) for text in texts]


def _user(
    handle: Any, identity: UUID, volume: VolumeId, path: str, above: Collection[VolumeId]
) -> User | None:
    """A domain, if it uses the volume now, and not only through those ``above`` it."""
    try:
        domain = handle.lookupByUUID(identity.bytes)
    except libvirt.libvirtError as problem:
        if problem.get_error_code() in NOT_FOUND:
            return None
        raise
    used = any(uses(definition, volume, path, above) for definition in _definitions(domain))
    return User(str(identity), f"domain {domain.name()}") if used else None


def sources_of(definition: Element) -> Iterator[str | VolumeId]:
    """What a domain's disks are made of, and what lies below them: paths, and volumes of pools."""
    for disk in definition.findall("devices/disk"):
        for source in disk.iter("source"):
            yield from _named(source)


def _named(source: Element) -> Iterator[str | VolumeId]:
    pool, volume = source.get("pool"), source.get("volume")
    if pool is not None and volume is not None:
        yield VolumeId(pool, volume)
    for attribute in ("file", "dev"):
        path = source.get(attribute)
        if path is not None:
            yield path


def uses(
    definition: Element, volume: VolumeId, path: str, above: Collection[VolumeId] = ()
) -> bool:
    """Whether a domain's definition names the volume, as a disk or below one that is none of those
    ``above``.
    """
    for disk in definition.findall("devices/disk"):
        top = disk.find("source")
        if top is not None and any(name in above for name in _named(top)):
            continue
        if any(name in (volume, path) for source in disk.iter("source") for name in _named(source)):
            return True
    return False


def guests_of_others(
    connection: Connection, resource: Resource, needs: Callable[[Element], bool]
) -> list[User]:
    """Domains that run, are not of the resource's stack, and need it by their live definition."""

    def ask(handle: Any) -> Iterator[User]:
        for domain in handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE):
            definitions = _definitions(domain)
            # A stamp that was written by adopting it is in the live one after a restart only.
            if definitions and needs(definitions[-1]) and not is_of(definitions[0]):
                yield User(domain.UUIDString(), f"domain {domain.name()}")

    def is_of(configured: Element) -> bool:
        mark = stamp.read(configured)
        return mark is not None and mark.stamp.lineage == resource.stamp.lineage

    found = connection.read(f"look for guests that need {resource.address}", lambda h: [*ask(h)])
    return sorted(found, key=lambda user: user.text)


def require_no_guests(resource: Resource, users: Sequence[User]) -> None:
    """Raise InUse (PRV5124) if there are such :func:`guests_of_others`."""
    if users:
        hint = (
            "They are not of this stack. Stop them or change them first, or leave it to them: "
            f"provisioner state forget {resource.address}"
        )
        raise in_use(resource, users, "was not deleted", hint=hint)


def in_use(
    resource: Resource, users: Sequence[User], fate: str, *, why: str = "", hint: str
) -> InUse:
    """The error for an object that others need. ``fate`` says what did not become of it: ``was not
    deleted``; ``why`` is a sentence to begin with.
    """
    shown = ", ".join(user.text for user in users[:5])
    if len(users) > 5:
        shown += f" and {len(users) - 5} more"
    return InUse(
        error(
            "PRV5124",
            f"{resource.kind} {resource.name} is in use and {fate}",
            detail=f"{why} It is used by {shown}.".lstrip(),
            hint=hint,
            address=str(resource.address),
        )
    )
