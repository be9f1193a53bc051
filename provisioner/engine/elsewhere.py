"""Whether machines that a recovery policy protects are at their other site, asked before anything
starts or makes them here, or makes or removes their disks.

:mod:`provisioner.engine.prepare` asks when a plan was made, and holds what is away; apply asks once
more before its first step. Nobody is connected to where nothing of that is about to happen.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, TypeAlias

from provisioner.core.actions import Action
from provisioner.core.address import Address, near
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.plan import Counterpart, Plan
from provisioner.engine.protected import RUNNING, power_of
from provisioner.engine.sessions import Sessions
from provisioner.engine.verify import StalePlan, resource_of
from provisioner.manifest.model import Stack
from provisioner.manifest.protection import (
    DISK,
    MACHINE,
    POOL,
    SITE,
    hosts_of,
)
from provisioner.providers.api import Present, Resource, Session, Undetermined
from provisioner.providers.capabilities import STANDBY, Standby
from provisioner.state.model import EndpointRecord

TRUST_SITE = "--trust-site"
"""The option that says that a site which cannot be asked is off."""


class Seen(NamedTuple):
    """What a host has of a machine of ours: its power, and whether it is marked not to start; of a
    disk, that it is there.
    """

    power: str = ""
    marked: bool = False


Answer: TypeAlias = Mapping[Address, Seen | Diagnostic] | Diagnostic
"""Of one host: what it has, by machine or disk, or why it cannot tell of that one; or of any."""


# When a plan was made


def look_elsewhere(
    plan: Plan,
    looked_at: Sequence[Counterpart],
    endpoints: Mapping[str, EndpointRecord],
    sessions: Sessions,
) -> dict[Address, str]:
    """By machine that is away, or of which nobody can tell, the reason in words. All hosts are
    asked at once, each of them for all machines that may be there. ``plan`` says which sites are
    trusted to be off, and what it would make here.
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
            host: pool.submit(_ask, sessions, endpoints[host], items, plan.lineage)
            for host, items in asked.items()
        }
        answers = {host: future.result() for host, future in futures.items()}
    finally:
        # Everything is answered by now, or the caller was interrupted and waits for nobody.
        pool.shutdown(wait=False, cancel_futures=True)
    is_off, made = frozenset(plan.trusted_sites), _disks_made_by(plan)
    found: dict[Address, str] = {}
    for item in looked_at:
        why = _why_away(item, answers, is_off, made)
        if why is not None:
            found.setdefault(item.address, why)
    return found


def trusted_hosts(stack: Stack | None, trusted: Iterable[str]) -> frozenset[str]:
    """The hosts of the sites that are said to be off."""
    policies = stack.policies if stack is not None else {}
    sites = (policies.get(Address(SITE, name)) for name in trusted)
    return frozenset(host for site in sites if site is not None for host in hosts_of(site.spec))


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
    away = look_elsewhere(plan, plan.counterparts, plan.endpoints, sessions)
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


# What a host says


def _ask(
    sessions: Sessions, record: EndpointRecord, items: Sequence[Counterpart], lineage: str
) -> Answer:
    provider = sessions.registry.get(record.provider)
    marks = STANDBY in provider.describe().capabilities
    copies = {copy.address: copy for item in items for copy in item.copies}
    pools = {
        address: resource_of(known, lineage, {})
        for address, known in copies.items()
        if address.kind == POOL
    }
    resources = {item.address: resource_of(item.known, lineage, {}) for item in items}
    resources |= {
        address: resource_of(known, lineage, pools)
        for address, known in copies.items()
        if address.kind == DISK
    }
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
        unknown: dict[Address, Diagnostic] = {}
        found: dict[Address, Seen] = {}
        for address, resource in resources.items():
            answer = observed.get(resource.address)
            if isinstance(answer, Undetermined):
                unknown[address] = answer.diagnostic
            elif isinstance(answer, Present) and _is_ours(resource, answer):
                found[address] = Seen(power_of(answer)) if address.kind == MACHINE else Seen()
        off = [
            resources[address]
            for address, seen in found.items()
            if address.kind == MACHINE and seen.power != RUNNING
        ]
        if off and marks:
            assert isinstance(session, Standby), "its provider says so"
            standing_by = session.standing_by(off)
            for address, seen in found.items():
                if resources[address].address in standing_by:
                    found[address] = seen._replace(marked=True)
        return {**found, **unknown}

    return question


def _is_ours(resource: Resource, found: Present) -> bool:
    """Whether it is this very machine. Its stamp may have an older name of it; what only has its
    name on the host, and the stamp of another resource, is another one.
    """
    owner = found.owner
    if owner is None or owner.lineage != resource.stamp.lineage:
        return False
    return owner.address == resource.stamp.address or found.external_id == str(resource.uid)


def _why_away(
    item: Counterpart,
    answers: Mapping[str, Answer],
    is_off: frozenset[str],
    made: Collection[Address],
) -> str | None:
    seen = _seen(item, item.address, answers)
    for place, found in seen.items():
        if found.power == RUNNING:
            return f"it runs at {place}, and would run twice"
        if not (found.marked or item.runs_here):
            return (
                f"it is at {place}, {found.power}, without the mark of what stands by there: "
                f"start it there, or bring it back with {item.command('failback')}"
            )
    if item.runs_here:
        return None
    # Where it stands by, its disks are what they were when it went back.
    for disk in _disks_of(item) if not seen else ():
        for place in _seen(item, disk, answers):
            return (
                f"its {disk} is at {place}, promoted for it: end what was begun "
                f"({item.command('status')}), or bring it back with {item.command('failback')}; if "
                "it is an older copy, remove that disk there"
            )
    silent = _silent(item, answers)
    if silent is None or item.is_new:
        return None
    if item.site in is_off:
        for disk in sorted({*_disks_of(item)} & {*made}):
            return (
                f"its {disk} is not here, and would be made empty; where a copy of it was kept, "
                f"start it from that: {item.command('failover')}"
            )
        return None
    host, problem = silent
    return (
        f"Host/{host} of Site/{item.site} cannot be asked whether it runs there "
        f"({problem.summary}): see {item.command('status')}; if that site is known to be off, "
        f"start it deliberately with {TRUST_SITE} {item.site}"
    )


def _disks_made_by(plan: Plan) -> frozenset[Address]:
    making = (Action.CREATE, Action.REPLACE)
    return frozenset(
        step.address for step in plan.steps if step.address.kind == DISK and step.action in making
    )


def _disks_of(item: Counterpart) -> list[Address]:
    return [copy.address for copy in item.copies if copy.address.kind == DISK]


def _seen(item: Counterpart, address: Address, answers: Mapping[str, Answer]) -> dict[str, Seen]:
    """Where a machine or a disk is, in words, and what it is there."""
    found: dict[str, Seen] = {}
    for host in item.hosts:
        answer = answers[host]
        seen = answer.get(address) if not isinstance(answer, Diagnostic) else None
        if isinstance(seen, Seen):
            found[f"Site/{item.site} (Host/{host})"] = seen
    return found


def _silent(item: Counterpart, answers: Mapping[str, Answer]) -> tuple[str, Diagnostic] | None:
    """The first host that cannot tell of a machine or of one of its disks, and why."""
    for host in item.hosts:
        answer = answers[host]
        if isinstance(answer, Diagnostic):
            return host, answer
        for address in (item.address, *_disks_of(item)):
            found = answer.get(address)
            if isinstance(found, Diagnostic):
                return host, found
    return None
