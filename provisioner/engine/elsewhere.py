"""Whether machines that a recovery policy protects are at their other site, asked before anything
starts or makes them, or their disks, here.

:mod:`provisioner.engine.prepare` asks when a plan was made, and holds what is away; apply asks once
more before its first step. Nobody is connected to where nothing of that is about to happen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from provisioner.core.actions import Action
from provisioner.core.address import Address, near
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Path
from provisioner.engine.decide import owned
from provisioner.engine.plan import Counterpart, Known, Plan, Step
from provisioner.engine.request import PlanRequest
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import Subject
from provisioner.engine.verify import StalePlan, resource_of
from provisioner.manifest.model import Stack
from provisioner.manifest.protection import DISK, MACHINE, SITE, OtherSite, other_sites
from provisioner.providers.api import Absent, Present, Resource, Session, Undetermined
from provisioner.providers.capabilities import STANDBY, Standby
from provisioner.state.model import EndpointRecord

TRUST_SITE = "--trust-site"
"""The option that says that a site which cannot be asked is off."""

_POWER: Path = ("power",)
_RUNNING, _STOPPED = "running", "stopped"
_MAKING = (Action.CREATE, Action.REPLACE)


class Seen(NamedTuple):
    """What a host has of a machine of ours: its power, and whether it is marked not to start."""

    power: str
    marked: bool


Answer: TypeAlias = Mapping[Address, Seen] | Diagnostic
"""Of one host: what it has, by machine; or why it cannot tell."""


# When a plan was made


def counterparts(request: PlanRequest, plan: Plan) -> tuple[Counterpart, ...]:
    """The protected machines that a plan would make or start, or whose replicated disks it would
    make, and where they may be instead. Pure.
    """
    protected = _protected(request)
    if not protected:
        return ()
    begun = {
        address
        for step in plan.steps
        for address in _begun_by(step, request, protected)
        if not step.is_of_predecessor
    }
    return tuple(
        counterpart
        for machine in sorted(begun)
        for site in protected[machine]
        if (counterpart := _counterpart(request, machine, site)).hosts
    )


def look_elsewhere(
    looked_at: Sequence[Counterpart],
    lineage: str,
    endpoints: Mapping[str, EndpointRecord],
    trusted: Iterable[str],
    sessions: Sessions,
) -> dict[Address, str]:
    """By machine that is away, or of which nobody can tell, the reason in words. All hosts are
    asked at once, each of them for all machines that may be there.
    """
    asked: dict[str, list[Counterpart]] = {}
    for item in looked_at:
        for host in item.hosts:
            asked.setdefault(host, []).append(item)
    if not asked:
        return {}
    pool = ThreadPoolExecutor(max_workers=min(16, len(asked)))
    try:
        futures = {
            host: pool.submit(_ask, sessions, endpoints[host], items, lineage)
            for host, items in asked.items()
        }
        answers = {host: future.result() for host, future in futures.items()}
    finally:
        # Everything is answered by now, or the caller was interrupted and waits for nobody.
        pool.shutdown(wait=False, cancel_futures=True)
    is_off = frozenset(trusted)
    found: dict[Address, str] = {}
    for item in looked_at:
        why = _why_away(item, answers, is_off)
        if why is not None:
            found.setdefault(item.address, why)
    return found


def with_disks(request: PlanRequest, away: Mapping[Address, str]) -> dict[Address, str]:
    """The machines that are away, with those of their replicated disks that nobody else has."""
    found = dict(away)
    everything = {**request.unselected, **request.subjects}
    users: dict[Address, set[Address]] = {}
    for address, subject in everything.items():
        for target in {*subject.dependencies, *subject.recorded_dependencies}:
            users.setdefault(target, set()).add(address)
    protected = _protected(request)
    for machine, why in away.items():
        for site in protected[machine]:
            for disk in site.disks:
                if users.get(disk, set()) <= away.keys():
                    found.setdefault(disk, f"{machine} has it: {why}")
    return found


def check_trusted(stack: Stack | None, trusted: Iterable[str]) -> None:
    """Raise ProvisionerError (PRV7151) for what is said to be off and is no site of the stack."""
    sites = [address for address in (stack.policies if stack else ()) if address.kind == SITE]
    problems = []
    for name in trusted:
        if Address(SITE, name) in sites:
            continue
        meant = near(SITE, name, sites)
        problems.append(
            error(
                "PRV7151",
                f"{TRUST_SITE} {name}: there is no Site/{name} in the stack",
                detail=f"It has: {', '.join(sorted(item.name for item in sites)) or 'none'}.",
                hint=f"Did you mean {Address.of(meant[0]).name}?"
                if meant
                else "Name the site that is known to be off.",
            )
        )
    if problems:
        raise ProvisionerError(problems)


# Before the first step


def check_elsewhere(plan: Plan, sessions: Sessions) -> None:
    """Ask again about the machines that a plan makes or starts; raise :class:`StalePlan` (PRV7150)
    with those that are at their other site by now, or of which nobody can tell.
    """
    away = look_elsewhere(
        plan.counterparts, plan.lineage, plan.endpoints, plan.trusted_sites, sessions
    )
    if away:
        raise StalePlan(
            [
                error(
                    "PRV7150",
                    f"{machine} is not started here: {why}",
                    detail="It was not so when the plan was made. No machine starts beside itself, "
                    "so nothing was done.",
                    hint="Make a new plan, which holds what is about this machine.",
                    address=str(machine),
                )
                for machine, why in sorted(away.items())
            ]
        )


# What is protected, and what begins


def _protected(request: PlanRequest) -> Mapping[Address, tuple[OtherSite, ...]]:
    stack = request.stack
    if stack is None or not stack.policies:
        return {}
    machines = {
        address: item.spec
        for address, item in stack.declarations.items()
        if address.kind == MACHINE
    }
    subjects = {**request.unselected, **request.subjects}
    host_of = {item: subjects[item].endpoint for item in machines if item in subjects}
    policies = {address: item.spec for address, item in stack.policies.items()}
    return other_sites(policies, machines, host_of)


def _begun_by(
    step: Step, request: PlanRequest, protected: Mapping[Address, tuple[OtherSite, ...]]
) -> Iterator[Address]:
    if step.address in protected and _starts(step):
        yield step.address
    if step.address.kind == DISK and step.action in _MAKING:
        for machine, sites in protected.items():
            has_it = any(step.address in site.disks for site in sites)
            if has_it and not _runs_here(request, machine):
                yield machine


def _starts(step: Step) -> bool:
    powered = any(item.path == _POWER and item.after != _STOPPED for item in step.changes)
    return step.action in _MAKING or step.restart or powered


def _runs_here(request: PlanRequest, machine: Address) -> bool:
    observed = request.observations.get(machine)
    subject = request.subjects.get(machine)
    if subject is None or not isinstance(observed, Present):
        return False
    return owned(subject, observed) and _power(observed) == _RUNNING


def _counterpart(request: PlanRequest, machine: Address, site: OtherSite) -> Counterpart:
    subject: Subject = {**request.unselected, **request.subjects}[machine]
    resource, entry = subject.resource, subject.entry
    provider = request.endpoints[subject.endpoint].provider
    known = Known(
        entry.address if entry is not None else machine,
        subject.endpoint,
        resource.name,
        str(resource.uid),
        subject.generation,
        resource.spec,
    )
    is_new = entry is None and isinstance(request.observations.get(machine), Absent)
    # Machines are recovered between hosts of one provider.
    hosts = tuple(
        host
        for host in site.hosts
        if host in request.endpoints and request.endpoints[host].provider == provider
    )
    runs = _runs_here(request, machine)
    return Counterpart(machine, known, site.name, hosts, is_new=is_new, runs_here=runs)


# What a host says


def _ask(
    sessions: Sessions, record: EndpointRecord, items: Sequence[Counterpart], lineage: str
) -> Answer:
    provider = sessions.registry.get(record.provider)
    marks = STANDBY in provider.describe().capabilities
    resources = {item.address: resource_of(item.known, lineage, {}) for item in items}
    try:
        return sessions.ask(
            record,
            _question(resources, marks=marks),
            doing=f"asking {record.name} which machines run there",
        )
    except ProvisionerError as problem:
        return problem.diagnostics[0]


def _question(resources: Mapping[Address, Resource], *, marks: bool) -> Callable[[Session], Answer]:
    def question(session: Session) -> Answer:
        observed = session.observe(list(resources.values()))
        found: dict[Address, Seen] = {}
        for address, resource in resources.items():
            answer = observed.get(resource.address)
            if isinstance(answer, Undetermined):
                return answer.diagnostic
            if isinstance(answer, Present) and _is_ours(resource, answer):
                found[address] = Seen(_power(answer), marked=False)
        off = [resources[address] for address, seen in found.items() if seen.power != _RUNNING]
        if off and marks:
            assert isinstance(session, Standby), "its provider says so"
            standing_by = session.standing_by(off)
            for address, seen in found.items():
                if resources[address].address in standing_by:
                    found[address] = seen._replace(marked=True)
        return found

    return question


def _is_ours(resource: Resource, found: Present) -> bool:
    """Whether it is this very machine. Its stamp may have an older name of it; what only has its
    name on the host, and the stamp of another resource, is another one.
    """
    owner = found.owner
    if owner is None or owner.lineage != resource.stamp.lineage:
        return False
    return owner.address == resource.stamp.address or found.external_id == str(resource.uid)


def _power(found: Present) -> str:
    return str(found.running.get(_POWER, found.spec.get("power", _RUNNING)))


def _why_away(
    item: Counterpart, answers: Mapping[str, Answer], is_off: frozenset[str]
) -> str | None:
    silent = None
    for host in item.hosts:
        answer, place = answers[host], f"Site/{item.site} (Host/{host})"
        if isinstance(answer, Diagnostic):
            silent = silent or (host, answer)
            continue
        seen = answer.get(item.address)
        if seen is None:
            continue
        if seen.power == _RUNNING:
            return f"it runs at {place}, and would run twice"
        if not (seen.marked or item.runs_here):
            return (
                f"it is at {place}, {seen.power}, without the mark of what stands by there: "
                "start it there, or bring it back with 'provisioner dr failback'"
            )
    if silent is None or item.is_new or item.site in is_off:
        return None
    host, problem = silent
    return (
        f"Host/{host} of Site/{item.site} cannot be asked whether it runs there "
        f"({problem.summary}): see 'provisioner dr status'; if that site is known to be off, start "
        f"it deliberately with {TRUST_SITE} {item.site}"
    )
