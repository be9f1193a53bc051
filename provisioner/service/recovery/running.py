"""Carrying recovery plans out: drills, migrations, failovers, reprotection, and going on with what
was interrupted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.sessions import Sessions
from provisioner.service.model import EventSink, Noticed, StopSignal
from provisioner.service.recovery.beginning import needless
from provisioner.service.recovery.leftbehind import left_out_now
from provisioner.service.recovery.model import (
    Mode,
    Outcome,
    Run,
    Runbook,
    RunRecord,
    RunSink,
    Suspended,
    left_out,
)
from provisioner.service.recovery.opening import (
    PAUSING,
    TURNING,
    Opened,
    Source,
    commands_for,
    has_turned,
    named_journal,
    runs_at,
    turned_to,
)
from provisioner.service.workspace import Workspace
from provisioner.workflows import bases, history, refusals
from provisioner.workflows.recovery.actions import Estate, recovery_actions
from provisioner.workflows.recovery.actions.returning import check_nothing_started
from provisioner.workflows.recovery.documents import plan_json, plan_of
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.recovery.modes import (
    ROLLBACK,
    drill_runbook,
    rollback_runbook,
    runbook_of,
)
from provisioner.workflows.recovery.modes.tasks import BEGIN, as_told
from provisioner.workflows.recovery.overtaken import check_not_overtaken
from provisioner.workflows.recovery.passing import passing_over
from provisioner.workflows.recovery.room import suspended
from provisioner.workflows.runner import Runner
from provisioner.workflows.runs import person

APPROVE = "approve/"


@dataclass(frozen=True, slots=True)
class Means:
    """Who hears of a run, and how it is asked to stop. ``sink`` hears what sessions tell."""

    tasks: RunSink
    sink: EventSink
    stop: StopSignal


def runbook_for(
    opened: Opened,
    mode: Mode,
    points: Mapping[Address, str] | None = None,
    without: Collection[Address] = (),
    included: Collection[Address] = (),
) -> Runbook:
    """What a mode would do now. ``points``: recovery points of a drill, other than the newest;
    ``without``: machines that are left out, besides those that are not where the others are; of
    these, ``included`` are brought in again.

    Raises ProvisionerError if the plan lacks something, has no machine that is named (PRV7089), or
    none is left (PRV7106).
    """
    _check_known(opened, {*(points or {}), *without, *included})
    if mode is Mode.TEST:
        runbook = drill_runbook(opened.plan, points)
    else:
        runbook = runbook_of(opened.plan, mode, left_out_now(opened, mode, without, included))
    return as_told(runbook) if opened.told else runbook


def _check_known(opened: Opened, named: Collection[Address]) -> None:
    strange = set(named) - {machine.address for machine in opened.plan.machines}
    if strange:
        raise ProvisionerError(
            error(
                "PRV7089",
                f"{', '.join(map(str, sorted(strange)))}: not in the recovery plan "
                f"{opened.plan.name}",
                hint="'provisioner replicate status' lists its machines.",
            )
        )


def check_failback(opened: Opened) -> None:
    """Raise ProvisionerError (PRV7090) if the machines of a plan are at home, as is known."""
    if opened.is_turned:
        return
    known = runs_at(opened.journal) is not None
    summary = f"the machines of {opened.plan.name} are at {opened.home}, where they belong"
    hint = (
        f"There is nothing to bring back. '{opened.commands('migrate')}' brings them to the other "
        "site."
    )
    if not known:
        summary = f"as far as its journal knows, {summary}"
        hint += (
            " If they are at the other site, name the journal of the run that brought them there "
            "with --journal FILE."
        )
    raise ProvisionerError(error("PRV7090", summary, hint=hint))


def check_reprotect(opened: Opened) -> None:
    """Raise ProvisionerError (PRV7091) if nothing has turned the plan yet, as its journal and the
    hosts know.
    """
    if runs_at(opened.journal) is None and not opened.moved:
        raise ProvisionerError(
            error(
                "PRV7091",
                f"{opened.plan.name} was neither migrated nor failed over, as its journal and the "
                "hosts know",
                detail="Reprotection stops what is left of the machines at the site where they ran "
                "before, so it has to know which that is.",
                hint="Name the journal of the migration or failover with --journal FILE.",
            )
        )


def carry_out(
    workspace: Workspace,
    opened: Opened,
    runbook: Runbook,
    means: Means,
    undoes: str | None = None,
) -> Run:
    """Carry a runbook out until it ends or is stopped. A drill that was interrupted ends for a
    clean-up or a failover. Raises ProvisionerError if it cannot begin, or its journal cannot be
    written.
    """
    instead_of = needless(opened.journal, runbook.mode)
    bases.keep(opened.journal.path, fingerprint(opened.plan), plan_json(opened.plan))
    with workspace.sessions(means.sink) as sessions:
        runner = _runner(workspace, opened, runbook, means, sessions)
        return runner.start(runbook, workspace.actor, undoes=undoes, instead_of=instead_of)


def resume(
    workspace: Workspace,
    opened: Opened,
    means: Means,
    *,
    consent: bool,
    pass_over: Sequence[str] = (),
) -> Run:
    """Go on with the last run, by the plan that it began with. ``consent``: somebody has made sure
    that nobody else carries it out; ``pass_over``: ids of failed checks that count as done from now
    on.

    Raises like :func:`carry_out`, PRV7092 if that plan is not at hand, PRV7100 for a rollback that
    is before its turn, if something has started meanwhile, PRV7102 if the machines have moved on
    since, as the hosts say, and PRV7103 for what is not passed over.
    """
    last = opened.journal.last()
    if last is None:
        raise refusals.nothing_to_resume(None)
    run = opened.journal.run(last.id)
    began_with = _as_begun(opened, run, means)
    with workspace.sessions(means.sink) as sessions:
        if last.undoes is not None and not has_turned(run):
            undone = opened.journal.run(last.undoes)
            check_nothing_started(Estate(began_with.plan, sessions), undone)
        if last.mode in PAUSING and _is_resumable(opened, last, consent=consent):
            check_not_overtaken(Estate(began_with.plan, sessions), run)
        runner = _runner(workspace, began_with, run.runbook, means, sessions)
        adding = passing_over(pass_over, workspace.actor)
        return runner.resume(workspace.actor, consent=consent, adding=adding)


def given_up_by(opened: Opened) -> str:
    """Who has given up the last run of a plan; empty if nobody has. Raises ProvisionerError."""
    last = opened.journal.last()
    run = opened.journal.run(last.id) if last is not None and not last.is_open else None
    return person(run.cancellations[-1].actor) if run is not None and run.given_up else ""


def _is_resumable(opened: Opened, last: RunRecord, *, consent: bool) -> bool:
    """Whether the journal would let this process go on with a run: of one that is under way the
    hosts tell nothing that could be judged.
    """
    if last.is_open:
        unseen = consent and opened.journal.is_out_of_sight(last.id)
        return unseen or opened.journal.is_orphaned(last.id)
    return last.outcome is not Outcome.SUCCEEDED


def rollback(workspace: Workspace, opened: Opened, means: Means, trusted: str | None = None) -> Run:
    """Start the machines again where they ran before the last migration or failover, of which
    nothing has started at the other site yet. ``trusted``: that site, if somebody has made sure
    that it is off, which counts where its hosts give no answer.

    Raises ProvisionerError (PRV7093) if the last run was none, PRV7100 if something has started, as
    the hosts or the journal say, PRV7104 if the other site gives no answer and nobody has spoken
    for it, PRV7105 for what is not that site, and like :func:`carry_out`.
    """
    last = opened.journal.last()
    if last is None or last.mode not in TURNING:
        found = "there was no run yet" if last is None else f"the last run was a {last.mode}"
        raise ProvisionerError(
            error(
                "PRV7093",
                f"{opened.plan.name}: there is no migration to roll back: {found}",
                hint=f"'{opened.commands('cleanup')}' undoes a drill.",
            )
        )
    undone = last.id if last.mode != ROLLBACK else last.undoes
    run = opened.journal.run(undone or last.id)
    began_with = _as_begun(opened, run, means)
    plan, site = began_with.plan, began_with.plan.there
    if trusted not in (None, site):
        raise ProvisionerError(
            error(
                "PRV7105",
                f"--trust-site {trusted}: the {run.record.mode} of {plan.name} led to {site}",
                hint=f"Only that site can be in the way of the rollback: --trust-site {site}.",
            )
        )
    goes_on = last.mode == ROLLBACK and last.outcome is not Outcome.SUCCEEDED
    begun = opened.journal.run(last.id).runbook.by_id[BEGIN].arguments
    if goes_on and (trusted is None or "trusted" in begun):
        return resume(workspace, opened, means, consent=False)
    with workspace.sessions(means.sink) as sessions:
        silent = check_nothing_started(Estate(plan, sessions), run)
    if silent and trusted is None:
        raise _nobody_answers(opened, site, silent)
    if goes_on and not silent:
        return resume(workspace, opened, means, consent=False)
    if silent:
        said = f"--trust-site: somebody said that {site} is off"
        began_with = replace(began_with, journal=began_with.journal.noting(said))
    without = frozenset(map(Address.of, left_out(run)))
    runbook = rollback_runbook(plan, without, trusted=bool(silent))
    return carry_out(workspace, began_with, runbook, means, run.record.id)


def _nobody_answers(opened: Opened, site: str, silent: Mapping[str, str]) -> ProvisionerError:
    told = "\n".join(f"Host/{name} told nothing: {why}" for name, why in sorted(silent.items()))
    return ProvisionerError(
        error(
            "PRV7104",
            f"whether a machine of {opened.plan.name} runs at {site} cannot be seen: "
            f"{', '.join(sorted(silent))} gave no answer",
            detail=f"By the journal none was ever started there. Nothing was changed.\n{told}",
            hint=f"If you have made sure that {site} is off, or cut off, and stays so: "
            f"'{opened.commands('rollback', '--trust-site', site)}'.",
            address=f"Host/{min(silent)}",
        )
    )


def _runner(
    workspace: Workspace,
    opened: Opened,
    runbook: Runbook,
    means: Means,
    sessions: Sessions,
) -> Runner:
    actions = recovery_actions(
        opened.plan,
        sessions,
        mode=runbook.mode,
        environ=workspace.environ,
        clean=workspace.secrets.redactor.text,
    )
    known = history.estimates(runbook, history.samples([opened.journal], runbook.mode))
    return Runner(
        opened.journal,
        actions,
        sink=means.tasks,
        stop=means.stop,
        clock=workspace.clock,
        expected=history.expected(runbook, known),
    )


def _as_begun(opened: Opened, run: Run, means: Means) -> Opened:
    """The plan that a run began with, as its journal has kept it if it is another one by now, in
    the direction that it had; raises ProvisionerError (PRV7092) if it is not at hand.
    """
    begin = run.runbook.by_id[BEGIN].arguments
    wanted = str(begin["plan"])
    if wanted != fingerprint(opened.plan):
        opened = _kept(opened, run, wanted)
        means.sink(Noticed(f"{opened.plan.name}: {_GONE_ON_AS_KEPT}"))
    plan: RecoveryPlan = turned_to(opened.plan, str(begin["here"]))
    return replace(opened, plan=plan)


_GONE_ON_AS_KEPT = (
    "the plan has changed since the run began, which is gone on with as it was then, as its "
    "journal has kept it"
)


def _kept(opened: Opened, run: Run, wanted: str) -> Opened:
    path = opened.journal.path
    document = bases.kept(path, wanted)
    plan = plan_of(document) if document is not None else None
    if plan is None or fingerprint(plan) != wanted:
        raise ProvisionerError(
            error(
                "PRV7092",
                f"{opened.plan.name} is another plan than the one that the run {run.record.id} "
                "began with",
                detail="Machines, sites or steps of it have changed since; what was begun would be "
                f"ended by other rules. The journal {path} has not kept that plan.",
                hint="If it began with a stored plan, name that, and this journal: --from FILE "
                f"--journal {path}. Or end the run: '{opened.commands('cancel')}'.",
            )
        )
    return replace(opened, plan=plan, journal=opened.journal.noting(_GONE_ON_AS_KEPT))


# What needs no plan


def last_run(workspace: Workspace, source: Source) -> Run | None:
    """The newest run of a plan with all its tasks; None if there was none. Raises
    ProvisionerError.
    """
    journal = named_journal(workspace, source)
    last = journal.last()
    return journal.run(last.id) if last is not None else None


def making_room(workspace: Workspace, source: Source) -> tuple[Suspended, ...]:
    """The machines of others that make room for those of a plan. Raises ProvisionerError."""
    return suspended(named_journal(workspace, source))


def runs(workspace: Workspace, source: Source, limit: int) -> list[RunRecord]:
    """The newest runs of a plan, the newest first. Raises ProvisionerError."""
    return named_journal(workspace, source).runs(limit)


def is_orphaned(workspace: Workspace, source: Source, run: str) -> bool:
    """Whether the process that carried an open run out has ended. Raises ProvisionerError."""
    return named_journal(workspace, source).is_orphaned(run)


def is_out_of_sight(workspace: Workspace, source: Source, run: str) -> bool:
    """Whether an open run is carried out by a process that cannot be seen from here. Raises
    ProvisionerError.
    """
    return named_journal(workspace, source).is_out_of_sight(run)


def answer(workspace: Workspace, source: Source, task: str | None, text: str) -> str:
    """Answer the question of a task of the open run (None: of the only one that asks); returns the
    id of the task.

    Raises ProvisionerError: PRV7005 if it does not ask, PRV7094 if it cannot be told which task is
    meant, PRV7095 if the same person has answered for a consent of the run before.
    """
    journal = named_journal(workspace, source)
    last = journal.last()
    run = journal.run(last.id) if last is not None else None
    asking = [item.task for item in run.tasks.values() if item.asks] if run is not None else []
    if run is None or (task is None and len(asking) != 1):
        found = ", ".join(asking) or "no task"
        raise ProvisionerError(
            error(
                "PRV7094",
                f"which question is answered cannot be told: {found} asks",
                hint=f"Name the task; '{commands_for(workspace, source)('status')}' lists the "
                "questions that are open.",
            )
        )
    chosen = task if task is not None else asking[0]
    _check_second_person(run, chosen, workspace.actor)
    journal.answer(run.record.id, chosen, text, workspace.actor)
    return chosen


def _check_second_person(run: Run, task: str, actor: str) -> None:
    if not task.startswith(APPROVE):
        return
    who = person(actor)
    in_force = {entry.task: entry for entry in run.answers if entry.task in run.in_force}
    for entry in in_force.values():
        consents = entry.task.startswith(APPROVE) and entry.task != task
        if consents and person(entry.actor) == who:
            role = entry.task.removeprefix(APPROVE).rpartition("/")[0]
            raise ProvisionerError(
                error(
                    "PRV7095",
                    f"{who} has answered as {role} already",
                    detail="Each consent of a run has to come from another person, in whichever "
                    "role.",
                    hint="Somebody else has to answer, as a user of their own.",
                )
            )


def cancel(workspace: Workspace, source: Source, *, consent: bool) -> Run:
    """Ask the open run of a plan to end, or give up the last one, which has ended and did not
    succeed. ``consent``: somebody has made sure that no process carries it out. Raises
    ProvisionerError (PRV7004) if there is neither.
    """
    journal = named_journal(workspace, source)
    return journal.run(journal.cancel(workspace.actor, consent=consent).id)
