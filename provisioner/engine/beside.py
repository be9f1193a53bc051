"""Machines that run here though they have to stay off: a recovery plan has led them to their other
site, as its journal knows, or they bear the mark of what stands by.

Called by :mod:`provisioner.engine.prepare` and by drift: no step of a plan is about them, for they
are as their manifests want them. The other site is not asked.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, warning
from provisioner.engine.decide import owned
from provisioner.engine.protected import RUNNING, plans_of, power_of, protected_by
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import Subject
from provisioner.manifest.model import Stack
from provisioner.manifest.protection import MACHINE
from provisioner.providers.api import Observation, Present, Resource, Session
from provisioner.providers.capabilities import STANDBY, Standby
from provisioner.state.model import EndpointRecord


class LedAway(NamedTuple):
    """Where the machines of a recovery plan are, as its journal knows. ``since``: for people."""

    plan: str
    site: str
    since: str


def running_beside(
    stack: Stack | None,
    subjects: Mapping[Address, Subject],
    observations: Mapping[Address, Observation],
    endpoints: Mapping[str, EndpointRecord],
    sessions: Sessions,
    *,
    led_away: Mapping[Address, LedAway],
) -> list[Diagnostic]:
    """A warning (PRV7128) for each machine of ours that runs here and has to stay off. Hosts are
    asked for marks of machines that a group protects, and only those whose machines run.
    """
    if stack is None or not stack.policies:
        return []
    running = {
        address: subject
        for address, subject in subjects.items()
        if address.kind == MACHINE and _runs(subject, observations.get(address))
    }
    protected = protected_by(stack, {a: s.resource.spec for a, s in running.items()})
    asked = [subject for address, subject in running.items() if address in protected]
    why = _marked(asked, endpoints, sessions)
    for address in running.keys() & led_away.keys():
        plan, site, since = led_away[address]
        why[address] = f"the recovery plan {plan} has it at Site/{site} since {since}"
    plans = plans_of(stack, {a: s.resource.spec for a, s in running.items()})
    return [
        _warning(address, running[address].endpoint, why[address], plans.get(address, ""))
        for address in sorted(why)
    ]


def _runs(subject: Subject, observed: Observation | None) -> bool:
    return (
        isinstance(observed, Present) and owned(subject, observed) and power_of(observed) == RUNNING
    )


def _marked(
    machines: Iterable[Subject], endpoints: Mapping[str, EndpointRecord], sessions: Sessions
) -> dict[Address, str]:
    """Those that bear the mark, with its reason. A host that gives no answer any more tells of
    none: what it has was observed a moment ago, and this is a warning.
    """
    by_endpoint: dict[str, list[Subject]] = {}
    for machine in machines:
        by_endpoint.setdefault(machine.endpoint, []).append(machine)
    found: dict[Address, str] = {}
    for name, subjects in sorted(by_endpoint.items()):
        record = endpoints[name]
        if STANDBY not in sessions.registry.get(record.provider).describe().capabilities:
            continue
        question = partial(_marks, [subject.resource for subject in subjects])
        try:
            marks = sessions.ask(record, question, doing=f"looking for marked machines on {name}")
        except ProvisionerError:
            continue
        found |= {address: f"it is marked as not to start: {why}" for address, why in marks.items()}
    return found


def _marks(machines: list[Resource], session: Session) -> Mapping[Address, str]:
    assert isinstance(session, Standby), "its provider says so"
    return session.standing_by(machines)


def _warning(machine: Address, host: str, why: str, plan: str) -> Diagnostic:
    named = f" {plan}" if plan else ""
    return warning(
        "PRV7128",
        f"{machine} runs on Host/{host}, where it has to stay off: {why}",
        detail="Somebody has started it. If it runs at its other site, too, each writes to its own "
        "disks, and neither has what the other one writes.",
        hint=f"Stop it on its host, with that host's own tools. 'provisioner dr reprotect{named}' "
        "takes it over, and asks for consent to give up what it has written; 'provisioner dr check"
        f"{named}' tells what both sites have of it.",
        address=str(machine),
    )
