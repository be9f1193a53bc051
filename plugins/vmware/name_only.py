"""What kinds have in common whose objects are no managed entities and bear nothing but a name (a
role, a rule of a cluster): an object is ours by its record, or by the journal (decision 0043).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
)
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.ownership import gone, not_ours, require_time, taken
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import PLACES, Site
from provisioner_plugins.vmware.specs import with_changes
from provisioner_plugins.vmware.wire.errors import EXISTS
from provisioner_plugins.vmware.wire.sweep import Wanted


class Item(NamedTuple):
    """An object: its id, its name, the id of what it is a part of, and it as pyvmomi has it."""

    id: str
    name: str
    within: str
    found: Any


class NameOnlyHandler(ABC):
    """A handler for one such kind; a subclass says what is its own."""

    kind: str
    reads: Wanted
    bears_name = True
    """Whether an object's name is that of its resource."""

    def __init__(self, site: Site) -> None:
        self._site = site

    # --- what a kind says of itself ---

    @abstractmethod
    def items(self, inventory: Inventory) -> Sequence[Item]:
        """All objects of the kind."""

    @abstractmethod
    def within(self, inventory: Inventory, target: Resource) -> str | None:
        """The id of what a target is or shall be a part of; None where that is still to be made."""

    @abstractmethod
    def spec_of(self, inventory: Inventory, item: Item, names: References) -> dict[str, Any]:
        """An object in canonical form."""

    @abstractmethod
    def make(self, inventory: Inventory, resource: Resource, deadline: Deadline) -> None:
        """Make it; there is none of the name."""

    @abstractmethod
    def edit(
        self,
        inventory: Inventory,
        resource: Resource,
        item: Item,
        spec: Mapping[str, Any],
        deadline: Deadline,
    ) -> None:
        """Bring an object to ``spec``."""

    @abstractmethod
    def remove(
        self, inventory: Inventory, resource: Resource, item: Item, deadline: Deadline
    ) -> None:
        """Remove an object that is ours."""

    def named(
        self, inventory: Inventory, items: Sequence[Item], target: Resource
    ) -> Sequence[Item]:
        """The objects that are called as a target's is to be, in its place."""
        within = self.within(inventory, target)
        return [item for item in items if (item.name, item.within) == (target.name, within)]

    def in_words_of(
        self, target: Resource, inventory: Inventory, item: Item, spec: dict[str, Any]
    ) -> dict[str, Any]:
        """What was found for a target, with what means the same in the target's words."""
        del target, inventory, item
        return spec

    def discovered(self, inventory: Inventory, item: Item) -> Discovered:
        """An object as discovery tells it."""
        return Discovered(
            self.kind, item.name, self._present(inventory, item, References({}), None)
        )

    def unfound(self, inventory: Inventory, resource: Resource) -> Diagnostic:
        """What is wrong with an object that was made and is not there."""
        del inventory
        return gone(resource)

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        names = References(targets[0].related if targets else {})
        items = self.items(inventory)
        answers: dict[Address, Observation] = {}
        for target in targets:
            item = self._find(inventory, items, target)
            answers[target.address] = (
                Absent() if item is None else self._present(inventory, item, names, target)
            )
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        for item in self.items(inventory):
            yield self.discovered(inventory, item)

    def _find(self, inventory: Inventory, items: Sequence[Item], target: Resource) -> Item | None:
        known = next((item for item in items if item.id == target.external_id), None)
        if known is not None:
            return known
        return next(iter(self.named(inventory, items, target)), None)

    def _present(
        self, inventory: Inventory, item: Item, names: References, target: Resource | None
    ) -> Present:
        plain = self.spec_of(inventory, item, References({}))
        spec = self.spec_of(inventory, item, names)
        if target is not None:
            spec = self.in_words_of(target, inventory, item, spec)
        ours = target is not None and self._is_ours(target, item)
        return Present(
            external_id=item.id,
            owner=target.stamp if target is not None and ours else None,
            spec=spec,
            fingerprint=digest([item.id, item.name, plain]),
            outputs={"id": item.id},
            name=item.name if self.bears_name else None,
        )

    def _is_ours(self, resource: Resource, item: Item) -> bool:
        return item.id == resource.external_id or resource.begun

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        inventory = self._inventory()
        item = self._find(inventory, self.items(inventory), resource)
        if item is not None and not self._is_ours(resource, item):
            raise Terminal(taken(resource, "is there already"))
        if item is not None:
            self.edit(inventory, resource, item, resource.spec, deadline)
            return _outcome(item)
        try:
            self.make(inventory, resource, deadline)
        except Terminal as problem:
            if problem.diagnostic.code == EXISTS.code:
                raise Terminal(taken(resource, "was made meanwhile")) from problem
            raise
        inventory = self._inventory()
        item = self._find(inventory, self.items(inventory), resource)
        if item is None:
            raise Terminal(self.unfound(inventory, resource))
        return _outcome(item)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        del restart
        require_time(resource, deadline)
        inventory = self._inventory()
        item = self._by_id(inventory, resource, observed.external_id)
        if not self._is_ours(resource, item):
            raise Terminal(not_ours(resource, None))
        spec = with_changes(observed.spec, changes)
        self.edit(inventory, resource, item, spec, deadline)
        return _outcome(item)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """That it is recorded makes it ours."""
        require_time(resource, deadline)
        return _outcome(self._by_id(self._inventory(), resource, observed.external_id))

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        inventory = self._inventory()
        item = self._find(inventory, self.items(inventory), resource)
        if item is not None and self._is_ours(resource, item):
            self.remove(inventory, resource, item, deadline)

    # --- parts ---

    def _by_id(self, inventory: Inventory, resource: Resource, moid: str) -> Item:
        item = next((item for item in self.items(inventory) if item.id == moid), None)
        if item is None:
            raise Terminal(gone(resource))
        return item

    def _inventory(self) -> Inventory:
        wanted = {**PLACES, **self.reads}
        entities = tuple(kind for kind in wanted if issubclass(kind, vim.ManagedEntity))
        return Inventory(self._site.client, wanted, entities)


def _outcome(item: Item) -> Outcome:
    return Outcome(item.id, {"id": item.id})
