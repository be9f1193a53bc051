"""What the kinds of an inventory have in common: an object is found by its mark, its recorded id,
or its name in its place; it is made there, marked, and brought to what is wanted.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.core.identity import Stamp
from provisioner.core.values import digest
from provisioner.providers.api import (
    Absent,
    Change,
    Discovered,
    InUse,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine.properties import EXTENSION
from provisioner_plugins.vmware.marks import Marks
from provisioner_plugins.vmware.ownership import (
    gone,
    half_made,
    is_stamped_by,
    not_ours,
    require_time,
    taken,
)
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import PLACES, Site
from provisioner_plugins.vmware.specs import with_changes
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.errors import EXISTS, IN_USE
from provisioner_plugins.vmware.wire.sweep import Row, Wanted, look

_IN_AN_OBJECT: Wanted = {
    vim.ManagedEntity: ("name",),
    vim.VirtualMachine: ("name", EXTENSION),
}


class EntityHandler(ABC):
    """A handler for one kind of managed entities; a subclass says what is its own."""

    kind: str
    title: str
    """As messages call it: ``folder``."""
    sort: type
    reads: Wanted
    places: Sequence[str] = ()
    """Fields that say what an object lies in, and that can change."""
    bears_name = True
    """Whether an object's name is that of its resource."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._marks = Marks(site.client)

    # --- what a kind says of itself ---

    @abstractmethod
    def above(self, inventory: Inventory, target: Resource) -> str | None:
        """The id of the object in which a target is, or shall be made; None where that is still to
        be made. Raises Terminal where it is open.
        """

    @abstractmethod
    def spec_of(self, inventory: Inventory, row: Row, names: References) -> dict[str, Any]:
        """An object in canonical form, but for its mark."""

    @abstractmethod
    def make(self, resource: Resource, above: str, deadline: Deadline) -> Any:
        """Make it in the object with the id ``above``; the managed object."""

    @abstractmethod
    def edit(
        self, resource: Resource, row: Row, spec: Mapping[str, Any], deadline: Deadline
    ) -> None:
        """Bring an object to ``spec``, but for its place."""

    def place_of(self, inventory: Inventory, row: Row) -> str | None:
        """The id of what an object lies in, as ``above`` tells it."""
        del inventory
        parent = row.get("parent")
        return None if parent is None else str(parent._GetMoId())

    def named(self, inventory: Inventory, rows: Sequence[Row], target: Resource) -> Sequence[Row]:
        """The objects that have a target's name where it is, or shall be made. Raises Terminal."""
        by_path = target.name.startswith("/")
        found = [
            row for row in rows if (inventory.path(row) if by_path else name_of(row)) == target.name
        ]
        if not found or by_path or target.exact:
            return found
        above = self.above(inventory, target)
        return [row for row in found if self.place_of(inventory, row) == above]

    def move(
        self, inventory: Inventory, resource: Resource, row: Row, above: str, deadline: Deadline
    ) -> None:
        """Put an object into another one."""
        del inventory
        entity, target = self.entity(row), self._site.client.managed(vim.Folder, above)
        self._site.run(
            f"move {self.title} {resource.name}",
            lambda _: target.MoveIntoFolder_Task([entity]),
            deadline,
        )

    def is_meant(self, row: Row) -> bool:
        """Whether an object of the type is one of this kind."""
        del row
        return True

    def remove(
        self, inventory: Inventory, resource: Resource, row: Row, deadline: Deadline
    ) -> None:
        """Remove an object that is ours."""
        del inventory
        entity = self.entity(row)
        self._site.run(
            f"remove {self.title} {resource.name}", lambda _: entity.Destroy_Task(), deadline
        )

    def does_count(self, row: Row) -> bool:
        """Whether something in an object keeps that from being removed; ``row`` has its name, and
        of a machine which extension it is of.
        """
        del row
        return True

    def require_empty(self, resource: Resource, holders: Sequence[Any], inside: Wanted) -> None:
        """Raise InUse (PRV5320) while something that counts is in managed objects; ``inside`` are
        the properties that hold it. vSphere would remove that, too, or move it without being asked.
        Networks of hosts do not count: they are there as long as the hosts are.
        """
        what = f"look into {self.title} {resource.name}"
        found = look(self._site.client, what, holders, inside)
        held = [
            item
            for each in found
            for value in each.values.values()
            for item in value
            if type(item) is not vim.Network
        ]
        read = look(self._site.client, what, held, _IN_AN_OBJECT)
        names = [row for row in read if self.does_count(row)]
        if not names:
            return
        raise InUse(
            error(
                IN_USE.code,
                f"{self.title} {resource.name} is not empty",
                detail=f"In it are: {', '.join(sorted(name_of(item) for item in names))}.",
                hint="Remove or move what is in it, then apply again.",
                address=str(resource.address),
            )
        )

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        names = References(targets[0].related if targets else {})
        rows = self._rows(inventory)
        answers: dict[Address, Observation] = {}
        for target in targets:
            found = self._find(inventory, rows, target)
            if isinstance(found, Row):
                owner = self._owner(inventory, target, found)
                answers[target.address] = self._present(inventory, found, names, owner)
            else:
                answers[target.address] = found
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        names, rows = References({}), self._rows(inventory)
        told = inventory.told(rows)
        for row in rows:
            mark = inventory.mark(row)
            owner = None if mark is None else mark.stamp
            observed = self._present(inventory, row, names, owner)
            yield Discovered(self.kind, told[row.moid], observed)

    def _rows(self, inventory: Inventory) -> list[Row]:
        return [row for row in inventory.rows(self.sort) if self.is_meant(row)]

    def _find(
        self, inventory: Inventory, rows: Sequence[Row], target: Resource
    ) -> Row | Absent | Undetermined:
        for row in rows:
            mark = inventory.mark(row)
            if mark is not None and mark.stamp == target.stamp:
                return row
        by_id = inventory.row(target.external_id)
        if by_id is not None and issubclass(by_id.kind, self.sort):
            return by_id
        try:
            found = self.named(inventory, rows, target)
        except Terminal as problem:
            return Undetermined(problem.diagnostic)
        if len(found) > 1:
            return Undetermined(_ambiguous(target, [inventory.path(row) for row in found]))
        return found[0] if found else Absent()

    def _owner(self, inventory: Inventory, target: Resource, row: Row) -> Stamp | None:
        mark = inventory.mark(row)
        if mark is not None:
            return mark.stamp
        is_recorded = not self._marks.have_room and row.moid == target.external_id
        return target.stamp if is_recorded or target.begun else None

    def _present(
        self, inventory: Inventory, row: Row, names: References, owner: Stamp | None
    ) -> Present:
        mark = inventory.mark(row)
        fields = mark.fields() if mark is not None else {"labels": {}}
        if not self._marks.have_room:
            fields = {}
        plain = self.spec_of(inventory, row, References({}))
        found = None if mark is None else mark.stamp.as_json()
        return Present(
            external_id=row.moid,
            owner=owner,
            spec={**self.spec_of(inventory, row, names), **fields},
            fingerprint=digest([row.moid, name_of(row), found, plain, fields]),
            outputs={"id": row.moid},
            name=name_of(row) if self.bears_name else None,
        )

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        inventory = self._inventory()
        row = self._found(inventory, resource)
        if row is not None and not self._is_ours(inventory, resource, row):
            raise Terminal(taken(resource, f"is {inventory.path(row)}"))
        if row is None:
            self._make(inventory, resource, deadline)
        with half_made():
            if row is None:
                inventory = self._inventory()
                row = self._found(inventory, resource)
            if row is None:
                raise Terminal(gone(resource))
            fields = self.places
            return self._bring(inventory, resource, row, resource.spec, deadline, fields=fields)

    def _make(self, inventory: Inventory, resource: Resource, deadline: Deadline) -> None:
        above = self.above(inventory, resource)
        if above is None:
            raise Terminal(
                error(
                    "PRV5323",
                    f"the place of {resource.address} is not on the endpoint",
                    hint="Plan again: what it lies in was removed since it was read.",
                    address=str(resource.address),
                )
            )
        try:
            self.make(resource, above, deadline)
        except Terminal as problem:
            if problem.diagnostic.code == EXISTS.code:
                raise Terminal(taken(resource, "was made meanwhile")) from problem
            raise

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
        row = self._own(inventory, resource, observed.external_id)
        spec = with_changes(observed.spec, changes)
        fields = {change.path[0] for change in changes}
        return self._bring(inventory, resource, row, spec, deadline, fields=fields)

    def _bring(
        self,
        inventory: Inventory,
        resource: Resource,
        row: Row,
        spec: Mapping[str, Any],
        deadline: Deadline,
        *,
        fields: Collection[str],
    ) -> Outcome:
        """Mark it, move it where its place is among ``fields``, edit it: each as far as it is not
        so already.
        """
        entity = self.entity(row)
        mark = Mark.of(resource)
        if self._marks.have_room and inventory.mark(row) != mark:
            self._marks.write(f"{self.title} {resource.name}", entity, mark)
        moves = any(name in fields for name in self.places)
        above = self.above(inventory, resource) if moves else None
        if above is not None and self.place_of(inventory, row) != above:
            self.move(inventory, resource, row, above, deadline)
        self.edit(resource, row, spec, deadline)
        # Whoever looks for a place from now on has to see it.
        self._site.places(anew=True)
        return Outcome(row.moid, {"id": row.moid})

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write the mark; where there is no room for one, that it is recorded makes it ours."""
        require_time(resource, deadline)
        inventory = self._inventory()
        row = inventory.row(observed.external_id)
        if row is None:
            raise Terminal(gone(resource))
        mark = inventory.mark(row)
        if mark is not None and not is_stamped_by(resource, mark.stamp, row.moid):
            raise Terminal(not_ours(resource, mark.stamp))
        self._marks.write(f"{self.title} {name_of(row)}", self.entity(row), Mark.of(resource))
        return Outcome(row.moid, {"id": row.moid})

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        inventory = self._inventory()
        row = self._recorded(inventory, resource)
        if row is None:
            return
        if not self._is_ours(inventory, resource, row):
            raise Terminal(not_ours(resource, self._owner(inventory, resource, row)))
        self.remove(inventory, resource, row, deadline)
        self._site.places(anew=True)

    # --- parts ---

    def entity(self, row: Row) -> Any:
        """The managed object of a row."""
        return self._site.client.managed(row.kind, row.moid)

    def _inventory(self) -> Inventory:
        wanted = {**PLACES, **self.reads}
        return Inventory(self._site.client, wanted, tuple(wanted))

    def _found(self, inventory: Inventory, resource: Resource) -> Row | None:
        found = self._find(inventory, self._rows(inventory), resource)
        if isinstance(found, Undetermined):
            raise Terminal(found.diagnostic)
        return None if isinstance(found, Absent) else found

    def _recorded(self, inventory: Inventory, resource: Resource) -> Row | None:
        """By its id or its mark; a name is no proof, but where the creation was begun."""
        found = self._found(inventory, resource)
        if found is None or found.moid == resource.external_id:
            return found
        is_marked = inventory.mark(found) is not None
        known = is_marked and self._is_ours(inventory, resource, found)
        return found if known or resource.begun else None

    def _own(self, inventory: Inventory, resource: Resource, moid: str) -> Row:
        row = inventory.row(moid)
        if row is None:
            raise Terminal(gone(resource))
        if not self._is_ours(inventory, resource, row):
            raise Terminal(not_ours(resource, self._owner(inventory, resource, row)))
        return row

    def _is_ours(self, inventory: Inventory, resource: Resource, row: Row) -> bool:
        return is_stamped_by(resource, self._owner(inventory, resource, row), row.moid)


def _ambiguous(target: Resource, paths: Sequence[str]) -> Any:
    return error(
        "PRV5324",
        f"{len(paths)} objects are called {target.name!r}",
        detail=f"Their paths: {', '.join(paths)}.",
        hint="Write the whole path into metadata.externalName.",
        address=str(target.address),
        path=("externalName",),
    )
