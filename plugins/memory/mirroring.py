"""What happens between memory endpoints without anybody asking for it: writes of guests go to the
replicas that follow them, until one of the two endpoints is cut off.

Called by :class:`provisioner_plugins.memory.outside.Outside`, whose world this is.
"""

from __future__ import annotations

from dataclasses import replace

from provisioner_plugins.memory.content import Content, Mirror
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import StoredObject
from provisioner_plugins.memory.replicas import KIND, from_object, to_object


def carry(source: Inventory, disk: StoredObject) -> None:
    """Bring a disk's content to whoever follows it; ends the mirrors that lead nowhere any more.

    Not within access: of two endpoints, only one at a time is held, whichever way data go. The
    later of two writes wins, however late the other one comes.
    """
    dead = {mirror for mirror in disk.mirrors if not _deliver(source, mirror, disk.content)}
    if dead:
        with source.changing():
            now = source.get(disk.id)
            if now is not None:
                left = tuple(mirror for mirror in now.mirrors if mirror not in dead)
                source.put(replace(now, mirrors=left))


def sever(inventory: Inventory, disks: list[StoredObject], reason: str) -> None:
    """End all mirrors between an endpoint and others: those that its disks had, and those that
    lead to it. Not within access.
    """
    with inventory.changing():
        for stored in inventory.objects():
            if stored.mirrors:
                inventory.put(replace(stored, mirrors=()))
            elif stored.kind == KIND:
                _end(inventory, stored.id, reason)
    for mirror in {mirror for disk in disks for mirror in disk.mirrors}:
        receiver = inventory.other(mirror.where)
        if receiver is not None:
            with receiver.changing():
                _end(receiver, mirror.replica, reason)


def _deliver(source: Inventory, mirror: Mirror, content: Content) -> bool:
    """Whether somebody took it."""
    receiver = source.other(mirror.where)
    if receiver is None:
        return False
    with receiver.changing():
        found = receiver.get(mirror.replica)
        if found is None:
            return False
        replica = from_object(found)
        if not replica.following or mirror.disk not in replica.newest:
            return False
        receiver.put(to_object(replica.with_write(mirror.disk, content)))
        return True


def _end(receiver: Inventory, replica_id: str, reason: str) -> None:
    found = receiver.get(replica_id)
    replica = from_object(found) if found is not None else None
    if replica is not None and replica.following:
        receiver.put(to_object(replace(replica, following=False, problem=reason)))
