"""Recovery points that somebody chose for a drill: whether they are there, before it is begun."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, quoted
from provisioner.engine.sessions import provider_failure
from provisioner.providers.api import ProviderError
from provisioner.providers.capabilities import Point
from provisioner.service.model import EventSink
from provisioner.service.recovery.opening import Opened
from provisioner.service.workspace import Workspace
from provisioner.workflows.recovery.actions import Estate

_NAMED = 10
"""Points that are named at most, the newest first."""


def check_points(
    workspace: Workspace, opened: Opened, points: Mapping[Address, str], sink: EventSink
) -> None:
    """Raise ProvisionerError (PRV7124) if a machine of the plan has no recovery point of that name
    at the other site, or if that cannot be told. Machines of no plan are none of its business.
    """
    machines = [item for item in opened.plan.machines if item.address in points]
    if not machines:
        return
    with workspace.sessions(sink) as sessions:
        try:
            states = Estate(opened.plan, sessions).replica_states(machines)
        except ProviderError as problem:
            raise provider_failure(problem, "looking for recovery points") from problem
    missing = [
        _unknown(machine.address, points[machine.address], states[machine.address].points)
        for machine in machines
        if points[machine.address] not in {point.id for point in states[machine.address].points}
    ]
    if missing:
        raise ProvisionerError(missing)


def _unknown(machine: Address, wanted: str, points: Sequence[Point]) -> Diagnostic:
    named = [_named(point) for point in reversed(points[-_NAMED:])]
    more = f", and {len(points) - _NAMED:,} older ones" if len(points) > _NAMED else ""
    return error(
        "PRV7124",
        f"{machine} has no recovery point {quoted(wanted)}",
        detail=f"There are, the newest first: {', '.join(named)}{more}." if named else "",
        hint="Take one of these, or leave --point out for the newest. Nothing was begun."
        if named
        else "It has none at all: run 'provisioner replicate run'. Nothing was begun.",
        address=str(machine),
    )


def _named(point: Point) -> str:
    if point.taken is None:
        return point.id
    return f"{point.id} ({point.taken:%Y-%m-%d %H:%M:%S} UTC)"
