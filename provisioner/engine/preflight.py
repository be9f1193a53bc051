"""Asks endpoints what would fail in the middle of a plan, before its first step.

Called when a plan was made, and once more when it is about to be applied.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import partial

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, Diagnostics
from provisioner.engine.patience import GRACE_SECONDS, seconds_for_reading
from provisioner.engine.plan import Begun, Plan, Step
from provisioner.engine.sessions import Sessions
from provisioner.engine.verify import resource_of
from provisioner.manifest.model import Stack
from provisioner.providers.api import Resource, Session
from provisioner.providers.capabilities import PREFLIGHT, Preflight, Undertaking

SECONDS = 3600.0
"""How long files may be read before an apply. A plan reads none, and has the time of the Host."""

_MAKING = (Action.CREATE, Action.REPLACE)
_CHANGING = (Action.UPDATE, Action.RENAME)


def look_ahead(
    plan: Plan,
    sessions: Sessions,
    begun: Begun,
    *,
    thorough: bool,
    stack: Stack | None = None,
) -> None:
    """Raise ProvisionerError with all that stands in the way of the plan's steps. ``thorough``:
    files may be read from end to end. ``stack`` tells the places of fields.
    """
    problems = Diagnostics()
    related = resources_of(plan, begun)
    for name, undertakings in _undertakings(plan, related, sessions).items():
        record = plan.endpoints[name]
        provider = sessions.registry.get(record.provider)
        if PREFLIGHT not in provider.describe().capabilities:
            continue
        allowed = SECONDS if thorough else seconds_for_reading(record)
        question = partial(_found, undertakings, thorough, Deadline.after(allowed, sessions.clock))
        found = sessions.ask(
            record,
            question,
            doing=f"looking ahead on {name}",
            seconds=SECONDS + GRACE_SECONDS if thorough else None,
        )
        problems.extend(_placed(item, stack) for item in found)
    problems.raise_errors()


def _found(
    undertakings: Sequence[Undertaking], thorough: bool, deadline: Deadline, session: Session
) -> Sequence[Diagnostic]:
    assert isinstance(session, Preflight)
    return session.preflight(undertakings, deadline, thorough=thorough)


def resources_of(plan: Plan, begun: Begun) -> dict[str, dict[Address, Resource]]:
    """The resources that the plan's provider calls may look up, by endpoint: as they will be."""
    related: dict[str, dict[Address, Resource]] = {}
    # A predecessor has the address of its successor, which is what others refer to by now.
    acting = (step.known for step in plan.steps if not step.removes_predecessor)
    for known in (*plan.context, *acting):
        shared = related.setdefault(known.endpoint, {})
        shared[known.address] = resource_of(known, plan.lineage, shared, begun)
    return related


def _undertakings(
    plan: Plan, related: Mapping[str, Mapping[Address, Resource]], sessions: Sessions
) -> dict[str, list[Undertaking]]:
    found: dict[str, list[Undertaking]] = {}
    for step in plan.steps:
        endpoint = step.known.endpoint
        changes = step.changes if step.action in _CHANGING else ()
        removes = step.action is Action.DELETE and step.address.kind in _guarded(
            plan, step, sessions
        )
        looked_at = changes or removes or step.action in _MAKING
        if looked_at and not step.is_of_predecessor:
            undertaking = Undertaking(related[endpoint][step.address], changes, removes)
            found.setdefault(endpoint, []).append(undertaking)
    return found


def _guarded(plan: Plan, step: Step, sessions: Sessions) -> Collection[str]:
    provider = plan.endpoints[step.known.endpoint].provider
    return sessions.registry.get(provider).describe().guarded


def _placed(found: Diagnostic, stack: Stack | None) -> Diagnostic:
    if stack is None or found.address is None:
        return found
    address = Address.parse(found.address)
    declaration = stack.declarations.get(address)
    if declaration is not None:
        return stack.placed(found, declaration)
    host = stack.hosts.get(address.name) if address.kind == "Host" else None
    return found if host is None else found.at(stack.locate(address, found.path) or host.source)
