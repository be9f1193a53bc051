"""Evidence of a run of a recovery plan: what its journal says, as values that can be shown, signed
and kept. Pure; called by the service layer for ``dr report``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from provisioner.core.diagnostics import Diagnostic
from provisioner.workflows.recovery.beside import GivenUp, given_up
from provisioner.workflows.recovery.clocks import ahead
from provisioner.workflows.recovery.modes.tasks import BEGIN, FOR, MAKE_ROOM, noun_of
from provisioner.workflows.recovery.unheard import left_out, unheard
from provisioner.workflows.runbook import Task
from provisioner.workflows.runs import Carrier, Entry, Run, RunRecord, TaskState, What, person

_POINTS = ("choose", "last-synchronise", "stage")
"""Actions that say which recovery point a machine starts from."""
STARTS = frozenset({"start", "power-on", "start-again"})
SEED = "seed"
GATE, FENCE, FENCED, LEFT = "gate/", "fence/", "fenced", "left"


class Ended(StrEnum):
    """Where something is at the end of a run, or now if it has not ended."""

    DONE = "done"
    FAILED = "failed"
    HELD = "held"
    NOT_BEGUN = "not-begun"
    UNDER_WAY = "under-way"
    GIVEN_UP = "given-up"
    PASSED_OVER = "passed-over"
    """It did not succeed, and somebody has said that it is to count as done."""


_ENDED: Mapping[What | None, Ended] = {
    None: Ended.NOT_BEGUN,
    What.SKIPPED: Ended.NOT_BEGUN,
    What.DONE: Ended.DONE,
    What.FAILED: Ended.FAILED,
    What.HELD: Ended.HELD,
    What.INTERRUPTED: Ended.GIVEN_UP,
}
_WORST = (
    Ended.FAILED,
    Ended.HELD,
    Ended.GIVEN_UP,
    Ended.UNDER_WAY,
    Ended.NOT_BEGUN,
    Ended.PASSED_OVER,
    Ended.DONE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A task of the run. ``start`` and ``end`` are seconds after the beginning of the run, None
    where it did not begin or end; ``critical``: the end of the run waited for it, that time.
    ``why`` says why it is not done. Of a task that was begun more than once, ``beginnings`` times,
    all but that is of the last time. ``abandoned``: nobody saw it end, so that its work may be done
    or not.
    ``passed_over``: who has said that it counts as done though it did not succeed.
    """

    task: Task
    ended: Ended
    start: float | None
    end: float | None
    attempts: int
    observed: bool
    critical: bool
    why: str
    diagnostic: Diagnostic | None
    beginnings: int = 1
    abandoned: bool = False
    passed_over: str = ""


@dataclass(frozen=True, slots=True)
class Recovered:
    """What became of a machine.

    ``seconds``: from the beginning of the run until its last gate was passed; ``since_fenced``:
    from the proof that the old site is off, of several the last before it was started. ``point`` is
    what it started from, ``taken`` at that moment. ``loss``: seconds of writes that are not in it:
    before the fencing; in a drill, before the run began; in a migration 0, for the machine was off
    when it was taken. None: not known, or nothing to lose. ``in_step``: every write reached the
    other site (continuous replication) when it was last seen before the fencing, or by a drill, so
    that no age of a point says what is lost. ``ahead``: by
    how many seconds the point is dated behind the fencing, or behind the moment at which a drill
    took it, so that the loss is not known; None where it is not.
    """

    address: str
    stage: str
    ended: Ended
    why: str
    seconds: float | None
    since_fenced: float | None
    point: str | None
    taken: datetime | None
    loss: float | None
    in_step: bool
    objective: float | None
    moved: int | None
    gates: int
    gates_passed: int
    ahead: float | None = None

    @property
    def is_within(self) -> bool | None:
        """Whether no more is lost than the recovery point objective allows; None: not known."""
        if self.loss is None or self.objective is None:
            return None
        return self.loss <= self.objective


@dataclass(frozen=True, slots=True)
class Left:
    """What was found of a drill after it was cleared away by ``run``; None things were counted
    where the counting failed.
    """

    run: str
    at: datetime | None
    things: tuple[str, ...] | None
    looked: int | None


@dataclass(frozen=True, slots=True)
class Said:
    """An answer to a question, or a request to end the run."""

    task: str
    title: str
    text: str
    actor: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Report:
    """All that is told of a run.

    ``plan_digest`` is the fingerprint of the plan, the same for a stored file and its stack; None
    for runs that began without one. ``here``, ``there``: the sites as the run began. ``seconds``
    until the run ended; ``achieved`` until the last machine was recovered, None while one is not.
    ``fenced``: when the old site was first proven off. ``critical_path``: the steps that the end of
    the run waited for, in order, each as it was when it was waited for, though it was done again.
    ``left``: of drills, what their clean-up counted; None if nothing was cleared away yet.
    ``suspended``: machines of others that were to make room, and still do. ``unheard``: hosts of
    the old site that gave no answer, for which only the fencing speaks, with how many machines of
    the plan they had. ``left_out``: machines of the plan that were knowingly not recovered.
    ``given_up``: machines that a reprotection has stopped at the former site. ``called``: the run,
    in sentences.
    """

    record: RunRecord
    plan_digest: str | None
    here: str
    there: str
    seconds: float | None
    objective: float | None
    achieved: float | None
    fenced: datetime | None
    machines: tuple[Recovered, ...]
    steps: tuple[Step, ...]
    critical_path: tuple[Step, ...]
    carriers: tuple[Carrier, ...]
    answers: tuple[Said, ...]
    cancellations: tuple[Said, ...]
    left: Left | None
    suspended: tuple[str, ...]
    unheard: Mapping[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    given_up: tuple[GivenUp, ...] = ()
    called: str = ""

    @property
    def is_within(self) -> bool | None:
        """Whether all machines were recovered within the recovery time objective; None where there
        is no objective or nothing to recover.
        """
        if self.objective is None or not self.recovers:
            return None
        return self.achieved is not None and self.achieved <= self.objective

    @property
    def recovers(self) -> bool:
        """Whether machines come up by this run."""
        return any(step.task.action in STARTS for step in self.steps)

    @property
    def has_points(self) -> bool:
        """Whether machines come up from recovery points by this run."""
        return any(step.task.action in _POINTS for step in self.steps)

    def that(self, ended: Ended) -> tuple[Step, ...]:
        """The steps that ended so."""
        return tuple(step for step in self.steps if step.ended is ended)

    @property
    def abandoned(self) -> tuple[Step, ...]:
        """The steps that nobody saw end: given up at their deadline, or cut short."""
        return tuple(step for step in self.steps if step.abandoned)

    @property
    def repeated(self) -> tuple[Step, ...]:
        """The steps that were begun more than once, as the run was gone on with."""
        return tuple(step for step in self.steps if step.beginnings > 1)

    def named(self, prefix: str) -> tuple[Step, ...]:
        """The steps whose ids begin so: gates, fences."""
        return tuple(step for step in self.steps if step.task.id.startswith(prefix))


def report(run: Run, cleared: Run | None = None) -> Report:
    """The report of a run. ``cleared``: the run that cleared a drill away."""
    begin = run.runbook.by_id[BEGIN].arguments if BEGIN in run.runbook.by_id else {}
    fences = [
        moment
        for state in _state(run, FENCED).times_done
        if (moment := _moment(state.result.get("at"))) is not None
    ]
    machines = tuple(_machines(run, fences))
    path = _critical(run)
    recovered = [machine.seconds for machine in machines if machine.seconds is not None]
    objective = begin.get("timeObjective")
    counted = cleared if cleared is not None else run
    return Report(
        record=run.record,
        plan_digest=_text(begin.get("plan")),
        here=str(begin.get("here", "")),
        there=str(begin.get("there", "")),
        seconds=run.seconds,
        objective=objective if isinstance(objective, int | float) else None,
        achieved=max(recovered) if recovered and len(recovered) == len(machines) else None,
        fenced=fences[0] if fences else None,
        machines=machines,
        steps=tuple(_steps(run, path)),
        critical_path=tuple(_step(run, state, critical=True) for state in path),
        carriers=run.carriers,
        answers=tuple(_said(run, entry) for entry in run.answers),
        cancellations=tuple(_said(run, entry) for entry in run.cancellations),
        left=_left(counted),
        suspended=tuple(_suspended(run)),
        unheard=unheard(run),
        left_out=left_out(run),
        given_up=given_up(run),
        called=noun_of(run),
    )


def _steps(run: Run, path: Sequence[TaskState]) -> Iterator[Step]:
    critical = {state.task: state for state in path}
    for task in run.runbook.tasks:
        state = run.tasks[task.id]
        yield _step(run, state, critical=critical.get(task.id) is state)


def _step(run: Run, state: TaskState, *, critical: bool) -> Step:
    began = run.record.started
    return Step(
        run.runbook.by_id[state.task],
        _ended(run, state),
        _since(began, state.begun),
        _since(began, state.ended),
        state.attempts,
        state.observed,
        critical,
        _why(run, state),
        state.diagnostic if state.what is What.FAILED else None,
        state.beginnings,
        state.abandoned or _ended(run, state) is Ended.GIVEN_UP,
        person(state.passed_over),
    )


def _critical(run: Run) -> list[TaskState]:
    """From the task that ended last, always the one that had ended last of those it waited for when
    it began; in the order of time.
    """
    found: list[TaskState] = []
    ended = [(state.ended, state.task) for state in run.tasks.values() if state.ended is not None]
    latest = run.tasks[max(ended)[1]] if ended else None
    while latest is not None:
        found.append(latest)
        latest = _waited_for(run, latest)
    return found[::-1]


def _waited_for(run: Run, latest: TaskState) -> TaskState | None:
    """Of what a task waited for the last that ended, as it was then: whoever goes on with a run
    waits for what is done anew, over all that was done before and needs it.
    """
    begun = latest.begun or latest.ended
    assert begun is not None, "it has ended"
    since = max((item.since for item in run.carriers if item.since <= begun), default=begun)
    candidates: list[tuple[datetime, str, TaskState]] = []
    frontier = list(run.runbook.by_id[latest.task].awaits)
    seen: set[str] = set()
    while frontier:
        task_id = frontier.pop()
        if task_id in seen:
            continue
        seen.add(task_id)
        state = run.tasks[task_id]
        times = [(time.ended, time) for time in (*state.former, state) if time.ended is not None]
        before = [(ended, task_id, time) for ended, time in times if ended <= begun]
        candidates += before[-1:]
        if before and before[-1][0] < since:
            frontier += run.runbook.by_id[task_id].needs
    return max(candidates, key=lambda item: item[:2])[2] if candidates else None


def _machines(run: Run, fences: Sequence[datetime]) -> Iterator[Recovered]:
    by_subject: dict[str, list[Task]] = {}
    for task in run.runbook.tasks:
        by_subject.setdefault(task.subject, []).append(task)
    for task in run.runbook.tasks:
        if task.action in STARTS or task.action == SEED:
            yield _machine(run, task, by_subject[task.subject], fences)


def _machine(run: Run, start: Task, tasks: list[Task], fences: Sequence[datetime]) -> Recovered:
    # What it has to prove to one other machine says nothing about itself.
    gates = [task for task in tasks if task.id.startswith(GATE) and FOR not in task.arguments]
    decisive = [run.tasks[task.id] for task in (start, *gates)]
    worst = min(decisive, key=lambda state: _WORST.index(_ended(run, state)))
    ended, why = _ended(run, worst), _why(run, worst)
    if ended is Ended.HELD and any(task.id == worst.held_by for task in tasks):
        ended = Ended.FAILED
    moments = [state.ended for state in decisive if state.ended is not None]
    up = max(moments) if ended is Ended.DONE and moments and start.action in STARTS else None
    source = _source(run, tasks)
    taken = _moment(source.get("taken"))
    objective, moved = source.get("objective"), source.get("moved")
    passed = sum(1 for task in gates if _ended(run, run.tasks[task.id]) is Ended.DONE)
    return Recovered(
        address=start.subject,
        stage=start.stage,
        ended=ended,
        why=why,
        seconds=_since(run.record.started, up),
        since_fenced=_since_fenced(fences, run.tasks[start.id].begun, up),
        point=_text(source.get("point")),
        taken=taken,
        loss=_loss(run, source, taken),
        ahead=_ahead(source, taken),
        in_step=bool(source.get("inStep")),
        objective=float(objective) if isinstance(objective, int | float) else None,
        moved=moved if isinstance(moved, int) else None,
        gates=len(gates),
        gates_passed=passed,
    )


def _source(run: Run, tasks: list[Task]) -> Mapping[str, object]:
    for action in (*_POINTS, SEED):
        for task in tasks:
            if task.action == action and run.tasks[task.id].is_done:
                state = run.tasks[task.id]
                return {**state.result, "by": action, "ended": state.ended}
    return {}


def _loss(run: Run, source: Mapping[str, object], taken: datetime | None) -> float | None:
    match source.get("by"):
        case "last-synchronise":
            return 0.0
        case _ if source.get("continuous") or source.get("inStep"):
            return None
        case "choose":
            loss, known = source.get("loss"), _ahead(source, taken) is None
            return float(loss) if known and isinstance(loss, int | float) else None
        case "stage" if taken is not None and _ahead(source, taken) is None:
            return max(0.0, (run.record.started - taken).total_seconds())
    return None


def _ahead(source: Mapping[str, object], taken: datetime | None) -> float | None:
    """A drill takes the newest point, which may be younger than its beginning."""
    found, ended = source.get("ahead"), source.get("ended")
    if isinstance(found, int | float):
        return float(found)
    if source.get("by") != "stage" or taken is None or not isinstance(ended, datetime):
        return None
    return ahead(taken, ended)


def _left(run: Run) -> Left | None:
    state = _state(run, LEFT)
    if state.is_done:
        looked = state.result.get("looked")
        at = _moment(state.result.get("at"))
        return Left(run.record.id, at, (), looked if isinstance(looked, int) else None)
    if state.what is What.FAILED and state.diagnostic is not None:
        found = state.diagnostic.detail.splitlines() if state.diagnostic.code == "PRV7083" else None
        return Left(run.record.id, state.ended, None if found is None else tuple(found), None)
    return None


def _suspended(run: Run) -> Iterator[str]:
    for task in run.runbook.tasks:
        result = run.tasks[task.id].result
        if task.id.startswith(MAKE_ROOM) and result.get("power") == "suspended":
            yield task.subject


def _why(run: Run, state: TaskState) -> str:
    if state.passed_over:
        why = f": {state.diagnostic.summary}" if state.diagnostic is not None else ""
        return f"passed over by {person(state.passed_over)}{why}"
    if state.what is What.FAILED and state.diagnostic is not None:
        return state.diagnostic.summary
    if state.what is What.HELD and state.held_by is not None:
        cause = run.runbook.by_id[state.held_by]
        found = run.tasks[cause.id].diagnostic
        if found is not None and found.summary.startswith(cause.title):
            return found.summary
        return f"{cause.title} failed" + (f": {found.summary}" if found is not None else "")
    if state.what is What.INTERRUPTED:
        return "the run was ended while it waited; what it had begun stays"
    if state.is_under_way and not run.record.is_open:
        return "its process was killed while it was under way, and the run was ended afterwards"
    return ""


def _ended(run: Run, state: TaskState) -> Ended:
    if state.passed_over:
        return Ended.PASSED_OVER
    # Whoever ends a run whose process was killed knows no more of what that was doing.
    otherwise = Ended.UNDER_WAY if run.record.is_open else Ended.GIVEN_UP
    return _ENDED.get(state.what, otherwise)


def _state(run: Run, task_id: str) -> TaskState:
    return run.tasks.get(task_id, TaskState(task_id))


def _said(run: Run, entry: Entry) -> Said:
    task = run.runbook.by_id.get(entry.task)
    title = task.title if task is not None else ""
    return Said(entry.task, title, str(entry.detail.get("text", "")), entry.actor, entry.at)


def _since(began: datetime, moment: datetime | None) -> float | None:
    return None if moment is None else max(0.0, (moment - began).total_seconds())


def _since_fenced(
    fences: Iterable[datetime], begun: datetime | None, up: datetime | None
) -> float | None:
    """Seconds from the last proof before a machine was begun to be started until it was up."""
    before = [moment for moment in fences if begun is not None and moment <= begun]
    return _since(max(before), up) if before else None


def _moment(value: object) -> datetime | None:
    return datetime.fromisoformat(value) if isinstance(value, str) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None
