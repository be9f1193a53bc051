"""The capability Replication, at the receiving host. Called by the session.

Whatever an interrupted call left is completed or removed by the next one: servers are ended,
mergers are completed as the record says, files that it does not name are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Outcome, Terminal
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins.kvm.replication import external, locks
from provisioner_plugins.kvm.replication.checkpoints import PREFIX
from provisioner_plugins.kvm.replication.drills import Drills
from provisioner_plugins.kvm.replication.exports import Exports
from provisioner_plugins.kvm.replication.mirror import CONNECTED, Mirror
from provisioner_plugins.kvm.replication.points import Points
from provisioner_plugins.kvm.replication.private import Private
from provisioner_plugins.kvm.replication.promotion import Promotion, being_promoted
from provisioner_plugins.kvm.replication.record import SEED, Record
from provisioner_plugins.kvm.replication.shell import Shell, shell_of
from provisioner_plugins.kvm.replication.source import SourceMachine
from provisioner_plugins.kvm.replication.store import Store

_LOOK_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class _Parts:
    """What does the work of one call, by way of one shell."""

    store: Store
    exports: Exports
    points: Points
    mirror: Mirror
    drills: Drills
    promotion: Promotion

    @classmethod
    def of(cls, connection: Connection, shell: Shell, private: Private) -> _Parts:
        store = Store(connection, shell)
        exports = Exports(connection.endpoint, shell, private.on(shell))
        points = Points(connection, store, exports)
        mirror = Mirror(connection, store, exports, points)
        return cls(store, exports, points, mirror, Drills(store, mirror), Promotion(store, mirror))


class Replications:
    """See :class:`provisioner.providers.capabilities.Replication`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """What is there of each."""
        deadline = Deadline.after(_LOOK_SECONDS, self.connection.context.clock)
        ours = [replica for replica in replicas if replica.way is not Way.EXTERNAL]
        records = self._parts.store.read_all(ours, deadline)
        live = [r for r in ours if (found := records[r.machine.address]) and found.is_live]
        keys = [self._parts.mirror.key(replica) for replica in live]
        servers = self._parts.exports.states(keys, deadline)
        states = {r.machine.address: s for r, s in zip(live, servers, strict=True)}
        result: dict[Address, ReplicaState] = {}
        for replica in replicas:
            address = replica.machine.address
            if replica.way is Way.EXTERNAL:
                point = external.point_of(self._parts.store, replica, deadline)
                result[address] = ReplicaState((point,) if point is not None else ())
            else:
                result[address] = _state(records[address], states.get(address))
        return result

    def synchronise(self, replica: Replica, source: Connection, deadline: Deadline) -> Point:
        """One more point."""
        if replica.way is Way.EXTERNAL:
            return external.require_point(self._parts.store, replica, deadline)
        with self._opened(replica, deadline) as (parts, found):
            machine = self._machine(replica, source)
            machine.require_ours()
            before = found
            if found.promoting is not None and replica.seeded:
                parts.promotion.complete(replica, found, deadline)
                before = parts.store.read(replica, deadline)
            _require_whole(replica, before)
            if replica.way is Way.CONTINUOUS and machine.is_running():
                after = parts.mirror.ensure(replica, machine, before, deadline)
            else:
                ended = parts.mirror.end(replica, machine, before, deadline)
                after = parts.points.take(replica, machine, ended, deadline)
            return parts.store.prune(replica, after, deadline).points[-1].point

    def suspend(self, replica: Replica, source: Connection | None, deadline: Deadline) -> None:
        """End what goes on."""
        if replica.way is Way.EXTERNAL:
            return
        # Without a source nobody else can be asked to end, and a recovery waits.
        with self._opened(replica, deadline, puts_out=source is None) as (parts, before):
            machine = self._machine(replica, source) if source is not None else None
            if machine is not None and not machine.exists():
                machine = None
            if machine is not None:
                machine.require_ours()
                machine.tidy(deadline)
            after = parts.mirror.end(replica, machine, before, deadline)
            if after.points and after.promoting is None:
                parts.store.prune(replica, after, deadline)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Disks of a drill."""
        self._require_own_copies(replica)
        with self._opened(replica, deadline) as (parts, record):
            _require_whole(replica, record)
            return parts.drills.stage(replica, record, point, deadline)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """No disks of a drill."""
        if replica.way is Way.EXTERNAL:
            return
        with self._opened(replica, deadline) as (parts, record):
            if record.promoting is not None:
                return  # it was not begun as long as a drill stood
            parts.drills.unstage(replica, record, deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Disks of a point."""
        if replica.way is Way.EXTERNAL:
            external.require_point(self._parts.store, replica, deadline)
            self._parts.store.refresh(replica, deadline)
            return {
                address: self._parts.store.outcome(disk, self._parts.store.volume(disk).volume)
                for address, disk in replica.disks.items()
            }
        with self._alone(replica, deadline, puts_out=True) as (parts, record):
            return parts.promotion.promote(replica, record, point, deadline)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """Nothing."""
        if replica.way is Way.EXTERNAL:
            return
        with self._alone(replica, deadline) as (parts, record):
            parts.mirror.end(replica, None, record, deadline)
            parts.store.forget(replica, deadline)
            parts.store.refresh(replica, deadline)

    # --- the parts ---

    @contextmanager
    def _alone(
        self, replica: Replica, deadline: Deadline, *, puts_out: bool = False
    ) -> Iterator[tuple[_Parts, Record]]:
        """A block in which nobody else works on the replica, with what works on it and its record.
        ``puts_out``: see :func:`locks.held`.
        """
        if not replica.disks:
            raise Terminal(
                error(
                    "PRV5379",
                    f"{replica.machine.address}: none of its disks is replicated",
                    hint="Replicate one at least, or take the machine out of its group.",
                    address=str(replica.machine.address),
                )
            )
        base = self._private.base(self._parts.store.record_path(replica), deadline)
        about, now = str(replica.machine.address), self.connection.context.clock.now()
        with locks.held(
            self._shell, f"{base}.lock", about, now, deadline, puts_out=puts_out
        ) as shell:
            parts = _Parts.of(self.connection, shell, self._private)
            yield parts, parts.store.read(replica, deadline)

    @contextmanager
    def _opened(
        self, replica: Replica, deadline: Deadline, *, puts_out: bool = False
    ) -> Iterator[tuple[_Parts, Record]]:
        """As :meth:`_alone`, with what an interrupted call was at completed: not a promotion."""
        with self._alone(replica, deadline, puts_out=puts_out) as (parts, record):
            yield parts, parts.store.settle(replica, record, deadline)

    def _machine(self, replica: Replica, source: Connection) -> SourceMachine:
        # One machine may be replicated to several places.
        to = f"{self.connection.endpoint.name} {self._parts.store.record_path(replica)}"
        digest = hashlib.sha256(to.encode()).hexdigest()[:8]
        return SourceMachine(source, replica, f"{PREFIX}{digest}-")

    def _require_own_copies(self, replica: Replica) -> None:
        if replica.way is Way.EXTERNAL:
            raise Terminal(
                error(
                    "PRV5379",
                    f"{replica.machine.address}: a drill needs a copy that stands still",
                    detail="What another tool replicates may change at any moment.",
                    hint="Replicate it incrementally or continuously, or have that tool make a "
                    "copy for the drill.",
                    address=str(replica.machine.address),
                )
            )

    # Made when first needed: a host without a shell can be used for everything else.

    @cached_property
    def _shell(self) -> Shell:
        return shell_of(self.connection)

    @cached_property
    def _private(self) -> Private:
        return Private(self._shell)

    @cached_property
    def _parts(self) -> _Parts:
        """For what only looks, and needs no lock."""
        return _Parts.of(self.connection, self._shell, self._private)


def _require_whole(replica: Replica, record: Record) -> None:
    """Raise Terminal (PRV5378) if one of its points is becoming Disks."""
    if record.promoting is not None:
        raise Terminal(being_promoted(replica, record))


def _state(record: Record | None, server: str | None) -> ReplicaState:
    if record is None:
        return ReplicaState()
    problem = ""
    if record.promoting is not None:
        problem = f"point {record.promoting} is being promoted, and that did not end"
    elif record.exports:
        problem = "what the source writes to is not whole yet"
    elif record.is_live and server != CONNECTED:
        problem = "the source does not write to it any more"
    elif record.points and record.points[-1].id == SEED:
        problem = "it has what the machine ran on there before, and nothing newer"
    stands = None if record.staged is None else record.find(record.staged[0])
    return ReplicaState(
        tuple(kept.point for kept in record.usable),
        in_step=record.is_live and server == CONNECTED,
        moved=record.moved,
        staged=record.staged is not None,
        problem=problem,
        staged_on=None if stands is None else stands.point,
    )
