"""The world outside provisioner, for tests: somebody who makes, changes and removes objects on a
memory endpoint.

What is done here bypasses sessions, so that it is neither counted nor subject to faults or
ownership.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import uuid4

from provisioner.core.identity import Stamp
from provisioner.core.values import Json, Path
from provisioner.providers.capabilities import Replica
from provisioner_plugins.memory.content import Content
from provisioner_plugins.memory.documents import changed
from provisioner_plugins.memory.inventory import UNREACHABLE, Inventory
from provisioner_plugins.memory.mirroring import carry, sever
from provisioner_plugins.memory.objects import MACHINE, StoredObject
from provisioner_plugins.memory.replicas import (
    StoredReplica,
    from_object,
    id_of,
    moved_between,
    to_object,
)


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

    # Guests, and what becomes of whole endpoints:

    def write(self, machine: str, what: str, disk: str | None = None, block: int = 0) -> Content:
        """Have the guest of a running machine write to a block of one of its disks (None: the
        first, by name), and to whatever follows the disk; returns what is on it then. Raises
        ValueError if the guest does not run or has no such disk.
        """
        with self._inventory.changing():
            found = self._only(MACHINE, machine)
            if not found.is_running:
                raise ValueError(f"the guest of {machine} does not run, and writes nothing")
            held = {
                key.removeprefix("disks/"): object_id
                for key, object_id in sorted(found.holds.items())
                if key.startswith("disks/")
            }
            chosen = disk if disk is not None else next(iter(held), None)
            before = self._inventory.get(held[chosen]) if chosen in held else None
            if before is None:
                raise ValueError(f"{machine} has no disk {chosen}")
            content = before.content.written(block, what)
            written = self._inventory.put(replace(before, content=content))
        carry(self._inventory, written)
        return content

    def content(self, disk: str) -> Content:
        """What is on a disk, by its name or its id."""
        with self._inventory.reading():
            return (self._inventory.get(disk) or self._only("Disk", disk)).content

    def cut_off(self) -> None:
        """Keep everybody from reaching the endpoint. Its guests go on; what they write goes nowhere
        else any more, nor does anything from elsewhere arrive.
        """
        with self._inventory.changing():
            disks = [item for item in self._inventory.objects() if item.mirrors]
            self._inventory.put(UNREACHABLE)
        sever(self._inventory, disks, "the connection between the endpoints was lost")

    def power_off(self) -> None:
        """The same, and all its machines are off."""
        self.cut_off()
        with self._inventory.changing():
            for item in self._inventory.objects():
                if item.is_on:
                    spec = {**item.spec, "power": "stopped"}
                    self._inventory.put(replace(item, spec=spec, running={}))

    def come_back(self) -> None:
        """The endpoint can be reached again. Machines that it starts with itself (``autostart``)
        run, but for those that stand by.
        """
        with self._inventory.changing():
            if not self._inventory.unreachable:
                return
            self._inventory.remove(UNREACHABLE.id)
            for item in self._inventory.objects():
                starts = item.kind == MACHINE and item.spec.get("autostart")
                if starts and not item.is_on and item.standby is None:
                    self._inventory.put(replace(item, spec={**item.spec, "power": "running"}))

    def copy_by_array(self, replica: Replica, source: Outside, taken: datetime) -> None:
        """Have an array bring a copy of a machine's disks from another endpoint, as they are there
        now (``taken``), for a replica of the way ``external``.
        """
        disks = {str(address): source.content(address.name) for address in replica.disks}
        with self._inventory.changing():
            found = self._inventory.get(id_of(replica.machine))
            machine = replica.machine
            before = (
                from_object(found)
                if found is not None
                else StoredReplica(id_of(machine), machine.name, machine.stamp)
            )
            moved = moved_between(before.newest, disks, disks)
            after = before.with_point(taken, disks, quiesced=False, moved=moved)
            self._inventory.put(to_object(after.trimmed(replica.keep)))

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
