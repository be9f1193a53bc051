"""What a memory endpoint says when it refuses something: its diagnostics, for whoever raises them.

Used by the session and its parts; each takes the name of the Host.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import User
from provisioner_plugins.memory.objects import StoredObject


def vanished(host: str, resource: Resource) -> Diagnostic:
    """The object is not there any more."""
    return error(
        "PRV5910",
        f"{resource.address} is not on Host/{host} any more",
        hint="Make a new plan.",
        address=str(resource.address),
    )


def no_machine(host: str, snapshot: Resource, name: str) -> Diagnostic:
    """The machine of a snapshot is not there."""
    return error(
        "PRV5911",
        f"there is no machine {name!r} on Host/{host}",
        hint="Apply the machine before its snapshot.",
        address=str(snapshot.address),
    )


def in_use(resource: Resource, users: Sequence[User]) -> Diagnostic:
    """Others hold on to the object."""
    return error(
        "PRV5913",
        f"{resource.address} is in use and was not deleted",
        detail=f"It is used by {', '.join(user.text for user in users[:5])}.",
        hint="Remove or change what uses it first.",
        address=str(resource.address),
    )


def foreign(host: str, resource: Resource, found: StoredObject) -> Diagnostic:
    """The object is not ours, or is that of another resource."""
    owner = f"{found.owner.address} of another stack" if found.owner else "nobody's"
    if found.owner is not None and found.owner.lineage == resource.stamp.lineage:
        owner = f"{found.owner.address} of this stack"
    return error(
        "PRV5912",
        f"the {found.kind} {found.name!r} on Host/{host} is not {resource.address}",
        detail=f"It is {owner}. What is not ours is never changed or deleted.",
        hint="Give the resource another name, or adopt an object without an owner.",
        address=str(resource.address),
    )


def standing_by(host: str, resource: Resource, reason: str) -> Diagnostic:
    """The machine would be started, and is marked as not to start."""
    return error(
        "PRV5391",
        f"{resource.address} on Host/{host} stands by and is not started",
        detail=f"It was marked: {reason}",
        hint="Start it where it is meant to run now. If it is meant to run here, and runs nowhere "
        "else, take the mark away first.",
        address=str(resource.address),
    )


def still_on(host: str, resource: Resource) -> Diagnostic:
    """The machine is to be marked as not to start, and runs."""
    return error(
        "PRV5392",
        f"{resource.address} runs on Host/{host}, and was not marked to stand by",
        detail="A machine that stands by is off.",
        hint="Shut it down first.",
        address=str(resource.address),
    )


def no_memory(host: str, machine: Resource) -> Diagnostic:
    """The session of the source is of another provider."""
    return error(
        "PRV5393",
        f"{machine.address} is on no memory endpoint, and is not replicated to Host/{host}",
        hint="Replicate between endpoints of the same provider.",
        address=str(machine.address),
    )


def no_disk(host: str, machine: Resource, disk: Address) -> Diagnostic:
    """A disk that shall be replicated is not there."""
    return error(
        "PRV5393",
        f"there is no {disk} on Host/{host}, which is to be replicated with {machine.address}",
        hint="Apply the stack of the machine, or exclude the disk.",
        address=str(machine.address),
    )


def no_replica(host: str, machine: Resource) -> Diagnostic:
    """Nothing was ever received."""
    return error(
        "PRV5394",
        f"Host/{host} has no replica of {machine.address}",
        hint="Synchronise it first.",
        address=str(machine.address),
    )


def no_point(
    host: str,
    machine: Resource,
    wanted: str | None,
    have: Sequence[str],
    missing: Sequence[Address],
) -> Diagnostic:
    """The recovery point is not there, or lacks a disk."""
    there = f"It has {', '.join(have)}." if have else "It has none."
    without = f" The point lacks {', '.join(map(str, missing))}." if wanted in have else ""
    return error(
        "PRV5394",
        f"Host/{host} has no recovery point {wanted or 'with all disks'} of {machine.address}",
        detail=there + without,
        hint="Choose one that is there, or take another one.",
        address=str(machine.address),
    )


def still_arriving(host: str, machine: Resource) -> Diagnostic:
    """The replica follows its source."""
    return error(
        "PRV5395",
        f"writes of {machine.address} still arrive at Host/{host}, and its replica is not promoted",
        hint="Suspend the replication first.",
        address=str(machine.address),
    )


def staged(host: str, machine: Resource, doing: str) -> Diagnostic:
    """Disks of a drill stand on the replica."""
    return error(
        "PRV5396",
        f"a drill stands on the replica of {machine.address} on Host/{host}",
        detail="Its disks are gone only when the drill is cleaned up.",
        hint=f"Clean the drill up ('provisioner dr cleanup'), then {doing}.",
        address=str(machine.address),
    )


def drill_runs(host: str, machine: Resource, users: Sequence[User]) -> Diagnostic:
    """A machine has the disks of a drill."""
    return error(
        "PRV5396",
        f"the drill's disks of {machine.address} on Host/{host} are in use, and were not removed",
        detail=f"They are used by {', '.join(user.text for user in users[:5])}.",
        hint="Delete the drill's machine first.",
        address=str(machine.address),
    )


def disk_of_its_own(host: str, disk: Resource) -> Diagnostic:
    """A replica would begin where a Disk is, which may be newer than the source."""
    return _disk_exists(host, disk, "It may be newer than what would be replicated.")


def disk_exists(host: str, disk: Resource) -> Diagnostic:
    """A replica would become a Disk that is there, with other content."""
    return _disk_exists(host, disk, "Its content is not that of the recovery point.")


def _disk_exists(host: str, disk: Resource, why: str) -> Diagnostic:
    return error(
        "PRV5397",
        f"there is a {disk.address} on Host/{host} already, and it is not overwritten",
        detail=why,
        hint="If the machine runs at the other site and this is what it left here, make a replica "
        "of it: 'provisioner dr reprotect'. Else delete it.",
        address=str(disk.address),
    )


def seed_in_use(host: str, disk: Resource, machine: str) -> Diagnostic:
    """A running machine has the Disk that a replica shall begin with."""
    return error(
        "PRV5398",
        f"{disk.address} on Host/{host} is in use, and does not become a replica",
        detail=f"The machine {machine!r} is on, and has it.",
        hint="Shut the machine down first.",
        address=str(disk.address),
    )


def nothing_copied(host: str, machine: Resource) -> Diagnostic:
    """The array or tool that copies has brought nothing yet."""
    return error(
        "PRV5399",
        f"no copy of {machine.address} has arrived at Host/{host}",
        detail="Another tool replicates this machine; the endpoint only finds its copies.",
        hint="See to that tool.",
        address=str(machine.address),
    )
