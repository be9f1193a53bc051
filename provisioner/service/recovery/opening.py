"""Finds a recovery plan, its journal, and which way it counts now.

A plan is read from a signed file, or compiled from the stack. Where its machines run follows from
its journal: the last migration or failover that passed its turning point decides, and not the
state, which is that of the last apply and may be gone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.model import EventSink
from provisioner.service.recovery.compiling import compiled_plan
from provisioner.service.recovery.keys import trusted_keys
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.refusals import Ways
from provisioner.workflows.runs import Run

FOLDER = "recovery"
"""Beside the state: the journals of its plans."""
TURN = "turn"
TURNING = (Mode.MIGRATE, Mode.FAILOVER, ROLLBACK)
"""The modes that have such a task."""
PAUSING = (*TURNING, Mode.REPROTECT)
"""The modes during which nobody else does anything to the machines of the plan."""
LOOKED_BACK = 1000
"""Runs that are looked through for the last that turned the direction."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which plan is meant: by its ``name`` in the stack, or by the signed ``file`` that holds it,
    which a key in the file ``trusted`` has to have signed. ``journal``: its file, if that is not
    beside the state.
    """

    name: str | None
    file: Path | None = None
    trusted: Path | None = None
    journal: Path | None = None


@dataclass(frozen=True, slots=True)
class Opened:
    """A plan in the direction that counts now. ``home``: where its machines were when it was
    compiled.
    """

    plan: RecoveryPlan
    journal: Journal
    home: str

    @property
    def is_turned(self) -> bool:
        """Whether the machines run at the other site since."""
        return self.plan.here != self.home


def open_plan(workspace: Workspace, source: Source, sink: EventSink) -> Opened:
    """The plan that is meant. Raises ProvisionerError if there is none, or it is refused."""
    plan = _plan(workspace, source, sink)
    journal = journal_of(workspace, source, plan.name)
    return Opened(turned_to(plan, runs_at(journal)), journal, plan.here)


def reopened(opened: Opened) -> Opened:
    """The same plan in the direction that its journal knows now."""
    return replace(opened, plan=turned_to(opened.plan, runs_at(opened.journal)))


def journal_of(workspace: Workspace, source: Source, name: str) -> Journal:
    """The journal of the plan called ``name``; nothing is made before something is written."""
    path = source.journal or workspace.state_path.parent / FOLDER / f"{name}.db"
    ways = Ways(f"'provisioner dr resume {name}'", f"'provisioner dr cancel {name}'")
    return Journal(path, ways=ways, clock=workspace.clock)


def named_journal(workspace: Workspace, source: Source) -> Journal:
    """The journal alone, for what needs no plan. Raises ProvisionerError (PRV7088) if neither a
    plan nor a journal is named.
    """
    if source.name is None and source.journal is None:
        raise ProvisionerError(
            error(
                "PRV7088",
                "no recovery plan is named",
                hint="Give its name, or its journal with --journal FILE.",
            )
        )
    return journal_of(workspace, source, source.name or "the plan")


def runs_at(journal: Journal) -> str | None:
    """The site where the machines of a plan run, as its journal knows; None if it never turned."""
    turn = last_turn(journal)
    return None if turn is None else turn[0]


def last_turn(journal: Journal) -> tuple[str, Run] | None:
    """The site that the last turn led to, and the run that made it."""
    for record in journal.runs(LOOKED_BACK):
        if record.mode not in TURNING:
            continue
        run = journal.run(record.id)
        turn = run.tasks.get(TURN)
        if turn is not None and turn.is_done:
            return str(turn.result["here"]), run
    return None


def turned_to(plan: RecoveryPlan, site: str | None) -> RecoveryPlan:
    """The plan with ``site`` as the one where its machines are; as it is if that is not known."""
    return plan.turned() if site is not None and site == plan.there else plan


def _plan(workspace: Workspace, source: Source, sink: EventSink) -> RecoveryPlan:
    if source.file is None:
        if source.name is None:
            raise ProvisionerError(
                error(
                    "PRV7088",
                    "no recovery plan is named",
                    hint="Give its name, or a signed file with --from FILE.",
                )
            )
        return compiled_plan(workspace, source.name, sink)
    trusted = trusted_keys(source.trusted, workspace.configuration, workspace.root)
    stack, state = workspace.applied()
    expected = None if stack is None else storing.Estate(stack, str(state.lineage))
    plan = storing.read(source.file, trusted, workspace.clock.now(), expected).plan
    if source.name is not None and source.name != plan.name:
        raise ProvisionerError(
            error(
                "PRV7088",
                f"{source.file} holds the recovery plan {plan.name}, not {source.name}",
                hint="Name the plan that is meant, or none: the file says which it is.",
            )
        )
    return plan
