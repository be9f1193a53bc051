"""Who an object belongs to, and the diagnostics for objects that are not ours; used by every
handler.
"""

from __future__ import annotations

from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp, identity
from provisioner.providers.api import Resource, Retryable


def is_stamped_by(resource: Resource, found: Stamp | None, uuid: UUID) -> bool:
    """Whether the stamp on the object with this UUID is the resource's.

    A resource that was renamed finds its old address in the stamp; it knows the object by its UUID.
    """
    if found is None or found.lineage != resource.stamp.lineage:
        return False
    known = {str(resource.uid), resource.external_id}
    return found.address == resource.stamp.address or str(uuid) in known


def not_ours(resource: Resource, found: Stamp | None) -> Diagnostic:
    """An object that would have to be changed carries another stamp, or none."""
    whose = "nobody's stamp" if found is None else f"the stamp of {found.address} ({found.lineage})"
    return error(
        "PRV5119",
        f"{resource.kind} {resource.name} on the host is not ours",
        detail=f"It carries {whose}; expected that of {resource.stamp.address} "
        f"({resource.stamp.lineage}).",
        hint="Plan again. An object without a stamp is taken over with "
        f"'provisioner adopt {resource.address}'.",
        address=str(resource.address),
    )


def taken(resource: Resource, found: str) -> Diagnostic:
    """The name that a new object shall have is another object's."""
    return error(
        "PRV5118",
        f"{resource.kind} {resource.name}: the object on the host {found}",
        detail="An object without our identity is never changed or replaced.",
        hint="Plan again, give the resource another name, or take the object over: "
        f"provisioner adopt {resource.address}",
        address=str(resource.address),
    )


def gone(resource: Resource) -> Diagnostic:
    """The object that shall be changed is not there any more."""
    return error(
        "PRV5115",
        f"{resource.kind} {resource.name} is not on the host any more",
        hint="Somebody else removed it since it was read: plan again.",
        address=str(resource.address),
    )


def require_time(resource: Resource, deadline: Deadline) -> None:
    """Raise Retryable (PRV5132) if nothing may be begun any more."""
    if deadline.passed:
        raise Retryable(
            error(
                "PRV5132",
                f"{resource.kind} {resource.name}: there is no time left to begin",
                hint="Raise limits.stepTimeout in the Host's manifest.",
                address=str(resource.address),
            )
        )


def uuids_of_stack(resource: Resource) -> frozenset[UUID]:
    """The UUIDs of the stack's objects, by identity and as recorded, as far as ``resource`` knows
    them; with those of its own earlier generations, which make room for it.
    """
    lineage, address = UUID(resource.stamp.lineage), Address.of(resource.stamp.address)
    known = {identity(lineage, address, number) for number in range(resource.stamp.generation)}
    for item in (resource, *resource.related.values()):
        known |= {item.uid, uuid_or_none(item.external_id or "") or item.uid}
    return frozenset(known)


def uuid_or_none(text: str) -> UUID | None:
    """The UUID that a recorded id is; None where it is something else."""
    try:
        return UUID(text)
    except ValueError:
        return None
