"""The seams of the plugin: one :class:`KindRules` (pure) and one :class:`KindHandler` (bound to a
session) per kind.

The provider maps kinds to rules; the session that it opens maps the same kinds to handlers and
passes every call of the contract on to them. See :mod:`provisioner.providers.api` for what each
method promises.
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
from provisioner_plugins.vmware.flavour import Flavour

if TYPE_CHECKING:
    # The inventory imports pyvmomi, which rules must never do.
    from provisioner_plugins.vmware.inventory import Inventory
    from provisioner_plugins.vmware.wire.sweep import Wanted


class KindRules(Protocol):
    """What can be said of a kind without an endpoint."""

    @property
    def kind(self) -> str:
        """The kind it is for, for example ``Network``."""
        ...

    @property
    def flavours(self) -> Sequence[Flavour]:
        """The sorts of endpoints that have the kind."""
        ...

    @property
    def unmarked(self) -> Sequence[Flavour]:
        """Those of them on which its objects have no room for a mark of ours."""
        ...

    def normalise(self, resource: Resource, flavour: Flavour) -> Mapping[str, Any]:
        """The canonical spec in the form in which the handler observes it; only what the author
        set.

        Raises ProvisionerError (PRV25xx) for what such an endpoint cannot carry.
        """
        ...

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """One assessment for each change, in order, judged by ``observed`` and its facts alone."""
        ...


class KindHandler(Protocol):
    """Input and output for a kind. Called from several threads; keeps nothing between calls but
    its session.
    """

    @property
    def kind(self) -> str:
        """The kind it is for."""
        ...

    @property
    def reads(self) -> Wanted:
        """What its observation needs of the inventory, beside names and parents."""
        ...

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """One answer for each target (all of this kind), in a number of calls that does not grow
        with theirs.
        """
        ...

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """Every object of this kind, in the order of paths."""
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
        """What stands in the way; changes nothing. May raise Terminal instead."""
        ...


@runtime_checkable
class UsedKind(Protocol):
    """A handler whose objects others on the endpoint may need."""

    def users(self, inventory: Inventory, resource: Resource) -> Sequence[User]:
        """Who needs it, so that it cannot be deleted."""
        ...
