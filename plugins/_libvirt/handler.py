"""The seams of a libvirt plugin: one :class:`KindRules` (pure) and one :class:`KindHandler` (bound
to a connection) per kind.

A provider maps kinds to rules; the session that it opens maps the same kinds to handlers and passes
every call of the contract on to them. See :mod:`provisioner.providers.api` for what each method
promises.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import (
    Assessment,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
)
from provisioner.providers.capabilities import Undertaking, User

if TYPE_CHECKING:
    # The inventory imports libvirt, which rules must never do.
    from provisioner_plugins._libvirt.inventory import Inventory


class KindRules(Protocol):
    """What can be said of a kind without an endpoint."""

    @property
    def kind(self) -> str:
        """The kind it is for, for example ``Network``."""
        ...

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """The canonical spec in the form in which the handler observes it; only what the author
        set.

        Raises ProvisionerError (PRV25xx) for what libvirt 9.0 cannot carry.
        """
        ...

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """One assessment for each change, in order, judged by ``observed`` and its facts alone."""
        ...


class KindHandler(Protocol):
    """Input and output for a kind. Called from several threads; keeps nothing between calls but
    its connection.
    """

    @property
    def kind(self) -> str:
        """The kind it is for."""
        ...

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """One answer for each target (all of this kind), read through ``inventory`` only."""
        ...

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Every object of this kind, sorted by name."""
        ...

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """Make it, or complete what an earlier attempt with the same identity left."""
        ...

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """Carry changes out in place."""
        ...

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Mark an object that is nobody's as ours."""
        ...

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """Remove it; done already if it is not there."""
        ...


@runtime_checkable
class LooksAhead(Protocol):
    """A handler that can tell beforehand what would fail in the middle of a step."""

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """What stands in the way; changes nothing, and reads the endpoint through ``inventory``.
        ``thorough``: whole files may be read.

        May raise Terminal instead.
        """
        ...


@runtime_checkable
class UsedKind(Protocol):
    """A handler whose objects others on the host may need."""

    def users(self, resource: Resource) -> Sequence[User]:
        """Who needs it, so that it cannot be deleted."""
        ...
