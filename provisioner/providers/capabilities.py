"""Optional capabilities: protocols that a session may implement beside the core contract.

A provider names the ones its sessions have in ``Description.capabilities``; the engine asks at plan
time, never by trying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple, Protocol, runtime_checkable

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Change, Outcome, Resource, Session

CONSOLE = "console"
SNAPSHOT_REVERT = "snapshot-revert"
POWER = "power"
USAGE = "usage"
PREFLIGHT = "preflight"
REPLICATION = "replication"
STANDBY = "standby"
GUEST_AGENT = "guest-agent"
LEASES = "leases"


@dataclass(frozen=True, slots=True)
class GraphicsAddress:
    """Where a viewer connects: ``protocol`` is ``vnc`` or ``spice``, ``uri`` is what remote-viewer
    takes.
    """

    protocol: str
    uri: str


@runtime_checkable
class ConsoleStream(Protocol):
    """A two-way byte stream to a serial port."""

    def read(self, timeout: float) -> bytes | None:
        """What the guest wrote, b"" if nothing came within ``timeout`` seconds, None when the
        stream has ended.
        """
        ...

    def write(self, data: bytes) -> None:
        """Type to the guest."""
        ...

    def close(self) -> None:
        """Give the console free."""
        ...


@runtime_checkable
class Console(Protocol):
    """Reaching a machine's consoles."""

    def graphics(self, resource: Resource) -> GraphicsAddress | None:
        """The address of the graphical console; None if the machine has none or does not run."""
        ...

    def serial_log(self, resource: Resource) -> str | None:
        """What the guest wrote on its serial console since it was started, where the endpoint keeps
        it; else None.
        """
        ...

    def serial(self, resource: Resource) -> ConsoleStream:
        """Open the serial console of a running machine."""
        ...


@runtime_checkable
class SnapshotRevert(Protocol):
    """Going back to a snapshot."""

    def revert(self, snapshot: Resource, deadline: Deadline) -> None:
        """Bring the snapshot's machine back to it."""
        ...


@runtime_checkable
class Power(Protocol):
    """Power operations outside a plan."""

    def power(self, machine: Resource, state: str, deadline: Deadline) -> None:
        """Bring the machine to ``running``, ``stopped`` or ``suspended``."""
        ...


class User(NamedTuple):
    """An object on the endpoint, ours or not, that needs another one."""

    external_id: str
    text: str
    """For people: ``domain web01``."""


@runtime_checkable
class Usage(Protocol):
    """Knowing beforehand what :class:`~provisioner.providers.api.InUse` would say."""

    def users(self, resources: Sequence[Resource]) -> Mapping[Address, Sequence[User]]:
        """Who needs each of these objects, so that it cannot be deleted; in a stable order.

        Asked only about predecessors that an earlier run has left. Raises as ``observe`` does.
        """
        ...


class Undertaking(NamedTuple):
    """What a step is about to do: create ``resource``, make ``changes`` to it, or remove it, which
    is told of the kinds in :attr:`~provisioner.providers.api.Description.guarded`.
    """

    resource: Resource
    changes: tuple[Change, ...] = ()
    removes: bool = False

    @property
    def creates(self) -> bool:
        """Whether the object is still to be made."""
        return not self.changes and not self.removes


@runtime_checkable
class Preflight(Protocol):
    """Knowing beforehand what would otherwise fail in the middle of an apply."""

    def preflight(
        self, undertakings: Sequence[Undertaking], deadline: Deadline, *, thorough: bool
    ) -> Sequence[Diagnostic]:
        """What stands in the way of steps, as far as that can be found out without changing
        anything and without many calls; each about its resource, with the ``path`` of the field.

        Asked when a plan was made, and once more before the first of its steps is carried out; then
        ``thorough`` is true, and files on this machine may be read from end to end. Raises as
        ``observe`` does.
        """
        ...


class Way(StrEnum):
    """How a machine's disks get to the other site."""

    INCREMENTAL = "incremental"
    """A recovery point now and then, each with what was written since the one before."""
    CONTINUOUS = "continuous"
    """Every write goes to both sites; there is one recovery point, which moves along."""
    EXTERNAL = "external"
    """An array or another tool copies; the endpoint only finds the copies."""


@dataclass(frozen=True, slots=True)
class Replica:
    """What one machine's disks become at the other site.

    ``machine`` is the machine as it is where it runs now, its disks among its ``related``.
    ``disks`` holds, by the address of each replicated Disk, that Disk as it shall be at the
    receiving endpoint once the replica is promoted; its pool is among its ``related``. ``keep``:
    how many recovery points stay. ``seeded``: Disks of these names that exist at the receiver hold
    an older state of the same data, and become the replica, as does what a promotion that did not
    end has left; only what differs is moved. Without it nothing is written where one of them
    exists.
    """

    machine: Resource
    disks: Mapping[Address, Resource]
    way: Way
    keep: int = 1
    quiesce: bool = False
    seeded: bool = False


class Point(NamedTuple):
    """A recovery point: the machine's disks as they were at one moment.

    ``id`` is unique in its replica, and later ones sort behind earlier ones. ``taken`` is that
    moment by the clock of the machine that replicates, at the latest; None where that is not known:
    for a continuous replica, which is as old as its last write, and perhaps for the Disks that a
    seeded one begins with. ``quiesced``: the guest had written down what it
    held.
    """

    id: str
    taken: datetime | None
    quiesced: bool = False


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """What the receiving endpoint has of a replica. ``points`` from old to new, only whole ones.

    ``in_step``: a continuous replica gets every write now. ``moved`` are the bytes that the last
    synchronisation transferred, -1 where that is not known. ``staged``: disks of a drill stand on
    one of its points: on ``staged_on``, without ``taken`` where nobody knows that any more.
    ``problem`` says in words what keeps it from going on, else it is empty.
    """

    points: tuple[Point, ...] = ()
    in_step: bool = False
    moved: int = -1
    staged: bool = False
    problem: str = ""
    staged_on: Point | None = None


@runtime_checkable
class Replication(Protocol):
    """Copies of machines' disks at this endpoint (since 1.2). All methods are called on the session
    of the receiving endpoint; ``source`` is a session of the same provider to the endpoint where
    the machine runs. Every method may be repeated after a crash of the caller at any point, and
    then completes or cleans up what is there.
    """

    def replicas(self, replicas: Sequence[Replica]) -> Mapping[Address, ReplicaState]:
        """What is there of each, by the machine's address, in a bounded number of calls; nothing is
        asked of the source. A replica of which nothing is there has no points.
        """
        ...

    def synchronise(self, replica: Replica, source: Session, deadline: Deadline) -> Point:
        """Take one more recovery point, of the running or stopped machine, and remove the oldest
        ones beyond ``keep`` that nothing stands on. Of a continuous replica: see to it that every
        write goes to both sites from now on, and return once they are the same.

        Of a ``seeded`` one, the Disks that are there are its first point until there is a newer
        one, whatever becomes of this call.

        Refused, with nothing written, where a Disk is at the receiver already, or a promotion did
        not end, unless the replica is ``seeded``; and where this call was put out meanwhile by
        :meth:`promote`, or by :meth:`suspend` without a source: from then on nothing of it arrives.
        """
        ...

    def suspend(self, replica: Replica, source: Session | None, deadline: Deadline) -> None:
        """End what goes on between the sites; what was received stays. ``source`` is None where it
        is gone: then only the receiver's part is ended, and a synchronisation that is under way
        elsewhere is waited for no longer than a bounded time, and then put out.
        """
        ...

    def stage(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Throw-away disks over a point (None: the newest), for a machine of a drill to write to,
        by the address of the Disk; replication goes on meanwhile. ``create`` of a machine whose
        ``related`` has these ``external_id`` uses them.
        """
        ...

    def unstage(self, replica: Replica, deadline: Deadline) -> None:
        """Remove what :meth:`stage` made; no machine uses it any more."""
        ...

    def promote(
        self, replica: Replica, point: str | None, deadline: Deadline
    ) -> Mapping[Address, Outcome]:
        """Make the Disks of a point (None: the newest), by address: ordinary Disks, found by
        ``observe`` as such. The replica, its other points included, is no more. Refused while
        writes of the source still arrive. One that did not end is gone on with, and until then its
        point is the only one. Who works on the replica elsewhere is waited for no
        longer than a bounded time, and then put out.
        """
        ...

    def discard(self, replica: Replica, deadline: Deadline) -> None:
        """Remove the replica with all its points."""
        ...


@runtime_checkable
class Standby(Protocol):
    """Keeping a machine from being started by mistake while it runs elsewhere (since 1.2). The
    mark is on the endpoint, beside the stamp. While it is there the machine is not started: not by
    ``create``, ``update`` or ``power``, and not by the endpoint itself when it boots.
    """

    def stand_by(self, machine: Resource, reason: str, deadline: Deadline) -> None:
        """Mark it. Refused (Terminal) while it runs."""
        ...

    def take_over(self, machine: Resource, deadline: Deadline) -> None:
        """Take the mark away; done already if there is none."""
        ...

    def standing_by(self, machines: Sequence[Resource]) -> Mapping[Address, str]:
        """The reasons of those that are marked. Raises as ``observe`` does."""
        ...


class GuestResult(NamedTuple):
    """How a program in a guest ended. ``code``: its exit code, or 128 and the signal that ended it.
    ``output``: what it wrote, to the standard output first and then to the standard error; its end,
    where it is long.
    """

    code: int
    output: str


@runtime_checkable
class GuestAgent(Protocol):
    """Asking the agent inside a running guest (since 1.2). ``observe`` never does."""

    def ready(self, machine: Resource) -> bool:
        """Whether the agent answers now; False too where the machine does not run or has none.
        Waits for a few seconds at most. Raises as ``observe`` does.
        """
        ...

    def run(self, machine: Resource, argv: Sequence[str], deadline: Deadline) -> GuestResult:
        """Run a program in the guest, without a shell, and wait for its end.

        Raises Retryable where the agent does not answer before the program was begun; else
        Terminal, also when the deadline passes first: then the program may go on.
        """
        ...


class Lease(Protocol):
    """A lease that is held. Safe to use from several threads."""

    @property
    def lost(self) -> bool:
        """Whether it is known to be held no longer: somebody was given it instead of us, or the
        connection has ended that held it. Waits for nothing.
        """
        ...

    def release(self) -> None:
        """Give it back; done already if it is lost."""
        ...


class Taken(NamedTuple):
    """A lease is another one's. ``holder``: what that one says of itself; empty where the endpoint
    does not know.
    """

    holder: str


@runtime_checkable
class Leases(Protocol):
    """Holding a name at this endpoint, so that one at a time does what needs it (since 1.2).
    Whoever can call this endpoint sees the same leases.
    """

    def hold(
        self,
        name: str,
        holder: str,
        deadline: Deadline,
        *,
        instead_of: str | None = None,
        renews: bool = False,
    ) -> Lease | Taken | None:
        """Hold a lease until it is released, or this program ends in whatever way; it may end as
        well with the connection. None where this very endpoint has no way to hold any.

        ``holder`` says for others who that is, in one line, which no two callers have in common.
        ``instead_of``: that holder, and no other one, is put out; its lease is lost then.
        ``renews``: ``holder`` has held it before, and is given it again only if nobody else is
        known to have held it since. Raises as ``observe`` does; then nothing is held.
        """
        ...
