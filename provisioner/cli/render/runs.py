"""Runs of recovery plans as text: what happens, how it went, what is under way, and what was."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

from provisioner.cli.render.diagnostics import diagnostic_json
from provisioner.cli.render.text import Paint, count, listed, plain, printable, table, wrap
from provisioner.service.model import (
    Event,
    EventSink,
    Noticed,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepProgress,
    StepRetrying,
    StepSkipped,
    StepStarted,
)
from provisioner.service.recovery.beginning import DRILLS
from provisioner.service.recovery.commands import Commands
from provisioner.service.recovery.model import (
    Outcome,
    Run,
    RunEnded,
    RunEvent,
    RunRecord,
    RunStarted,
    RunStopping,
    Suspended,
    TaskAnswered,
    TaskDone,
    TaskFailed,
    TaskHeld,
    TaskInterrupted,
    TaskProgress,
    TaskRetrying,
    TaskStarted,
    TaskState,
    TaskWaiting,
    Wakes,
    What,
    doubtful,
    ended,
    given_up,
    leaves,
    left_out,
    may_roll_back,
    noun,
    noun_of,
    person,
    question_of,
    speaks_for_them,
    unheard,
    wakes,
)

_CHECKS = 5
"""Failed checks, each of which is shown with the command that goes on past it."""
OUTCOMES = {
    Outcome.SUCCEEDED: "succeeded",
    Outcome.IN_PART: "went on to its end, but something failed",
    Outcome.STOPPED: "was stopped by a failure",
    Outcome.CANCELLED: "was cancelled",
}
WORDS = {
    None: "to come",
    What.BEGUN: "under way",
    What.RETRYING: "is tried again",
    What.WAITING: "waits for an answer",
    What.DONE: "done",
    What.FAILED: "FAILED",
    What.INTERRUPTED: "given up",
    What.HELD: "held back",
    What.SKIPPED: "not begun",
}


TaskEvent: TypeAlias = (
    TaskStarted
    | TaskProgress
    | TaskRetrying
    | TaskDone
    | TaskFailed
    | TaskInterrupted
    | TaskHeld
    | TaskWaiting
    | TaskAnswered
)


class Telling:
    """Tells the events of a run to a sink for those of applies, which have their views already."""

    def __init__(self, commands: Commands, sink: EventSink) -> None:
        self._commands = commands
        self._sink = sink
        self._titles: dict[str, str] = {}

    def __call__(self, event: RunEvent) -> None:
        """Tell it."""
        if isinstance(event, RunStarted):
            # Any phase without a text of its own begins its line as it is.
            self._sink(PhaseStarted(f"{event.called or noun(event.mode)}:", event.total))
            if event.done:
                self._sink(Noticed(f"{count(event.done, 'step')} of it were done before"))
        elif isinstance(event, RunStopping):
            under_way = count(event.under_way, "step")
            text = f"Nothing more is begun: {event.reason}. {under_way} under way."
            self._sink(Noticed(text))
        elif not isinstance(event, RunEnded):
            if isinstance(event, TaskStarted):
                self._titles[event.task] = event.title
            self._sink(self._of_task(event, self._titles.get(event.task, event.task)))

    def _of_task(self, event: TaskEvent, title: str) -> Event:
        match event:
            case TaskStarted(task):
                return StepStarted(task, "...", title)
            case TaskProgress(_, text, done, total):
                return StepProgress(title, text, done, total)
            case TaskRetrying(task, attempt, after, diagnostic):
                return StepRetrying(task, title, attempt, after, diagnostic)
            case TaskDone(task, seconds, observed):
                return StepFinished(task, "done already" if observed else "done", title, seconds)
            case TaskFailed(task, seconds, _, diagnostic):
                return StepFailed(task, "...", title, seconds, diagnostic)
            case TaskInterrupted(task, seconds):
                return StepFinished(task, "given up", title, seconds)
            case TaskHeld(task, cause):
                return StepSkipped(task, "...", title, f"{cause} failed")
            case TaskWaiting(task, _, question):
                text = "\n".join(_question(question or title, task, self._commands))
                return Noticed(text)
            case TaskAnswered(_, text, actor):
                return Noticed(f"{actor} answered {text!r} to: {title}")


def render_run(
    run: Run,
    commands: Commands,
    width: int = 80,
    paint: Paint = plain,
    *,
    room: Sequence[Suspended] = (),
) -> list[str]:
    """How a run went, in a few lines; failures themselves are reported as diagnostics. ``room``:
    machines of others that make room.
    """
    record = run.record
    done = _done(run)
    text = f"The {noun_of(run)} of {record.name} "
    text += OUTCOMES[record.outcome] if record.outcome is not None else "has not ended"
    text += f": {count(done, 'step')} of {len(run.tasks):,} done"
    if run.seconds is not None:
        text += f" in {duration(run.seconds)}"
    role = "add" if record.outcome is Outcome.SUCCEEDED else "error"
    lines = [paint(role, line) for line in wrap(f"{text}.", width)]
    lines += _titled("Failed", run, run.failed, width)
    lines += _titled("Held back", run, run.held, width)
    lines += _titled("Not begun", run, run.tasks_that(What.SKIPPED, None), width)
    lines += [f"  {line}" for line in achieved(run)]
    if record.outcome is Outcome.SUCCEEDED:
        return [*lines, *render_room(run, room, commands, width)]
    lines += render_left(run, width)
    if run.given_up:
        lines.append("  It was given up.")
    else:
        lines += ["  Go on with it:", f"  {commands('resume')}"]
        lines += _passing(run, commands, width)
    lines += render_room(run, room, commands, width)
    return [*lines, *render_way_back(run, commands, width)]


def render_left(run: Run, width: int = 80) -> Iterator[str]:
    """What a migration or failover leaves that did not succeed, in a line or two."""
    found = leaves(run)
    if found is not None and found.down:
        names = listed([item.name for item in found.down])
        text = f"Shut down at {found.here}, and not started at {found.there}: {names}."
        yield from wrap(text, width, "  ")
    if found is not None and found.marked:
        names = listed([item.name for item in found.marked])
        yield from wrap(f"Marked at {found.here} as not to start: {names}.", width, "  ")


def render_room(
    run: Run, room: Sequence[Suspended], commands: Commands, width: int = 80
) -> Iterator[str]:
    """Which machines make room, and what lets them go on."""
    groups: dict[tuple[str, Wakes], list[str]] = {}
    for item in room:
        groups.setdefault((item.site, wakes(run, item)), []).append(item.machine.name)
    for (site, how), names in groups.items():
        goes = "It goes" if len(names) == 1 else "They go"
        text = f"Suspended at {site} to make room: {listed(names)}. "
        command = commands(how) if how is not Wakes.THE_RUN else ""
        match how:
            case Wakes.THE_RUN:
                text += f"{goes} on at the end of this run."
            case Wakes.FAILBACK | Wakes.MIGRATE:
                text += f"{goes} on when the machines of {run.record.name} have left {site} again:"
            case Wakes.ROLLBACK if leaves(run) is not None:
                text += f"{goes} on with a rollback."
                command = ""  # that stands below
            case _:
                text += f"{goes} on with:"
        yield from wrap(text, width, "  ")
        if command:
            yield f"  {command}"


def render_way_back(
    run: Run, commands: Commands, width: int = 80, *, alone: bool = False
) -> Iterator[str]:
    """How machines start again where they ran, while the journal knows of no start elsewhere.
    ``alone``: nothing else is told that could be done.
    """
    found = leaves(run)
    if found is not None and may_roll_back(run):
        text = "undo what it has begun; no machine was shut down:"
        if found.down or found.marked:
            text = f"start the machines again at {found.here}, where they ran:"
        yield from wrap(f"{'To' if alone else 'Or'} {text}", width, "  ")
        yield f"  {commands('rollback')}"


def _done(run: Run) -> int:
    return len(run.tasks_that(What.DONE)) - len(run.passed_over)


def _passing(run: Run, commands: Commands, width: int) -> Iterator[str]:
    """How to go on past checks that have failed."""
    failed = [state.task for state in doubtful(run)]
    if failed:
        text = "If a check is wrong, and not what it checks, go on past it (the report says so):"
        yield from wrap(text, width, "  ")
        yield from (f"  {commands('resume', '--pass-over', task)}" for task in failed[:_CHECKS])
    if len(failed) > _CHECKS:
        yield f"  and {len(failed) - _CHECKS:,} more; --pass-over may be repeated"


def achieved(run: Run) -> Iterator[str]:
    """What was left out, what was lost of each machine, and what is left, where the run says so."""
    if left_out(run):
        yield f"Left out: {', '.join(left_out(run))}"
    yield from (f"Given up: {item.machine} {item.told()}" for item in given_up(run))
    yield from _passed(run)
    for state in run.tasks.values():
        task = run.runbook.by_id[state.task]
        if not state.is_done:
            continue
        if task.action == "choose":
            yield f"{task.subject}: {_loss(state)}"
        elif task.action == "drill-left":
            yield f"Left of the drill: {state.result['left']}"
    if unheard(run):
        hosts = ", ".join(unheard(run))
        yield f"Gave no answer, so that only {speaks_for_them(run)} tells: {hosts}"


def _passed(run: Run) -> Iterator[str]:
    for state in run.passed_over:
        title = run.runbook.by_id[state.task].title
        yield f"Passed over by {person(state.passed_over)}: {title} ({state.task})"


def _loss(state: TaskState) -> str:
    result = state.result
    if result.get("inStep"):
        return "as it was at its last write that reached this site"
    if result.get("continuous"):
        return (
            "as it was at its last write that reached this site; what is lost is not known, for "
            "its mirror was not seen in step before the fencing"
        )
    loss, objective = result.get("loss"), result.get("objective")
    later = result.get("ahead")
    if isinstance(later, int | float):
        return (
            f"what is lost is not known: its recovery point is dated {duration(later)} behind the "
            "fencing, so that clocks differ, or it was still copied then"
        )
    if loss is None:
        return "what is lost is not known: nobody knows when its recovery point was taken"
    assert isinstance(loss, int | float)
    assert isinstance(objective, int | float)
    kept = "within" if loss <= objective else "BEYOND"
    return (
        f"what it wrote in the last {duration(loss)} before the fencing is lost "
        f"({kept} the objective of {duration(objective)})"
    )


def _question(text: str, task: str, commands: Commands, paint: Paint = plain) -> Iterator[str]:
    """The whole of a question, and below it, each on a line, how it is answered."""
    yield paint("warning", printable(f"Question: {text}"))
    yield "  Answer it, from any terminal, with yes or no:"
    yield f"  {commands('answer', task, 'yes')}"


def _titled(heading: str, run: Run, states: Sequence[TaskState], width: int) -> list[str]:
    if not states:
        return []
    titles = [run.runbook.by_id[state.task].title for state in states]
    return wrap(f"{heading}: {listed(titles)}.", width, "  ")


def render_status(
    run: Run,
    commands: Commands,
    *,
    orphaned: bool,
    now: datetime,
    out_of_sight: bool = False,
    room: Sequence[Suspended] = (),
    width: int = 80,
    paint: Paint = plain,
) -> list[str]:
    """Where a run is: what is under way, which questions are open, and what went wrong.
    ``orphaned``: its process has ended; ``out_of_sight``: whether that lives cannot be seen;
    ``room``: machines of others that make room.
    """
    record = run.record
    lines = [paint("strong", f"The {noun_of(run)} of {record.name}, begun by {record.actor}")]
    lines.append(f"  at {moment(record.started)}, run {record.id}")
    if record.is_open:
        carrier = record.carrier
        where = f"process {carrier.pid} on {carrier.host}"
        text = f"  interrupted: {where} has ended" if orphaned else f"  carried out by {where}"
        since = (now - record.started).total_seconds()
        lines.append(
            paint("warning" if orphaned else "strong", f"{text}, {duration(since)} so far")
        )
    lines.append(f"  {_done(run):,} of {count(len(run.tasks), 'step')} done")
    rows = [
        (run.runbook.by_id[state.task].title, WORDS[state.what], _since(state, now))
        for state in run.tasks.values()
        if state.is_under_way and record.is_open
    ]
    if rows:
        lines += ["", *table(("STEP", "", "FOR"), rows, paint, width)]
    for state in run.tasks.values():
        if state.asks and record.is_open:
            task = run.runbook.by_id[state.task]
            lines += ["", *_question(question_of(task), state.task, commands, paint)]
    if record.is_open:
        lines += _titled("Failed", run, run.failed, width)
        lines += _titled("Held back", run, run.held, width)
        lines += [f"  {line}" for line in _passed(run)]
        lines += render_room(run, room, commands, width)
        if orphaned:
            lines += ["  Go on with it, or end it where it is:", f"  {commands('resume')}"]
            lines += [f"  {commands('cancel')}"]
            if record.mode == "test":
                lines += ["  Or clear it away:", f"  {commands('cleanup')}"]
            lines += _passing(run, commands, width)
        if out_of_sight:
            text = (
                "Whether that lives cannot be seen from here. If it is gone for sure, go on with "
            )
            lines += wrap(f"{text}it, or end it where it is:", width, "  ")
            lines += [f"  {commands(verb, '--take-over')}" for verb in ("resume", "cancel")]
            if record.mode in DRILLS:
                lines += ["  Or clear it away, or fail over, which ends it:"]
                lines += [f"  {commands(verb, '--take-over')}" for verb in ("cleanup", "failover")]
        return lines
    return [*lines, *render_run(run, commands, width, paint, room=room)]


def render_runs(
    records: Iterable[RunRecord],
    called: Callable[[RunRecord], str],
    paint: Paint = plain,
    width: int = 80,
) -> list[str]:
    """Runs as a table, newest first; ``called``: what each is called."""
    rows = [
        (
            moment(record.started).removesuffix(" UTC"),
            called(record),
            ended(record.outcome),
            duration((record.ended - record.started).total_seconds()) if record.ended else "",
            record.id,
            person(record.actor),
        )
        for record in records
    ]
    if not rows:
        return ["There was no run yet."]
    return table(("STARTED (UTC)", "WHAT", "OUTCOME", "TOOK", "RUN", "BY"), rows, paint, width)


def no_run_json() -> dict[str, Any]:
    """What :func:`run_json` tells, where there was no run yet."""
    keys = ("run", "plan", "mode", "outcome", "actor", "started", "ended", "undoes", "seconds")
    return {**dict.fromkeys(keys), "tasks": []}


def run_json(run: Run, commands: Commands) -> dict[str, Any]:
    """A run with its tasks as plain data."""
    return {
        **record_json(run.record),
        "seconds": run.seconds,
        "tasks": [
            {
                "id": state.task,
                "title": run.runbook.by_id[state.task].title,
                "subject": run.runbook.by_id[state.task].subject,
                "stage": run.runbook.by_id[state.task].stage,
                "state": str(state.what) if state.what is not None else None,
                "seconds": state.seconds,
                "observed": state.observed,
                "asks": state.asks,
                "result": dict(state.result),
                "passedOver": state.passed_over or None,
                "heldBy": state.held_by,
                "diagnostic": diagnostic_json(commands.completed(state.diagnostic))
                if state.diagnostic
                else None,
            }
            for state in run.tasks.values()
        ],
    }


def room_json(room: Iterable[Suspended]) -> list[dict[str, str]]:
    """Machines of others that make room as plain data."""
    return [{"machine": str(item.machine), "site": item.site} for item in room]


def record_json(record: RunRecord) -> dict[str, Any]:
    """A run without its tasks as plain data."""
    return {
        "run": record.id,
        "plan": record.name,
        "mode": record.mode,
        "outcome": str(record.outcome) if record.outcome is not None else None,
        "actor": record.actor,
        "started": record.started.isoformat(),
        "ended": record.ended.isoformat() if record.ended is not None else None,
        "undoes": record.undoes,
    }


def moment(time: datetime) -> str:
    """``2026-03-01 02:59:07 UTC``."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def duration(seconds: float) -> str:
    """``4.2 s``, ``3 min 5 s``, ``2 h 10 min``."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"


def _since(state: TaskState, now: datetime) -> str:
    return duration((now - state.begun).total_seconds()) if state.begun is not None else ""
