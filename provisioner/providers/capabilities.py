"""Optional capabilities: protocols that a session may implement beside the core contract.

A provider names the ones its sessions have in ``Description.capabilities``; the engine asks at plan
time, never by trying.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Change, Resource

CONSOLE = "console"
SNAPSHOT_REVERT = "snapshot-revert"
POWER = "power"
USAGE = "usage"
PREFLIGHT = "preflight"


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
