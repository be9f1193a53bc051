"""The readiness of recovery plans: what manifests, state, both sites and the journals say; of a
stored plan what its file has, without manifests and state.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatchcase

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError, Severity, error
from provisioner.manifest import protection
from provisioner.manifest.protection import MACHINE, PLAN
from provisioner.service.model import EventSink, PhaseStarted, Stack, State
from provisioner.service.recovery.compiling import compile_from, loaded
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
from provisioner.workflows.recovery.drillproof import is_proof, proof_problems
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import ROLLBACK, runbook_of
from provisioner.workflows.recovery.programs import laid_out, program_problems
from provisioner.workflows.recovery.readiness import Sites, drill_problems, time_problems
from provisioner.workflows.runs import Outcome

_RUNS = 200
"""Runs that are looked through for the last drill."""


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
    unprotected, apart = False, frozenset[Address]()
    try:
        unprotected = lacks_reprotection(opened.journal)
        apart = left_behind(opened.journal)
        _check_runs(result, opened.journal, plan.drill_every, workspace.clock.now())
    except ProvisionerError as problem:
        result.found.extend(problem.diagnostics)
    finally:
        opened.journal.close()
    _check_programs(workspace, result, source)
    _check_sites(workspace, result, sink, unprotected=unprotected, apart=apart)
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
    unprotected, apart = _check_history(workspace, stack, result, wanted)
    _check_programs(workspace, result, Source(name))
    _check_sites(workspace, result, sink, unprotected=unprotected, apart=apart)
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
    workspace: Workspace,
    result: PlanReadiness,
    sink: EventSink,
    *,
    unprotected: bool,
    apart: Collection[Address],
) -> None:
    if result.plan is None:
        return
    result.found.extend(missing_secrets_of_recovery(result.plan, workspace.secrets))
    sink(PhaseStarted("observe", len(result.machines)))
    with workspace.sessions(sink) as sessions:
        estate = Estate(result.plan, sessions)
        sites = Sites(estate, workspace.clock, unprotected=unprotected, apart=apart)
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
    workspace: Workspace, stack: Stack, result: PlanReadiness, wanted: Owner
) -> tuple[bool, frozenset[Address]]:
    """What the runs of a plan of the stack say; returns whether it lacks a reprotection, and the
    machines that are not where the others are.
    """
    every = stack.policies[result.address].spec.get("drillEvery")
    journal = journal_of(workspace, Source(result.address.name), result.address.name)
    try:
        check_own(journal.path, journal.last(), wanted)
        if result.plan is not None:
            result.plan = turned_to(result.plan, runs_at(journal))
        seconds = None if every is None else every / 1000
        _check_runs(result, journal, seconds, workspace.clock.now())
        return lacks_reprotection(journal), left_behind(journal)
    except ProvisionerError as problem:
        result.found.extend(problem.diagnostics)
        return False, frozenset()
    finally:
        journal.close()


def _check_runs(
    result: PlanReadiness, journal: Journal, every: float | None, now: datetime
) -> None:
    """What the runs so far say: when the plan was last tried, and how long it would take. Raises
    ProvisionerError for a journal that cannot be read.
    """
    result.found.extend(drill_problems(result.address, every, last_drill(journal), now))
    drills = map(journal.run, _drills(journal))
    result.found.extend(
        proof_problems(result.address, result.machines, drills, demanded=every is not None)
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


def last_drill(journal: Journal) -> datetime | None:
    """When the last drill that succeeded by itself had ended; None if there was none. Raises
    ProvisionerError for a journal that cannot be read.
    """
    for record in journal.runs(_RUNS):
        succeeded = record.mode == Mode.TEST and record.outcome is Outcome.SUCCEEDED
        if succeeded and is_proof(journal.run(record.id)):
            return record.ended
    return None


def _drills(journal: Journal) -> Iterator[str]:
    """The ids of the drills that have ended, the newest first."""
    for record in journal.runs(_RUNS):
        if record.mode == Mode.TEST and not record.is_open:
            yield record.id
