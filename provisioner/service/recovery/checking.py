"""The readiness of recovery plans: what manifests, state, both sites and the journals say; of a
stored plan what its file has, without manifests and state.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError, Severity, error
from provisioner.manifest import protection
from provisioner.manifest.protection import MACHINE, PLAN
from provisioner.service.model import EventSink, Noticed, PhaseStarted, Stack, State
from provisioner.service.recovery.compiling import compile_from, loaded
from provisioner.service.recovery.direction import Told, direction
from provisioner.service.recovery.leftbehind import left_behind, left_out_of
from provisioner.service.recovery.opening import (
    LOOKED_BACK,
    TURNING,
    Source,
    commands_for,
    folder_of,
    has_turned,
    journal_of,
    open_plan,
    runs_at,
    turned_to,
)
from provisioner.service.recovery.outlook import Outlook, predicted
from provisioner.service.recovery.owning import check_own
from provisioner.service.secrets import missing_secrets_of_recovery
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal
from provisioner.workflows.owners import Owner
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.recovery.drillproof import OtherWay, is_proof, proof_problems
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import ROLLBACK, runbook_of
from provisioner.workflows.recovery.modes.tasks import leads_to
from provisioner.workflows.recovery.programs import laid_out, program_problems
from provisioner.workflows.recovery.readiness import Sites, drill_problems, time_problems
from provisioner.workflows.runs import Outcome, Run

_RUNS = 200
"""Runs that are looked through for the last drill."""


@dataclass(frozen=True, slots=True)
class _History:
    """What the journal of a plan says that the look at its sites has to know. ``is_known``: whether
    it is known which way the plan leads.
    """

    unprotected: bool = False
    apart: frozenset[Address] = frozenset()
    is_known: bool = True


@dataclass(slots=True)
class PlanReadiness:
    """What was found out about one plan; ``plan`` is None where it cannot even be compiled."""

    address: Address
    plan: RecoveryPlan | None = None
    machines: tuple[Address, ...] = ()
    found: Diagnostics = field(default_factory=Diagnostics)
    foreseen: Outlook | None = None
    """What a failover would be, as ``dr plan`` shows it; None without fencing."""

    @property
    def ready(self) -> bool:
        """Whether it would work now, as far as that can be told."""
        return not any(item.severity is Severity.ERROR for item in self.found)

    @property
    def predicted(self) -> float | None:
        """Seconds that a failover would take; None where no run before tells that."""
        known = self.foreseen is not None and self.foreseen.is_known
        return self.foreseen.seconds if self.foreseen is not None and known else None


@dataclass(frozen=True, slots=True)
class Readiness:
    """What was found out about plans, and about machines that are in none."""

    plans: tuple[PlanReadiness, ...]
    others: tuple[Diagnostic, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether all plans would work now, and no machine was forgotten."""
        return all(item.ready for item in self.plans) and not self.others

    @property
    def found(self) -> list[Diagnostic]:
        """Everything, in order and without repetitions."""
        of_plans = (item for plan in self.plans for item in plan.found)
        return list(dict.fromkeys([*self.others, *of_plans]))

    @property
    def subjects(self) -> list[str]:
        """What was looked at: plans, machines and hosts."""
        hosts = [f"Host/{name}" for item in self.plans if item.plan for name in item.plan.endpoints]
        machines = [str(one) for item in self.plans for one in item.machines]
        about = [item.address for item in self.others if item.address is not None]
        plans = [str(item.address) for item in self.plans]
        return list(dict.fromkeys([*plans, *sorted({*machines, *about}), *sorted({*hosts})]))


def check_readiness(workspace: Workspace, name: str | None, sink: EventSink) -> Readiness:
    """Check the plan called ``name``, or all plans and whether every machine is in one of them.

    Raises ProvisionerError if the manifests have errors, or there is no such plan (PRV7030).
    """
    stack, state = loaded(workspace, sink)
    plans = sorted(item for item in stack.policies if item.kind == PLAN)
    if name is None:
        if not plans:
            raise ProvisionerError(_no_plans())
        return Readiness(
            tuple(_checked(workspace, item.name, stack, state, sink) for item in plans),
            tuple(_forgotten(stack)),
        )
    if Address(PLAN, name) not in plans:
        compile_from(workspace, name, stack, state)  # says why
    return Readiness((_checked(workspace, name, stack, state, sink),))


def check_stored(workspace: Workspace, source: Source, sink: EventSink) -> Readiness:
    """Check the plan in a file: all that can be told without manifests and state.

    Raises ProvisionerError if the file is refused, or where its machines run cannot be told.
    """
    opened = open_plan(workspace, source, sink, asking=True)
    plan = opened.plan
    machines = tuple(sorted(machine.address for machine in plan.machines))
    result = PlanReadiness(Address(PLAN, plan.name), plan, machines)
    if plan.fencing is None or not plan.fencing.checks:
        result.found.add(_no_fencing(result.address))
    history = _History()
    try:
        history = _history_in(opened.journal)
        _check_runs(result, opened.journal, plan.drill_every, workspace.clock.now())
    except ProvisionerError as problem:
        result.found.extend(problem.diagnostics)
    finally:
        opened.journal.close()
    _check_programs(workspace, result, source)
    _check_sites(workspace, result, sink, history)
    result.found = Diagnostics(map(opened.commands.completed, result.found))
    return Readiness((result,))


def _no_plans() -> Diagnostic:
    return error(
        "PRV7030",
        "the stack has no recovery plan",
        hint="Add manifests of the kinds Site, SitePair, ProtectionGroup and RecoveryPlan.",
    )


def _checked(
    workspace: Workspace, name: str, stack: Stack, state: State, sink: EventSink
) -> PlanReadiness:
    address = Address(PLAN, name)
    result = PlanReadiness(address, machines=_machines(stack, address))
    result.found.extend(_fencing(stack, address))
    result.found.extend(_unplanned_needs(stack, address, result.machines))
    try:
        result.plan = compile_from(workspace, name, stack, state)
    except ProvisionerError as problem:
        result.found.extend(problem.diagnostics)
    wanted = Owner(name, stack.name, str(state.lineage))
    history = _check_history(workspace, stack, result, wanted, sink)
    _check_programs(workspace, result, Source(name))
    _check_sites(workspace, result, sink, history)
    commands = commands_for(workspace, Source(name), name)
    result.found = Diagnostics(map(commands.completed, result.found))
    return result


def _check_programs(workspace: Workspace, result: PlanReadiness, source: Source) -> None:
    if result.plan is None:
        return
    try:
        with laid_out(result.plan, folder_of(workspace, source)) as programs:
            found = list(program_problems(result.plan, programs, workspace.environ))
    except ProvisionerError as problem:
        found = list(problem.diagnostics)
    result.found.extend(found)


def _check_sites(
    workspace: Workspace, result: PlanReadiness, sink: EventSink, history: _History
) -> None:
    if result.plan is None:
        return
    result.found.extend(missing_secrets_of_recovery(result.plan, workspace.secrets))
    sink(PhaseStarted("observe", len(result.machines)))
    with workspace.sessions(sink) as sessions:
        estate = Estate(result.plan, sessions)
        sites = Sites(
            estate,
            workspace.clock,
            unprotected=history.unprotected,
            apart=history.apart,
            is_known=history.is_known,
        )
        result.found.extend(sites.problems())


def _machines(stack: Stack, plan: Address) -> tuple[Address, ...]:
    declared = {address: item.spec for address, item in stack.declarations.items()}
    groups = (stack.policies[item] for item in protection.groups_of(stack.policies[plan].spec))
    found = {item for group in groups for item in protection.members(group.spec, declared)}
    return tuple(sorted(found))


def _fencing(stack: Stack, plan: Address) -> Iterator[Diagnostic]:
    if not stack.policies[plan].spec.get("fencing"):
        yield _no_fencing(plan)


def _no_fencing(plan: Address) -> Diagnostic:
    return error(
        "PRV7050",
        f"{plan} has no fencing, so that it cannot fail over",
        detail="Nothing would prove that the machines of the old site are off before their copies "
        "start.",
        hint="Add 'fencing': a command that cuts the old site off, or a prompt to somebody who "
        "does.",
        address=str(plan),
    )


def _unplanned_needs(
    stack: Stack, plan: Address, machines: tuple[Address, ...]
) -> Iterator[Diagnostic]:
    """Machines whose outputs the plan's machines use, and that no plan recovers."""
    planned = _planned(stack)
    left = {item for item in stack.declarations if item.kind == MACHINE} - planned
    if not left:
        return
    references = {
        address: [reference.target for reference in item.references]
        for address, item in stack.declarations.items()
    }
    for machine in machines:
        for other in protection.machines_behind(machine, references, left):
            if stack.declarations[other].host != stack.declarations[machine].host:
                continue
            yield error(
                "PRV7059",
                f"{machine} uses an output of {other}, which no plan recovers",
                hint=f"Add {other} to a protection group of {plan}.",
                address=str(machine),
            )


def _planned(stack: Stack) -> set[Address]:
    plans = (item for item in stack.policies if item.kind == PLAN)
    return {machine for plan in plans for machine in _machines(stack, plan)}


def _forgotten(stack: Stack) -> Iterator[Diagnostic]:
    """Machines that no plan recovers, and that nobody has excused."""
    planned = _planned(stack)
    for address in sorted(stack.declarations):
        if address.kind != MACHINE or address in planned:
            continue
        if not any(fnmatchcase(address.name, excuse.machine) for excuse in stack.excused):
            yield error(
                "PRV7060",
                f"{address} is in no recovery plan",
                hint="Add it to a protection group of one, or excuse it with a reason "
                "(spec.recovery.excused of the Stack).",
                address=str(address),
            )


def _check_history(
    workspace: Workspace, stack: Stack, result: PlanReadiness, wanted: Owner, sink: EventSink
) -> _History:
    """What the runs of a plan of the stack say. The plan then leads the way that they say, or that
    the hosts tell where no run does.
    """
    every = stack.policies[result.address].spec.get("drillEvery")
    journal = journal_of(workspace, Source(result.address.name), result.address.name)
    try:
        check_own(journal.path, journal.last(), wanted)
        if result.plan is not None:
            result.plan = _led(workspace, result.plan, journal, sink)
        seconds = None if every is None else every / 1000
        _check_runs(result, journal, seconds, workspace.clock.now())
        return _history_in(journal)
    except ProvisionerError as problem:
        result.found.extend(problem.diagnostics)
        return _History(is_known=False)
    finally:
        journal.close()


def _led(
    workspace: Workspace, plan: RecoveryPlan, journal: Journal, sink: EventSink
) -> RecoveryPlan:
    """The plan as it leads: where its journal knows of no turn, and no run is under way, as the
    hosts tell. Raises ProvisionerError (PRV7098) if they contradict one another.
    """
    site, last = runs_at(journal), journal.last()
    if site is not None or (last is not None and last.is_open):
        return turned_to(plan, site)
    found = direction(workspace, plan, Told(journal.path, None, None), sink, asking=True)
    if found.notice:
        sink(Noticed(f"{plan.name}: {found.notice}"))
    return found.plan


def _history_in(journal: Journal) -> _History:
    return _History(lacks_reprotection(journal), left_behind(journal))


def _check_runs(
    result: PlanReadiness, journal: Journal, every: float | None, now: datetime
) -> None:
    """What the runs so far say: when the plan was last tried the way that it leads, and how long it
    would take. Raises ProvisionerError for a journal that cannot be read.
    """
    there = result.plan.there if result.plan is not None else None
    last = last_drill(journal, there)
    other_way = _other_way(journal, there)
    result.found.extend(drill_problems(result.address, every, last, now, other_way))
    result.found.extend(
        proof_problems(
            result.address,
            result.machines,
            _drills(journal, there),
            demanded=every is not None,
            other_way=other_way,
        )
    )
    if result.plan is not None and result.plan.fencing is not None:
        result.foreseen = _failover(result.plan, journal)
        result.found.extend(time_problems(result.address, result.foreseen))


def _failover(plan: RecoveryPlan, journal: Journal) -> Outlook:
    """A failover as ``dr plan`` foresees it. Raises ProvisionerError."""
    runbook = runbook_of(plan, Mode.FAILOVER, left_out_of(plan, journal, Mode.FAILOVER))
    return predicted(plan, journal, Mode.FAILOVER, runbook)


def lacks_reprotection(journal: Journal) -> bool:
    """Whether a plan has turned by a migration or failover and was not reprotected since: nothing
    but a reprotection makes copies then. Raises ProvisionerError for a journal that cannot be read.
    """
    for record in journal.runs(LOOKED_BACK):
        if record.mode == Mode.REPROTECT and record.outcome is Outcome.SUCCEEDED:
            return False
        if record.mode in TURNING and has_turned(journal.run(record.id)):
            return record.mode != ROLLBACK
    return False


def last_drill(journal: Journal, there: str | None) -> datetime | None:
    """When the last drill to the site ``there`` (None: to either) that succeeded by itself had
    ended; None if there was none. Raises ProvisionerError for a journal that cannot be read.
    """
    return next((run.record.ended for run in _drills(journal, there) if is_proof(run)), None)


def _drills(journal: Journal, there: str | None) -> Iterator[Run]:
    """The drills that have ended, the newest first: those that led to the site ``there`` alone, for
    others have seen nothing of what it has; None: all of them.
    """
    for record in journal.runs(_RUNS):
        if record.mode == Mode.TEST and not record.is_open:
            run = journal.run(record.id)
            if there is None or leads_to(run) == there:
                yield run


def _other_way(journal: Journal, there: str | None) -> OtherWay | None:
    """Where the last drill led, if none led to the site ``there``."""
    if there is None or next(_drills(journal, there), None) is not None:
        return None
    last = next(_drills(journal, None), None)
    return OtherWay(there, leads_to(last)) if last is not None else None
