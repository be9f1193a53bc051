"""Which object of an inventory a resource is, and whether it is ours. Within access.

Called by the session and its parts.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner.core.address import Address
from provisioner.providers.api import Naming, Resource, Terminal
from provisioner.providers.capabilities import User
from provisioner_plugins.memory import refusals
from provisioner_plugins.memory.description import NAMING
from provisioner_plugins.memory.holding import places
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import MACHINE, StoredObject

STAGED = "staged/"
"""How the ids of the disks of drills begin."""


class Finding:
    """Looks things up in one inventory; ``host`` is for messages."""

    def __init__(self, host: str, inventory: Inventory) -> None:
        self._host = host
        self._inventory = inventory

    def find(self, target: Resource) -> StoredObject | None:
        """The object of a resource: by its identity, else as it was recorded, else by its name."""
        recorded = target.external_id
        if recorded is not None and recorded.startswith(STAGED):
            # A machine of a drill has this one, whatever else has the identity.
            return self._inventory.get(recorded)
        found = self._inventory.get(str(target.uid))
        if found is None and recorded is not None:
            found = self._inventory.get(recorded)
        if found is None and NAMING.get(target.kind) is Naming.UNIQUE:
            found = next(iter(self._inventory.named(target.kind, target.name)), None)
        elif found is None and target.exact:
            alike = self._inventory.named(target.kind, target.name)
            found = alike[0] if len(alike) == 1 else self._inventory.get(target.name)
        return found

    def id_of(self, resource: Resource) -> str:
        """The id of its object, or the one that it will have."""
        found = self.find(resource)
        return found.id if found is not None else str(resource.uid)

    def ours(self, resource: Resource, object_id: str | None = None) -> StoredObject:
        """The object with this id (if none is given: the one that was recorded, or has the
        identity). Raises Terminal if it is not there, or not ours.
        """
        found = self._inventory.get(object_id or resource.external_id or str(resource.uid))
        if found is None:
            raise Terminal(refusals.vanished(self._host, resource))
        self.check_owner(resource, found)
        return found

    def check_owner(self, resource: Resource, found: StoredObject) -> None:
        """Raises Terminal if an object does not belong to the resource's stack."""
        if not self.is_ours(resource, found):
            raise Terminal(refusals.foreign(self._host, resource, found))

    def is_ours(self, resource: Resource, found: StoredObject) -> bool:
        """Whether an object belongs to the resource's stack."""
        return found.owner is not None and found.owner.lineage == resource.stamp.lineage

    def check_name(self, resource: Resource) -> None:
        """Raises Terminal if another object has the identity, or the name where that is unique."""
        mine = str(resource.uid)
        holder = self._inventory.get(mine)
        if holder is not None:
            self.check_owner(resource, holder)
        if NAMING.get(resource.kind) is Naming.FREE:
            return
        for other in self._inventory.named(resource.kind, resource.name):
            if other.id != mine:
                raise Terminal(refusals.foreign(self._host, resource, other))

    def machine_of(self, snapshot: Resource) -> StoredObject:
        """The machine of a snapshot. Raises Terminal if it is not there, or not ours."""
        address = Address(MACHINE, str(snapshot.spec["machine"]))
        machine = snapshot.related.get(address)
        found = self.find(machine) if machine is not None else None
        if machine is None or found is None:
            raise Terminal(refusals.no_machine(self._host, snapshot, address.name))
        self.check_owner(machine, found)
        return found

    def users(self, found: StoredObject) -> list[User]:
        """Who holds on to an object."""
        return [
            User(item.id, f"{item.kind} {item.name}") for item in self._inventory.holders(found.id)
        ]

    def bound(self, stored: StoredObject) -> StoredObject:
        """The object with all that it refers to, also where somebody else made it: then the only
        objects of these names are meant.
        """
        by_name = {
            place.key: objects[0].id
            for place in places(stored.kind, stored.spec)
            if place.key not in stored.holds
            and len(objects := self._inventory.named(*place.address)) == 1
        }
        return replace(stored, holds={**stored.holds, **by_name}) if by_name else stored

    def called(self, stored: StoredObject) -> str:
        """The name by which an object can be found (:meth:`find`): its id where others have its
        name.
        """
        free = NAMING.get(stored.kind) is Naming.FREE
        alike = self._inventory.named(stored.kind, stored.name) if free else ()
        return stored.id if len(alike) > 1 else stored.name
