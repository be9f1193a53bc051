"""Carrying recovery plans out: drills, migrations, failovers, reprotection, and going on with what
was interrupted.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.model import EventSink, StopSignal
from provisioner.service.recovery.beginning import needless
from provisioner.service.recovery.begun import as_begun, check_steps
from provisioner.service.recovery.discarding import turned_by
from provisioner.service.recovery.leftbehind import left_out_now
from provisioner.service.recovery.model import (
    Mode,
    Outcome,
    Run,
    Runbook,
    RunEvent,
    RunRecord,
    RunSink,
    RunStarted,
    Suspended,
    left_out,
)
from provisioner.service.recovery.opening import (
    PAUSING,
    TURNING,
    Opened,
    Source,
    has_turned,
    named_journal,
    runs_at,
)
from provisioner.service.recovery.owning import claim
from provisioner.service.workspace import Workspace
from provisioner.workflows import bases, history, refusals
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions import Estate, recovery_actions
from provisioner.workflows.recovery.actions.returning import check_nothing_started
from provisioner.workflows.recovery.beside import with_since
from provisioner.workflows.recovery.documents import plan_json
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.modes import (
    ROLLBACK,
    drill_runbook,
    rollback_runbook,
    runbook_of,
)
from provisioner.workflows.recovery.modes.tasks import (
    BEGIN,
    as_homeward,
    as_told,
    name_of,
    noun_of,
)
from provisioner.workflows.recovery.overtaken import check_not_overtaken
from provisioner.workflows.recovery.passing import passing_over
from provisioner.workflows.recovery.programs import Programs, laid_out
from provisioner.workflows.recovery.room import suspended
from provisioner.workflows.recovery.tenure import Claim, Tenure
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
    if mode is Mode.REPROTECT:
        runbook = with_since(runbook, turned_by(opened))
    if mode in (Mode.MIGRATE, Mode.FAILOVER) and opened.is_turned:
        runbook = as_homeward(runbook)
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
    *,
    consent: bool = False,
) -> Run:
    """Carry a runbook out until it ends or is stopped. A drill that was interrupted ends for a
    clean-up or a failover. ``consent``: somebody has made sure that nobody else carries out a run
    of the plan. Raises ProvisionerError if it cannot begin, its journal cannot be written, or a run
    by another journal is under way (PRV7113) or has taken its place (PRV7114).
    """
    instead_of = needless(opened.journal, runbook.mode)
    opened.journal.check_begin(undoes=undoes, instead_of=instead_of, consent=consent)
    path = opened.journal.path
    signed = opened.vouched.content if opened.vouched is not None else None
    wanted = _claim(workspace, opened, runbook.mode)
    with (
        laid_out(opened.plan, opened.folder) as programs,
        workspace.sessions(means.sink) as sessions,
        Tenure(opened.plan, sessions, wanted, _sites(runbook), consent=consent) as tenure,
    ):
        claim(path, opened.plan)
        bases.keep(path, fingerprint(opened.plan), plan_json(opened.plan), signed)
        runner = _runner(workspace, opened, runbook, means, tenure, programs=programs)
        return runner.start(
            runbook, workspace.actor, undoes=undoes, instead_of=instead_of, consent=consent
        )


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

    Raises like :func:`carry_out`, like :func:`as_begun` if that plan is not at hand or not proven,
    PRV7112 if the steps are not those that a signed plan has for the run, PRV7100 for a rollback
    that is before its turn, if something has started meanwhile, PRV7102 if the machines have moved
    on since, as the hosts say, and PRV7103 for what is not passed over.
    """
    last = opened.journal.last()
    if last is None:
        raise refusals.nothing_to_resume(None)
    run = opened.journal.run(last.id)
    opened.journal.check_resume(consent=consent)
    began_with = as_begun(workspace, opened, run, means.sink)
    check_steps(began_with, run)
    wanted = _claim(workspace, opened, last.mode, last.id)
    with (
        laid_out(began_with.plan, opened.folder) as programs,
        workspace.sessions(means.sink) as sessions,
        Tenure(began_with.plan, sessions, wanted, _sites(run.runbook), consent=consent) as tenure,
    ):
        if last.undoes is not None and not has_turned(run):
            undone = opened.journal.run(last.undoes)
            check_nothing_started(Estate(began_with.plan, sessions), undone)
        if last.mode in PAUSING and _is_resumable(opened, last, consent=consent):
            check_not_overtaken(Estate(began_with.plan, sessions), run)
        runner = _runner(workspace, began_with, run.runbook, means, tenure, programs=programs)
        adding = passing_over(pass_over, workspace.actor)
        return runner.resume(
            workspace.actor,
            consent=consent,
            adding=adding,
            check=partial(_check_unchanged, began_with, run),
        )


def _check_unchanged(began_with: Opened, proven: Run, found: Run) -> None:
    """Raise ProvisionerError (PRV7112) if a run has other steps than when they were proven, before
    the hosts were asked, and those are not the plan's.
    """
    if found.runbook != proven.runbook:
        check_steps(began_with, found)


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


def check_rollback(opened: Opened) -> RunRecord:
    """The last run, if that can be one that is rolled back; else raises ProvisionerError
    (PRV7093).
    """
    last = opened.journal.last()
    if last is None or last.mode not in TURNING:
        found = "there was no run yet"
        if last is not None:
            found = f"the last run was a {noun(last.mode)}"
        raise ProvisionerError(
            error(
                "PRV7093",
                f"{opened.plan.name}: there is no migration or failover to roll back: {found}",
                hint=f"'{opened.commands('cleanup')}' undoes a drill.",
            )
        )
    return last


def undone_by(opened: Opened, last: RunRecord) -> Run:
    """The migration or failover that a rollback undoes now. ``last``: the last run, see
    :func:`check_rollback`. Raises ProvisionerError.
    """
    undone = last.id if last.mode != ROLLBACK else last.undoes
    return opened.journal.run(undone or last.id)


def rollback(
    workspace: Workspace,
    opened: Opened,
    means: Means,
    trusted: str | None = None,
    *,
    consent: bool = False,
) -> Run:
    """Start the machines again where they ran before the last migration or failover, of which
    nothing has started at the other site yet. ``trusted``: that site, if somebody has made sure
    that it is off, which counts where its hosts give no answer. ``consent``: see :func:`carry_out`.

    Raises ProvisionerError (PRV7093) if the last run was none, PRV7100 if something has started, as
    the hosts or the journal say, PRV7104 if the other site gives no answer and nobody has spoken
    for it, PRV7105 for what is not that site, and like :func:`carry_out`.
    """
    last = check_rollback(opened)
    run = undone_by(opened, last)
    began_with = as_begun(workspace, opened, run, means.sink, "rollback")
    plan, site = began_with.plan, began_with.plan.there
    if trusted not in (None, site):
        raise ProvisionerError(
            error(
                "PRV7105",
                f"--trust-site {trusted}: the {noun(run.record.mode)} of {plan.name} led to {site}",
                hint=f"Only that site can be in the way of the rollback: --trust-site {site}.",
            )
        )
    goes_on = last.mode == ROLLBACK and last.outcome is not Outcome.SUCCEEDED
    begun = opened.journal.run(last.id).runbook.by_id[BEGIN].arguments
    if goes_on and (trusted is None or "trusted" in begun):
        return resume(workspace, opened, means, consent=consent)
    with workspace.sessions(means.sink) as sessions:
        silent = check_nothing_started(Estate(plan, sessions), run)
    if silent and trusted is None:
        raise _nobody_answers(opened, site, silent)
    if goes_on and not silent:
        return resume(workspace, opened, means, consent=consent)
    if silent:
        said = f"--trust-site: somebody said that {site} is off"
        began_with = replace(began_with, journal=began_with.journal.noting(said))
    without = frozenset(map(Address.of, left_out(run)))
    runbook = rollback_runbook(plan, without, trusted=bool(silent))
    return carry_out(workspace, began_with, runbook, means, run.record.id, consent=consent)


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
    tenure: Tenure,
    *,
    programs: Programs,
) -> Runner:
    actions = recovery_actions(
        opened.plan,
        tenure.sessions,
        mode=runbook.mode,
        environ=workspace.environ,
        clean=workspace.secrets.redactor.text,
        admit=tenure.admit,
        programs=programs,
    )
    known = history.estimates(runbook, history.samples([opened.journal], runbook.mode))
    return Runner(
        opened.journal,
        actions,
        sink=_naming(runbook, means.tasks),
        stop=means.stop,
        clock=workspace.clock,
        expected=history.expected(runbook, known),
        put_out=tenure.put_out,
    )


def _naming(runbook: Runbook, sink: RunSink) -> RunSink:
    """The same sink, which hears what the run is called."""

    def tell(event: RunEvent) -> None:
        if isinstance(event, RunStarted):
            event = replace(event, called=name_of(runbook))
        sink(event)

    return tell


def _sites(runbook: Runbook) -> list[str]:
    """Those that a run cannot do without."""
    sites = runbook.by_id[BEGIN].arguments["sites"]
    assert isinstance(sites, list)
    return [str(site) for site in sites]


def _claim(workspace: Workspace, opened: Opened, mode: str, run: str = "") -> Claim:
    journal = opened.journal.path.absolute()
    return Claim(mode, workspace.actor, journal, workspace.clock.now(), run)


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


def names_of_runs(workspace: Workspace, source: Source) -> Callable[[RunRecord], str]:
    """What runs of a plan are called; of migrations that has to be looked up in their runbooks."""
    journal = named_journal(workspace, source)

    def called(record: RunRecord) -> str:
        if record.mode != Mode.MIGRATE:
            return noun(record.mode)
        return noun_of(journal.run(record.id))

    return called


def is_orphaned(workspace: Workspace, source: Source, run: str) -> bool:
    """Whether the process that carried an open run out has ended. Raises ProvisionerError."""
    return named_journal(workspace, source).is_orphaned(run)


def is_out_of_sight(workspace: Workspace, source: Source, run: str) -> bool:
    """Whether an open run is carried out by a process that cannot be seen from here. Raises
    ProvisionerError.
    """
    return named_journal(workspace, source).is_out_of_sight(run)


def cancel(workspace: Workspace, source: Source, *, consent: bool) -> Run:
    """Ask the open run of a plan to end, or give up the last one, which has ended and did not
    succeed. ``consent``: somebody has made sure that no process carries it out. Raises
    ProvisionerError (PRV7004) if there is neither.
    """
    journal = named_journal(workspace, source)
    return journal.run(journal.cancel(workspace.actor, consent=consent).id)
