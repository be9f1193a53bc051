"""One run on its way: what begins next, what was said, what becomes of each task.

Called by :class:`~provisioner.workflows.runner.Runner`. The thread that calls :meth:`Course.run`
alone decides, writes the journal and tells the events; each task that is under way has a thread of
its own. Before a task's thread begins, the journal says durably that it was begun; what was done is
written with what begins next in one transaction, so that thousands of tasks cost no more writes
than moments at which something ends.
"""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from provisioner.core.clock import Clock
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.core.values import Json
from provisioner.engine.stop import StopSignal
from provisioner.workflows import events
from provisioner.workflows.actions import Actions
from provisioner.workflows.attempts import (
    Asked,
    Attempt,
    Before,
    Failed,
    Interrupted,
    Progressed,
    Retried,
    Succeeded,
    Told,
    gave_up,
)
from provisioner.workflows.events import RunEvent, RunSink
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.limits import Limits
from provisioner.workflows.resuming import Remaining
from provisioner.workflows.runbook import OnFailure, Task
from provisioner.workflows.runs import Entry, Outcome, Run, What
from provisioner.workflows.schedule import Ready, remaining_path
from provisioner.workflows.vain import Hopeless


class Means(NamedTuple):
    """What runs are carried out with."""

    actions: Actions
    sink: RunSink
    stop: StopSignal
    clock: Clock
    expected: Mapping[str, float]
    limits: Limits
    put_out: Callable[[], ProvisionerError | None]


class Course:
    """One run under way."""

    def __init__(self, journal: Journal, run: Run, means: Means) -> None:
        self._journal = journal
        self._run = run
        self._runbook = run.runbook
        self._actions, self._sink, self._stop, self._clock = means[:4]
        expected, self._limits, self._ask_put_out = means[4:]
        seconds = {task.id: expected.get(task.id, 1.0) for task in run.runbook.tasks}
        remaining = remaining_path(run.runbook, seconds)
        self._ready = Ready(run.runbook, remaining, self._limits.parallel)
        self._results: dict[str, Mapping[str, Json]] = {}
        self._missing: dict[str, set[str]] = {}
        self._passed: frozenset[str] = frozenset()
        self._again: frozenset[str] = frozenset()
        self._settled: set[str] = set()
        self._hopeless = Hopeless()
        self._running: dict[str, Attempt] = {}
        self._queue: queue.SimpleQueue[tuple[Attempt, Told] | None] = queue.SimpleQueue()
        self._notes: list[Note] = []
        self._told: list[RunEvent] = []
        self._answers = dict(run.in_force)
        self._heard = run.record.carrier.sequence
        self._next_poll = self._clock.monotonic()
        self._failures = 0
        self._left_behind = False
        self._interrupted = False
        self._stopped_by: str | None = None
        self._cancelled = False
        self._broken: ProvisionerError | None = None
        self._put_out: ProvisionerError | None = None

    @property
    def is_at_work(self) -> bool:
        """Whether a task is under way that has not come back."""
        return bool(self._running) or self._left_behind

    def run(self) -> None:
        """Carry it out. Raises ProvisionerError if the journal could not be written."""
        self._stop.on_request(lambda: self._queue.put(None))
        self._open()
        try:
            while True:
                self._hear()
                begun = self._take()
                if self._flush():
                    for attempt in begun:
                        self._running[attempt.task.id] = attempt
                        attempt.start()
                self._tell()
                if not self._running or self._stop.abandoning:
                    break
                self._collect()
            self._close()
        finally:
            for attempt in self._running.values():
                attempt.over.set()

    # Beginning and end

    def _open(self) -> None:
        remaining = Remaining.of(self._run)
        self._told.append(
            events.RunStarted(
                self._run.record.id,
                self._runbook.name,
                self._runbook.mode,
                len(self._runbook.tasks),
                len(remaining.kept),
            )
        )
        self._results.update(remaining.kept)
        self._passed, self._again = remaining.passed, remaining.again
        self._settled.update(remaining.kept.keys() - remaining.passed)
        for task in self._runbook.tasks:
            if task.id in self._settled:
                continue
            # What is passed has had its place in the order; it only waits for what it relies on.
            awaited = task.needs if task.id in self._passed else task.awaits
            self._missing[task.id] = set(awaited) - self._settled
            if not self._missing[task.id]:
                self._ready.add(task)

    def _close(self) -> None:
        self._heed_stop()
        if self._broken is None:
            outcome = self._outcome()
            had_their_turn = self._settled | self._passed | self._again | self._running.keys()
            skipped = [
                Note(What.SKIPPED, task.id, task.action)
                for task in self._runbook.tasks
                if task.id not in had_their_turn
            ]
            try:
                self._journal.end(self._run.record.id, outcome, [*self._notes, *skipped])
            except ProvisionerError as problem:
                self._broken = problem
            else:
                self._told.append(events.RunEnded(self._run.record.id, outcome))
        self._tell()
        if why := self._broken or self._put_out:
            raise why

    def _outcome(self) -> Outcome:
        whole = len(self._settled | self._passed) == len(self._runbook.tasks)
        if self._cancelled and (self._interrupted or not whole):
            return Outcome.CANCELLED
        if self._stopped_by is not None:
            return Outcome.STOPPED
        return Outcome.IN_PART if self._failures else Outcome.SUCCEEDED

    # What is decided at each turn

    def _hear(self) -> None:
        """What was said by signal, and by others in the journal."""
        self._heed_stop()
        now = self._clock.monotonic()
        if now < self._next_poll or self._broken is not None:
            return
        self._next_poll = now + self._limits.poll_seconds
        if self._put_out is None and (why := self._ask_put_out()) is not None:
            self._put_out, self._stopped_by = why, self._stopped_by or "put out"
            self._end_waiting(why.diagnostics[0].summary)
        try:
            for entry in self._journal.said(self._run.record.id, self._heard):
                self._heard = entry.sequence
                self._heed(entry)
        except ProvisionerError as problem:
            self._break(problem)

    def _heed_stop(self) -> None:
        if self._stop.stopping and not self._cancelled:
            actor = self._run.record.carrier.actor
            self._notes.append(Note(What.CANCEL, actor=actor))
            self._cancel(actor)

    def _heed(self, entry: Entry) -> None:
        match entry.what:
            case What.CANCEL:
                if not self._cancelled:
                    self._cancel(entry.actor)
            case What.ANSWERED:
                text = str(entry.detail["text"])
                self._answers[entry.task] = text
                self._told.append(events.TaskAnswered(entry.task, text, entry.actor))
                if entry.task in self._running:
                    self._running[entry.task].answered = text
            case _:
                # Somebody took the run over, or ended it: this says so.
                self._journal.write(self._run.record.id, [])

    def _take(self) -> list[Attempt]:
        """What begins now, as the notes that have to be durable first say."""
        begun: list[Attempt] = []
        if self._cancelled or self._stopped_by is not None or self._broken is not None:
            return begun
        while (task := self._ready.take()) is not None:
            if cause := self._hopeless.cause_for(task):
                self._ready.free(task)
                self._hold_vain(task, cause)
                continue
            attempt = Attempt(
                task,
                self._actions[task.action],
                Before(self._runbook, task, self._results),
                self._clock,
                lambda attempt, told: self._queue.put((attempt, told)),
                answered=self._answers.get(task.id),
                again=self._run.tasks[task.id].begun is not None,
            )
            begun.append(attempt)
            self._notes.append(Note(What.BEGUN, task.id, task.action))
            self._told.append(events.TaskStarted(task.id, task.title, task.stage, task.subject))
        return begun

    def _flush(self) -> bool:
        """Make all notes durable; whether they are."""
        if self._broken is not None:
            return False
        if self._notes:
            try:
                self._journal.write(self._run.record.id, self._notes)
            except ProvisionerError as problem:
                self._break(problem)
                return False
            self._notes = []
        return True

    def _tell(self) -> None:
        told, self._told = self._told, []
        for event in told:
            self._sink(event)

    def _break(self, problem: ProvisionerError) -> None:
        """The journal fails: what has begun is awaited, and nothing more is noted."""
        self._broken = problem
        self._told = [event for event in self._told if not isinstance(event, events.TaskStarted)]
        self._end_waiting("the journal cannot be written")

    def _cancel(self, actor: str) -> None:
        self._cancelled = True
        self._end_waiting(f"cancelled by {actor}")

    def _end_waiting(self, reason: str) -> None:
        self._told.append(events.RunStopping(reason, len(self._running)))
        for attempt in self._running.values():
            attempt.over.set()

    # What comes back

    def _collect(self) -> None:
        """Wait until something is told, a task has to be given up, or the journal is to be
        asked; then take all that was told.
        """
        now = self._clock.monotonic()
        first = min(self._patience(attempt) for attempt in self._running.values())
        try:
            told = self._queue.get(timeout=min(max(0.0, first - now), self._limits.poll_seconds))
            while True:
                if told is not None:
                    self._take_in(*told)
                told = self._queue.get_nowait()
        except queue.Empty:
            pass
        now = self._clock.monotonic()
        for attempt in list(self._running.values()):
            if now >= self._patience(attempt):
                attempt.over.set()
                self._left_behind = True
                self._fail(attempt, gave_up(attempt, now - attempt.began), abandoned=True)

    def _patience(self, attempt: Attempt) -> float:
        return attempt.deadline.at + self._limits.grace_seconds

    def _take_in(self, attempt: Attempt, told: Told) -> None:
        task = attempt.task
        if self._running.get(task.id) is not attempt:
            return  # it was given up
        match told:
            case Progressed(text, done, total):
                self._told.append(events.TaskProgress(task.id, text, done, total))
            case Asked(question):
                self._notes.append(Note(What.WAITING, task.id, task.action))
                self._told.append(events.TaskWaiting(task.id, task.title, question))
                if self._stopped_by is not None:
                    attempt.over.set()
            case Retried(number, after, diagnostic):
                detail = {
                    "attempt": number,
                    "after": after,
                    "diagnostic": diagnostic.as_json(),
                }
                self._notes.append(Note(What.RETRYING, task.id, task.action, detail=detail))
                self._told.append(events.TaskRetrying(task.id, number, after, diagnostic))
            case Interrupted():
                seconds = self._free(attempt)
                if (cause := self._hopeless.cause_for(task)) and not self._cancelled:
                    self._hold_vain(task, cause)
                    return
                self._interrupted = True
                self._settled.add(task.id)
                self._notes.append(Note(What.INTERRUPTED, task.id, task.action, seconds))
                self._told.append(events.TaskInterrupted(task.id, seconds))
            case Failed(diagnostic):
                self._fail(attempt, diagnostic)
            case Succeeded(result, observed):
                seconds = self._free(attempt)
                self._results[task.id] = result
                detail = {
                    "result": dict(result),
                    "observed": observed,
                    "again": attempt.again,
                    "attempt": attempt.attempts,
                }
                self._notes.append(Note(What.DONE, task.id, task.action, seconds, detail))
                self._told.append(events.TaskDone(task.id, seconds, observed))
                self._settle(task.id)

    def _free(self, attempt: Attempt) -> float:
        """Give its place back; returns how long it took."""
        del self._running[attempt.task.id]
        self._ready.free(attempt.task)
        return self._clock.monotonic() - attempt.began

    def _settle(self, task_id: str) -> None:
        """What needs the task may go on."""
        self._settled.add(task_id)
        self._go_on(task_id, self._runbook.followers[task_id])

    def _hold_back(self, task_id: str) -> None:
        """What needs the task may not go on; what only comes after it may."""
        self._settled.add(task_id)
        trailing = [
            follower
            for follower in self._runbook.followers[task_id]
            if task_id not in self._runbook.by_id[follower].needs
        ]
        self._go_on(task_id, trailing)

    def _go_on(self, task_id: str, followers: Iterable[str]) -> None:
        ended = [(task_id, followers)]
        while ended:
            before, waiting = ended.pop()
            for follower in waiting:
                missing = self._missing.get(follower)
                if not missing or before not in missing:
                    continue
                missing.discard(before)
                if missing or follower in self._settled:
                    continue
                if follower in self._passed:
                    self._settled.add(follower)
                    ended.append((follower, self._runbook.followers[follower]))
                else:
                    self._ready.add(self._runbook.by_id[follower])

    def _fail(self, attempt: Attempt, diagnostic: Diagnostic, *, abandoned: bool = False) -> None:
        task, seconds = attempt.task, self._free(attempt)
        self._failures += 1
        detail = {"diagnostic": diagnostic.as_json(), "attempt": attempt.attempts}
        if abandoned:
            detail["abandoned"] = True
        self._notes.append(Note(What.FAILED, task.id, task.action, seconds, detail))
        self._told.append(events.TaskFailed(task.id, seconds, task.on_failure, diagnostic))
        match task.on_failure:
            case OnFailure.GO_ON:
                self._settle(task.id)
            case OnFailure.HOLD:
                self._hopeless.note(task.id, task.id)
                self._hold_back(task.id)
                self._hold(self._runbook.dependents[task.id], task.id)
            case OnFailure.STOP:
                self._settled.add(task.id)
                if self._stopped_by is None:
                    self._stopped_by = task.id
                    self._told.append(
                        events.RunStopping(f"{task.title} failed", len(self._running))
                    )
                    for other in self._running.values():
                        if other.asks:  # its answer would lead to nothing any more
                            other.over.set()

    def _hold_vain(self, task: Task, cause: str) -> None:
        """Nothing of what it is for can succeed any more: what follows is as if it had failed."""
        self._notes.append(Note(What.HELD, task.id, task.action, detail={"cause": cause}))
        self._told.append(events.TaskHeld(task.id, cause))
        if task.on_failure is OnFailure.GO_ON:
            self._settle(task.id)
        else:
            self._hold_back(task.id)
            self._hold(self._runbook.dependents[task.id], cause)

    def _hold(self, dependents: Iterable[str], cause: str) -> None:
        frontier = list(reversed(list(dependents)))
        while frontier:
            task = self._runbook.by_id[frontier.pop()]
            if task.id in self._settled:
                continue
            self._hold_back(task.id)
            if task.id not in self._passed:  # those are done, whatever follows from them
                self._hopeless.note(task.id, cause)
                self._notes.append(Note(What.HELD, task.id, task.action, detail={"cause": cause}))
                self._told.append(events.TaskHeld(task.id, cause))
            frontier += reversed(self._runbook.dependents[task.id])
        for attempt in self._running.values():
            if self._hopeless.cause_for(attempt.task):
                attempt.over.set()
