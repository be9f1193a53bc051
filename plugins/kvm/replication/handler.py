"""The capability Replication, at the receiving host. Called by the session.

Whatever an interrupted call left is completed or removed by the next one: servers are ended,
mergers are completed as the record says, files that it does not name are removed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Outcome, Terminal
from provisioner.providers.capabilities import Point, Replica, ReplicaState, Way
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins.kvm.replication import external
from provisioner_plugins.kvm.replication.checkpoints import PREFIX
from provisioner_plugins.kvm.replication.drills import Drills
from provisioner_plugins.kvm.replication.exports import Exports
from provisioner_plugins.kvm.replication.mirror import CONNECTED, Mirror
from provisioner_plugins.kvm.replication.points import Points
from provisioner_plugins.kvm.replication.promotion import Promotion, being_promoted
from provisioner_plugins.kvm.replication.record import Record
from provisioner_plugins.kvm.replication.shell import shell_of
from provisioner_plugins.kvm.replication.source import SourceMachine
from provisioner_plugins.kvm.replication.store import Store

_LOOK_SECONDS = 60.0


class Replications:
    """See :class:`provisioner.providers.capabilities.Replication`."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """What is there of each."""
        deadline = Deadline.after(_LOOK_SECONDS, self.connection.context.clock)
        ours = [replica for replica in replicas if replica.way is not Way.EXTERNAL]
        records = self._store.read_all(ours, deadline)
        live = [r for r in ours if (found := records[r.machine.address]) and found.is_live]
        keys = [self._mirror.key(replica) for replica in live]
        servers = self._exports.states(keys, deadline)
        states = {r.machine.address: s for r, s in zip(live, servers, strict=True)}
        result: dict[Address, ReplicaState] = {}
        for replica in replicas:
            address = replica.machine.address
            if replica.way is Way.EXTERNAL:
                point = external.point_of(self._store, replica, deadline)
                result[address] = ReplicaState((point,) if point is not None else ())
            else:
                result[address] = _state(records[address], states.get(address))
        return result

    def synchronise(self, replica: Replica, source: Connection, deadline: Deadline) -> Point:
        """One more point."""
        if replica.way is Way.EXTERNAL:
            return external.require_point(self._store, replica, deadline)
        with self._opened(replica, deadline) as before:
            machine = self._machine(replica, source)
            machine.require_ours()
            if replica.way is Way.CONTINUOUS and machine.is_running():
                after = self._mirror.ensure(replica, machine, before, deadline)
            else:
                ended = self._mirror.end(replica, machine, before, deadline)
                after = self._points.take(replica, machine, ended, deadline)
            return self._store.prune(replica, after, deadline).points[-1].point

    def suspend(self, replica: Replica, source: Connection | None, deadline: Deadline) -> None:
        """End what goes on."""
        if replica.way is Way.EXTERNAL:
            return
        with self._opened(replica, deadline) as before:
            machine = self._machine(replica, source) if source is not None else None
            if machine is not None and not machine.exists():
                machine = None
            if machine is not None:
                machine.require_ours()
                machine.tidy(deadline)
            after = self._mirror.end(replica, machine, before, deadline)
            if after.points:
                self._store.prune(replica, after, deadline)

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Disks of a drill."""
        self._require_own_copies(replica)
        with self._opened(replica, deadline) as record:
            return self._drills.stage(replica, record, point, deadline)

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """No disks of a drill."""
        if replica.way is Way.EXTERNAL:
            return
        with self._opened(replica, deadline) as record:
            self._drills.unstage(replica, record, deadline)

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Disks of a point."""
        if replica.way is Way.EXTERNAL:
            external.require_point(self._store, replica, deadline)
            self._store.refresh(replica)
            return {
                address: self._store.outcome(disk, self._store.volume(disk).volume)
                for address, disk in replica.disks.items()
            }
        with self._alone(replica, deadline) as record:
            return self._promotion.promote(replica, record, point, deadline)

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """Nothing."""
        if replica.way is Way.EXTERNAL:
            return
        with self._alone(replica, deadline) as record:
            self._mirror.end(replica, None, record, deadline)
            self._store.forget(replica, deadline)
            self._store.refresh(replica)

    # --- the parts ---

    @contextmanager
    def _alone(self, replica: Replica, deadline: Deadline) -> Iterator[Record]:
        """A block in which nobody else works on the replica, with its record."""
        if not replica.disks:
            raise Terminal(
                error(
                    "PRV5379",
                    f"{replica.machine.address}: none of its disks is replicated",
                    hint="Replicate one at least, or take the machine out of its group.",
                    address=str(replica.machine.address),
                )
            )
        key, about = self._store.record_path(replica), str(replica.machine.address)
        with self._exports.locked(key, about, deadline):
            yield self._store.read(replica, deadline)

    @contextmanager
    def _opened(self, replica: Replica, deadline: Deadline) -> Iterator[Record]:
        """As :meth:`_alone`, with what an interrupted call was at completed. Raises Terminal
        (PRV5378) if that was a promotion.
        """
        with self._alone(replica, deadline) as record:
            if record.promoting is not None:
                raise Terminal(being_promoted(replica, record))
            yield self._store.settle(replica, record, deadline)

    def _machine(self, replica: Replica, source: Connection) -> SourceMachine:
        # One machine may be replicated to several places.
        to = f"{self.connection.endpoint.name} {self._store.record_path(replica)}"
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
    def _store(self) -> Store:
        return Store(self.connection, shell_of(self.connection))

    @cached_property
    def _exports(self) -> Exports:
        return Exports(self.connection.endpoint, shell_of(self.connection))

    @cached_property
    def _points(self) -> Points:
        return Points(self.connection, self._store, self._exports)

    @cached_property
    def _mirror(self) -> Mirror:
        return Mirror(self.connection, self._store, self._exports, self._points)

    @cached_property
    def _drills(self) -> Drills:
        return Drills(self._store, self._mirror)

    @cached_property
    def _promotion(self) -> Promotion:
        return Promotion(self._store, self._mirror)


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
    stands = None if record.staged is None else record.find(record.staged[0])
    return ReplicaState(
        tuple(kept.point for kept in record.points),
        in_step=record.is_live and server == CONNECTED,
        moved=record.moved,
        staged=record.staged is not None,
        problem=problem,
        staged_on=None if stands is None else stands.point,
    )
