"""What an endpoint has, read lazily and at most once: the handlers' ``observe`` and ``discover``
read through it.

A session makes one :class:`Inventory` for each call of the contract, so its content is one moment's
and it needs no lock. Lists come in one call; documents are read one call each, only for the objects
asked for, and parsed once. ``calls`` counts round trips to the daemon. An error in the middle is
raised, or reported as undetermined; it never makes an object absent.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

import libvirt

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Retryable, Terminal
from provisioner_plugins._libvirt.beside import read_each
from provisioner_plugins._libvirt.connection import Connection, not_text
from provisioner_plugins._libvirt.errors import NOT_FOUND
from provisioner_plugins._libvirt.ownership import uuid_or_none
from provisioner_plugins._libvirt.records import (
    DomainRecord,
    Index,
    NetworkRecord,
    PoolRecord,
    VolumeListing,
    VolumeRecord,
    parsed,
    unreadable,
)
from provisioner_plugins._libvirt.storage import Volumes, look_afresh, volumes_in
from provisioner_plugins._libvirt.xml import Element

K = TypeVar("K", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")


class Inventory:
    """Everything that was asked of one endpoint in one operation. Not thread-safe."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._tally: list[int] = []
        self._domains: Index[DomainRecord] | None = None
        self._listed_domains = -1
        self._with_snapshots: frozenset[UUID] | None = None
        self._saved: Mapping[UUID, Element] | None = None
        self._running: tuple[tuple[str, Element], ...] | None = None
        self._networks: Index[NetworkRecord] | None = None
        self._pools: Index[PoolRecord] | None = None
        self._pool_bytes: dict[str, int] = {}
        self._volumes: dict[str, VolumeListing] = {}
        self._listed_on: dict[str, Any] = {}
        """The handle that the volumes of a pool were found on."""
        self._documents: dict[tuple[str, str], Element | None] = {}
        self._derived: dict[Callable[[Inventory], Any], Any] = {}

    def once(self, make: Callable[[Inventory], T]) -> T:
        """What is made of this inventory, made at the first call and kept as long as it."""
        if make not in self._derived:
            self._derived[make] = make(self)
        found: T = self._derived[make]
        return found

    @property
    def calls(self) -> int:
        """Round trips to the daemon so far."""
        # A list, because several threads add to it: appending needs no lock.
        return sum(self._tally)

    def domains(self) -> Index[DomainRecord]:
        """All domains with their definitions: 4 calls (2 if none runs), one for each domain, and
        one more for each that runs.
        """
        if self._domains is None:
            self._domains = Index(self.connection.read("read the domains", self._read_domains))
        return self._domains

    def domains_of(self, targets: Sequence[Resource]) -> Index[DomainRecord]:
        """As :meth:`domains`, but only the definitions of domains that these targets can mean are
        read: an update of one machine does not read five hundred.
        """
        if self._domains is not None:
            return self._domains
        known = {target.uid for target in targets}
        known |= {uuid_or_none(target.external_id or "") or target.uid for target in targets}
        names = {target.name for target in targets}

        def is_meant(domain: Any) -> bool:
            return domain.name() in names or UUID(bytes=domain.UUID()) in known

        found = Index(
            self.connection.read(
                "read the domains", lambda handle: self._read_domains(handle, is_meant)
            )
        )
        if len(found) == self._listed_domains:
            self._domains = found
        return found

    def with_snapshots(self) -> frozenset[UUID]:
        """The domains that have snapshots: 1 call."""
        if self._with_snapshots is None:
            flag = libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_SNAPSHOT
            found = self.connection.read(
                "list the domains with snapshots",
                lambda handle: _uuids(handle.listAllDomains(flag)),
            )
            self._tally.append(1)
            self._with_snapshots = frozenset(UUID(bytes=identity) for identity in found)
        return self._with_snapshots

    def saved(self) -> Mapping[UUID, Element]:
        """The definitions with which domains go on from a saved state: 1 call, and one for each."""
        if self._saved is None:
            self._saved = self.connection.read("read the saved domains", self._read_saved)
        return self._saved

    def with_checkpoints(self) -> frozenset[UUID]:
        """The domains that have checkpoints: 1 call."""
        flag = libvirt.VIR_CONNECT_LIST_DOMAINS_HAS_CHECKPOINT
        found = self.connection.read(
            "list the domains with checkpoints",
            lambda handle: _uuids(handle.listAllDomains(flag)),
        )
        self._tally.append(1)
        return frozenset(UUID(bytes=identity) for identity in found)

    def running(self) -> Sequence[tuple[str, Element]]:
        """Name and live definition of every running domain, without reading the others."""
        if self._domains is not None:
            running = [(domain.name, domain.live) for domain in self._domains]
            return [(name, live) for name, live in running if live is not None]
        if self._running is None:
            self._running = self.connection.read("read the running domains", self._read_running)
        return self._running

    def networks(self) -> Index[NetworkRecord]:
        """All networks with their definitions: 4 calls, one for each network, one more for each
        active one.
        """
        if self._networks is None:
            self._networks = Index(self.connection.read("read the networks", self._read_networks))
        return self._networks

    def pools(self) -> Index[PoolRecord]:
        """All storage pools: 4 calls and one for each pool."""
        if self._pools is None:
            self._pools = Index(self.connection.read("read the storage pools", self._read_pools))
        return self._pools

    def volumes(self, pool: PoolRecord, *, afresh: bool = True) -> VolumeListing:
        """The volumes of a pool: 3 calls (find it, look at its storage, list).

        Without ``afresh`` the daemon's last look counts. That is for pools that are not ours: a
        look that fails makes libvirt stop the pool.
        """
        if pool.name not in self._volumes:
            self._volumes[pool.name] = self._list_volumes(pool, afresh)
        return self._volumes[pool.name]

    def pool_bytes(self, pool: str) -> int:
        """The size of a pool, used or not: 2 calls."""
        if pool not in self._pool_bytes:
            self._tally.append(2)
            self._pool_bytes[pool] = Volumes(self.connection).pool_bytes(pool)
        return self._pool_bytes[pool]

    def volume(self, record: VolumeRecord) -> Element | None:
        """The document of a volume, 1 call; None if it was removed since it was listed."""
        return self.volume_documents([record])[0]

    def volume_documents(self, records: Sequence[VolumeRecord]) -> list[Element | None]:
        """The documents of several volumes, in order, in overlapping calls where that pays."""
        unread = {(r.pool, r.name): r for r in records if (r.pool, r.name) not in self._documents}
        if unread:
            documents = self.connection.read(
                "read the volumes", lambda handle: self._read_volumes(handle, unread)
            )
            self._documents.update(zip(unread, documents, strict=True))
        return [self._documents[r.pool, r.name] for r in records]

    # --- reading; every function below gets an open virConnect and may be run a second time ---

    def _read_domains(
        self, handle: Any, is_meant: Callable[[Any], bool] = lambda _: True
    ) -> list[DomainRecord]:
        self._tally.append(2)
        listed = handle.listAllDomains(0)
        self._listed_domains = len(listed)
        autostart = _uuids(handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_AUTOSTART))
        states, transient = self._read_active(handle, listed)

        def read(domain: Any) -> DomainRecord | None:
            identity = domain.UUID()
            live = None
            if domain.ID() != -1:
                live = self._text(domain.XMLDesc, 0)
                if live is not None and " id=" not in live.partition(">")[0]:
                    live = None  # it stopped since it was listed
            is_persistent = identity not in transient
            configured = live
            if is_persistent:
                configured = self._text(domain.XMLDesc, libvirt.VIR_DOMAIN_XML_INACTIVE)
            if configured is None:
                return None
            return DomainRecord(
                uuid=UUID(bytes=identity),
                name=domain.name(),
                configured_text=configured,
                live_text=live,
                state=states.get(identity, libvirt.VIR_DOMAIN_SHUTOFF),
                autostart=identity in autostart,
                persistent=is_persistent,
            )

        meant = [domain for domain in listed if is_meant(domain)]
        records = self._each(read, _by_uuid(meant), lambda other: _by_uuid(other.listAllDomains(0)))
        return [record for record in records if record is not None]

    def _read_saved(self, handle: Any) -> dict[UUID, Element]:
        self._tally.append(1)
        listed = handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_MANAGEDSAVE)
        found = ((domain, self._document(domain.managedSaveGetXMLDesc, 0)) for domain in listed)
        return {UUID(bytes=domain.UUID()): text for domain, text in found if text is not None}

    def _read_active(
        self, handle: Any, listed: Sequence[Any]
    ) -> tuple[Mapping[bytes, int], frozenset[bytes]]:
        """States of the domains that run, and which of them are transient: 2 calls, none if nothing
        runs.
        """
        if all(domain.ID() == -1 for domain in listed):
            return {}, frozenset()
        self._tally.append(2)
        active = libvirt.VIR_CONNECT_GET_ALL_DOMAINS_STATS_ACTIVE
        found = handle.getAllDomainStats(libvirt.VIR_DOMAIN_STATS_STATE, active)
        states = {domain.UUID(): stats["state.state"] for domain, stats in found}
        transient = handle.listAllDomains(libvirt.VIR_CONNECT_LIST_DOMAINS_TRANSIENT)
        return states, _uuids(transient)

    def _read_running(self, handle: Any) -> tuple[tuple[str, Element], ...]:
        self._tally.append(1)
        flags = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        listed = handle.listAllDomains(flags)
        documents = self._each(
            lambda domain: self._document(domain.XMLDesc, 0),
            _by_uuid(listed),
            lambda other: _by_uuid(other.listAllDomains(flags)),
        )
        return tuple(
            (domain.name(), document)
            for domain, document in zip(listed, documents, strict=True)
            if document is not None
        )

    def _read_networks(self, handle: Any) -> list[NetworkRecord]:
        self._tally.append(4)
        listed = handle.listAllNetworks(0)
        active = _uuids(handle.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_ACTIVE))
        autostart = _uuids(handle.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_AUTOSTART))
        persistent = _uuids(handle.listAllNetworks(libvirt.VIR_CONNECT_LIST_NETWORKS_PERSISTENT))

        def read(network: Any) -> NetworkRecord | None:
            identity = network.UUID()
            live = self._document(network.XMLDesc, 0) if identity in active else None
            configured = live
            if identity in persistent:
                configured = self._document(network.XMLDesc, libvirt.VIR_NETWORK_XML_INACTIVE)
            if configured is None:
                return None
            return NetworkRecord(
                uuid=UUID(bytes=identity),
                name=network.name(),
                configured=configured,
                live=live,
                autostart=identity in autostart,
                persistent=identity in persistent,
            )

        records = self._each(
            read, _by_uuid(listed), lambda other: _by_uuid(other.listAllNetworks(0))
        )
        return [record for record in records if record is not None]

    def _read_pools(self, handle: Any) -> list[PoolRecord]:
        self._tally.append(4)
        listed = handle.listAllStoragePools(0)
        active = _uuids(handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_ACTIVE))
        autostart = _uuids(
            handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_AUTOSTART)
        )
        persistent = _uuids(
            handle.listAllStoragePools(libvirt.VIR_CONNECT_LIST_STORAGE_POOLS_PERSISTENT)
        )

        def read(pool: Any) -> PoolRecord | None:
            identity = pool.UUID()
            flags = libvirt.VIR_STORAGE_XML_INACTIVE if identity in persistent else 0
            document = self._document(pool.XMLDesc, flags)
            if document is None:
                return None
            return PoolRecord(
                uuid=UUID(bytes=identity),
                name=pool.name(),
                document=document,
                active=identity in active,
                autostart=identity in autostart,
                persistent=identity in persistent,
            )

        records = self._each(
            read, _by_uuid(listed), lambda other: _by_uuid(other.listAllStoragePools(0))
        )
        return [record for record in records if record is not None]

    def _list_volumes(self, pool: PoolRecord, afresh: bool) -> VolumeListing:
        what = f"list the volumes of pool {pool.name}"
        if not pool.active:
            return VolumeListing(problem=_inactive(pool.name))

        def read(handle: Any) -> VolumeListing:
            self._tally.append(3)
            found = handle.storagePoolLookupByUUID(pool.uuid.bytes)
            if afresh:
                look_afresh(found)
            volumes, unreadable = volumes_in(found)
            self._listed_on[pool.name] = handle
            return VolumeListing(
                {name: VolumeRecord(pool.name, name, item) for name, item in volumes.items()},
                unreadable,
            )

        try:
            return self.connection.read(what, read)
        except (Retryable, Terminal) as problem:
            # The pool was there a moment ago: its volumes may be there still, on storage that no
            # pool shows now.
            return VolumeListing(problem=problem.diagnostic)

    def _read_volumes(
        self, handle: Any, records: Mapping[tuple[str, str], VolumeRecord]
    ) -> list[Element | None]:
        pools = {record.pool for record in records.values()}
        elsewhere = {pool for pool in pools if self._listed_on.get(pool) is not handle}
        again = self._found_again(handle, elsewhere)
        # Without an object: it was removed since it was listed.
        found = {
            key: record.found if record.pool not in elsewhere else again.get(key)
            for key, record in records.items()
        }
        return self._each(
            lambda volume: self._document(volume.XMLDesc, 0) if volume is not None else None,
            found,
            lambda other: self._found_again(other, pools),
        )

    def _found_again(self, handle: Any, pools: Iterable[str]) -> dict[tuple[str, str], Any]:
        """Libvirt's objects of the volumes in some pools, as it knows them already."""
        found = {}
        for pool in pools:
            self._tally.append(2)
            volumes = volumes_in(handle.storagePoolLookupByName(pool)).volumes
            found.update({(pool, name): volume for name, volume in volumes.items()})
        return found

    def _document(self, read: Callable[[int], str], flags: int) -> Element | None:
        """The parsed document, or None where the object was removed since it was listed."""
        text = self._text(read, flags)
        return parsed(text) if text is not None else None

    def _text(self, read: Callable[[int], str], flags: int) -> str | None:
        """A document, or None where the object was removed since it was listed."""
        self._tally.append(1)
        try:
            return read(flags)
        except libvirt.libvirtError as problem:
            if problem.get_error_code() in NOT_FOUND:
                return None
            raise
        except UnicodeDecodeError as problem:
            raise unreadable(not_text(problem)) from problem

    def _each(
        self,
        read: Callable[[S], T],
        items: Mapping[K, S],
        list_again: Callable[[Any], Mapping[K, S]],
    ) -> list[T | None]:
        """See :func:`read_each`."""

        def counted(handle: Any) -> Mapping[K, S]:
            self._tally.append(1)
            return list_again(handle)

        return read_each(self.connection, read, items, counted)


def _by_uuid(objects: Iterable[Any]) -> dict[bytes, Any]:
    return {item.UUID(): item for item in objects}


def _uuids(objects: Iterable[Any]) -> frozenset[bytes]:
    return frozenset(item.UUID() for item in objects)


def _inactive(pool: str) -> Diagnostic:
    return error(
        "PRV5120",
        f"the storage pool {pool} is not active, so its volumes are unknown",
        hint=f"Start it (virsh pool-start {pool}), or apply its StoragePool first.",
    )
