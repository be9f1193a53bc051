"""Taking a recovery point: what differs from the newest one goes into images above it. Called by
:mod:`handler`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource, Retryable, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.disk import format_of
from provisioner_plugins._libvirt.volume import identity_names
from provisioner_plugins.kvm.replication.copying import copy_differing, copy_dirty
from provisioner_plugins.kvm.replication.exports import Exports
from provisioner_plugins.kvm.replication.nbd import ALLOCATION, Client, NbdError
from provisioner_plugins.kvm.replication.record import SEED, File, Kept, Record
from provisioner_plugins.kvm.replication.source import Offer, SourceMachine
from provisioner_plugins.kvm.replication.store import Store

NEW = ".new"
"""At the end of the name of a file that is not whole yet."""
_PATIENCE = 60.0
"""Seconds that a server may take for one answer."""


class _Target(NamedTuple):
    disk: Resource
    file: File
    below: File | None


@dataclass(frozen=True, slots=True)
class Points:
    """Takes points at one receiving host."""

    connection: Connection
    store: Store
    exports: Exports

    def take(
        self, replica: Replica, machine: SourceMachine, record: Record, deadline: Deadline
    ) -> Record:
        """One more point; returns the record with it, written. Nothing is given up yet.

        Raises Retryable (PRV5370 a connection broke, PRV5371 out of time) and Terminal; then
        nothing counts that was not there before.
        """
        record = self.begin(replica, record, deadline)
        newest = record.find(None)
        keys = {str(address) for address in replica.disks}
        # With other disks than before, it is a beginning; what a seed lacks is transferred whole.
        stands = newest is not None and (newest.id == SEED or set(newest.files) == keys)
        machine.tidy(deadline)
        before = newest.checkpoint if newest is not None else None
        machine.checkpoints.drop(machine.prefix, before)
        number = record.number + 1
        name = f"{number:08d}"
        taken = self.connection.context.clock.now()
        checkpoint = f"{machine.prefix}{name}-{secrets.token_hex(4)}"
        files: dict[str, File] = {}
        moved = 0
        with machine.offered(checkpoint, before if stands else None, deadline) as offers:
            for address, offer in offers.disks.items():
                disk, key = replica.disks[address], str(address)
                files[key] = self.store.file_of(disk, name)
                below = newest.files.get(key) if newest is not None and stands else None
                target = _Target(disk, files[key], below)
                moved += self._fill(replica.machine, offer, target, deadline)
        for address, disk in replica.disks.items():
            file = files[str(address)]
            self.store.move(disk, file.name + NEW, file.name, deadline)
        kept = Kept(
            name,
            files,
            taken.isoformat(),
            offers.quiesced,
            offers.checkpoint,
            alone=not stands,
        )
        record = replace(record, number=number, points=(*record.points, kept), moved=moved)
        record = self.store.write(replica, replace(record, way=replica.way.value), deadline)
        machine.checkpoints.drop(machine.prefix, offers.checkpoint)
        return record

    # --- the beginning ---

    def begin(self, replica: Replica, record: Record, deadline: Deadline) -> Record:
        """See to it that what the Disks will be called is free: where they are there, and the
        replica is seeded, they become its first point. What is below the next one is only read, so
        that this one can be promoted until then.
        """
        if record.points:
            return record
        places = [(disk, self.store.volume(disk).volume) for disk in replica.disks.values()]
        times = self.store.times(places, deadline) if replica.seeded else [None] * len(places)
        there = {
            disk.address: time
            for (disk, _), time in zip(places, times, strict=True)
            if time is not None
        }
        others = {a: disk for a, disk in replica.disks.items() if a not in there}
        require_free(self.store, replace(replica, disks=others), deadline)
        if not there:
            return record
        for disk, name in places:
            if disk.address in there:
                self.store.require_unused(disk, name, format_of(disk.spec), deadline)
        seeds = {str(a): _seed(self.store, replica.disks[a]) for a in there}
        # The machine was off: all that it wrote until then is on its disks.
        taken = datetime.fromtimestamp(max(there.values()), UTC).isoformat()
        kept = Kept(SEED, seeds, taken, alone=True)
        record = replace(record, points=(kept,), seeding=True)
        return self.store.settle(replica, self.store.write(replica, record, deadline), deadline)

    # --- the copy ---

    def _fill(self, machine: Resource, offer: Offer, target: _Target, deadline: Deadline) -> int:
        disk, file, below = target

        def tick(done: int, total: int) -> None:
            if deadline.passed:
                raise Retryable(_late(machine))
            text = f"replicating {disk.address}"
            self.connection.context.progress(machine.address, text, done, total)

        bitmap = offer.bitmap if below is not None else None
        contexts = [bitmap or ALLOCATION]
        partial = File(file.name + NEW, file.format)
        try:
            with Client(offer.address, offer.export, contexts, _PATIENCE) as source:
                path = self.store.make(disk, partial, source.size, below, deadline)
                with (
                    self.exports.offered(
                        writer_key(path), path, file.format, deadline, writable=True
                    ) as at,
                    Client(at, "", [ALLOCATION], _PATIENCE) as sink,
                ):
                    if bitmap is not None:
                        moved = copy_dirty(source, sink, bitmap, tick)
                    else:
                        moved = copy_differing(source, sink, tick)
                    sink.flush()
                    return moved
        except NbdError as problem:
            raise Retryable(_broken(machine, disk.address, problem)) from problem


def writer_key(path: str) -> str:
    """By which the server is known through which a file is written."""
    return f"writer {path}"


def require_free(store: Store, replica: Replica, deadline: Deadline) -> None:
    """Raise Terminal (PRV5368) if there are volumes of a replica's Disks, whatever their format."""
    for disk in replica.disks.values():
        names = list(dict.fromkeys((store.volume(disk).volume, *identity_names(disk))))
        there = store.exists(disk, names, deadline)
        found = [
            store.path(disk, name) for name, is_there in zip(names, there, strict=True) if is_there
        ]
        if found:
            raise Terminal(
                error(
                    "PRV5368",
                    f"{disk.address} is at the receiving site already",
                    detail=f"Found {', '.join(found)}, which may be newer than what would be "
                    "replicated. Nothing was written.",
                    hint="If the machine runs at the other site and this is what it left here, "
                    "make a replica of it: 'provisioner dr reprotect'. Else remove or rename it.",
                    address=str(replica.machine.address),
                )
            )


def _seed(store: Store, disk: Resource) -> File:
    return store.file_of(disk, SEED, format_of(disk.spec))


def _late(machine: Resource) -> Diagnostic:
    return error(
        "PRV5371",
        f"machine {machine.name}: the synchronisation did not end in time",
        hint="Give it more time, or a faster way between the sites; what was transferred in this "
        "attempt is dropped.",
        address=str(machine.address),
    )


def _broken(machine: Resource, address: Address, problem: NbdError) -> Diagnostic:
    return error(
        "PRV5370",
        f"machine {machine.name}: the transfer of {address} broke",
        detail=f"{problem}.",
        hint="Repeat it. If it breaks again: is the network between the hosts up, and does the "
        "machine still run?",
        address=str(machine.address),
    )
