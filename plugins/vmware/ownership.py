"""Who an object belongs to, and the diagnostics for objects that are not ours; used by every
handler. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp
from provisioner.providers.api import HalfMade, Resource, Retryable, Terminal


def is_stamped_by(resource: Resource, found: Stamp | None, external_id: str) -> bool:
    """Whether the stamp on the object with this external id is the resource's.

    A resource that was renamed finds its old address in the stamp; it knows the object by its id.
    """
    if found is None or found.lineage != resource.stamp.lineage:
        return False
    known = {str(resource.uid), resource.external_id}
    return found.address == resource.stamp.address or external_id in known


def owner_of(
    resource: Resource, found: Stamp | None, external_id: str, *, have_room: bool
) -> Stamp | None:
    """Whose an object is that was found for a resource; ``have_room``: whether such objects can be
    stamped on this endpoint.

    One without a stamp is the resource's if its creation was begun (the mark is written right after
    an object is made), and where there is no room for one also if it is recorded (decision 0043).
    """
    if found is not None:
        return found
    is_recorded = not have_room and external_id == resource.external_id
    return resource.stamp if resource.begun or is_recorded else None


def not_ours(resource: Resource, found: Stamp | None) -> Diagnostic:
    """An object that would have to be changed carries another stamp, or none."""
    whose = "nobody's stamp" if found is None else f"the stamp of {found.address} ({found.lineage})"
    return error(
        "PRV5319",
        f"{resource.kind} {resource.name} on the endpoint is not ours",
        detail=f"It carries {whose}; expected that of {resource.stamp.address} "
        f"({resource.stamp.lineage}).",
        hint="Plan again. An object without a stamp is taken over with "
        f"'provisioner adopt {resource.address}'.",
        address=str(resource.address),
    )


def taken(resource: Resource, found: str) -> Diagnostic:
    """The name that a new object shall have is another object's; ``found`` says which: ``is
    /DC0/vm/web``.
    """
    return error(
        "PRV5318",
        f"{resource.kind} {resource.name}: an object of that name {found}",
        detail="An object without our identity is never changed or replaced.",
        hint="Plan again, give the resource another name, or take the object over: "
        f"provisioner adopt {resource.address}",
        address=str(resource.address),
    )


def gone(resource: Resource) -> Diagnostic:
    """The object that shall be changed is not there any more."""
    return error(
        "PRV5315",
        f"{resource.kind} {resource.name} is not on the endpoint any more",
        hint="Somebody else removed it since it was read: plan again.",
        address=str(resource.address),
    )


@contextmanager
def half_made() -> Iterator[None]:
    """What is refused in here was to follow the creation of an object that is ours: raises HalfMade
    where something raises Terminal.
    """
    try:
        yield
    except Terminal as problem:
        raise HalfMade(problem.diagnostic) from problem


def require_time(resource: Resource, deadline: Deadline) -> None:
    """Raise Retryable (PRV5332) if nothing may be begun any more."""
    if deadline.passed:
        raise Retryable(
            error(
                "PRV5332",
                f"{resource.kind} {resource.name}: there is no time left to begin",
                hint="Raise limits.stepTimeout in the Host's manifest.",
                address=str(resource.address),
            )
        )
