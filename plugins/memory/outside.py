"""The world outside provisioner, for tests: somebody who makes, changes and removes objects on a
memory endpoint.

What is done here bypasses sessions, so that it is neither counted nor subject to faults or
ownership.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import uuid4

from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path
from provisioner_plugins.memory.documents import changed
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import StoredObject


class Outside:
    """Somebody else with access to the same endpoint."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    def add(
        self,
        kind: str,
        name: str,
        spec: Mapping[str, Any],
        owner: Stamp | None = None,
        holds: Mapping[str, str] | None = None,
    ) -> StoredObject:
        """Make an object that has no stamp, or somebody's. ``holds``: see StoredObject."""
        made = StoredObject(str(uuid4()), kind, name, owner, spec, holds=holds or {})
        with self._inventory.changing():
            return self._inventory.put(made)

    def change(self, kind: str, name: str, path: Path, value: Json) -> StoredObject:
        """Put a value into an object's configuration; None takes the field out."""
        with self._inventory.changing():
            before = self._only(kind, name)
            return self._inventory.put(
                replace(before, spec=changed(before.spec, [(path, value)], {}))
            )

    def rename(self, kind: str, name: str, new: str) -> StoredObject:
        """Call an object otherwise; it stays the same object."""
        with self._inventory.changing():
            return self._inventory.put(replace(self._only(kind, name), name=new))

    def remove(self, kind: str, name: str) -> None:
        """Remove an object."""
        with self._inventory.changing():
            self._inventory.remove(self._only(kind, name).id)

    def move(self, kind: str, name: str, node: str) -> StoredObject:
        """Bring an object to another node of the endpoint's cluster, where it goes on as it was."""
        with self._inventory.changing():
            return self._inventory.put(replace(self._only(kind, name), node=node))

    def tell(self, kind: str, name: str, output: str, value: Json) -> StoredObject:
        """Have an object tell another value of an output: it got a new address, say."""
        with self._inventory.changing():
            before = self._only(kind, name)
            outputs = {**before.outputs, output: value}
            return self._inventory.put(replace(before, outputs=outputs))

    def restart(self, kind: str, name: str) -> StoredObject:
        """Restart a machine: what is configured comes into force."""
        with self._inventory.changing():
            return self._inventory.put(replace(self._only(kind, name), running={}))

    def find(self, kind: str, name: str) -> StoredObject | None:
        """The object with this name, if there is one; raises ValueError if there are several."""
        with self._inventory.reading():
            found = self._inventory.named(kind, name)
        if len(found) > 1:
            raise ValueError(f"there are {len(found)} objects {kind}/{name}")
        return found[0] if found else None

    def objects(self) -> list[StoredObject]:
        """Everything there is, by kind and name."""
        with self._inventory.reading():
            return self._inventory.objects()

    def _only(self, kind: str, name: str) -> StoredObject:
        found = self._inventory.named(kind, name)
        if len(found) != 1:
            raise ValueError(f"there are {len(found)} objects {kind}/{name}, not one")
        return found[0]
