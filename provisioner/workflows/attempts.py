"""One task of a run on its own thread: looks, acts, tries again, and tells how it went.

Called by :mod:`provisioner.workflows.runner`, which alone writes the journal: what is told here
goes into its queue.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple, TypeAlias

from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, error
from provisioner.core.values import Json, canonical_json
from provisioner.engine.cleaning import trace_of, words_of
from provisioner.providers.api import Retryable, Terminal
from provisioner.workflows.actions import Action, Done, Work
from provisioner.workflows.runbook import Runbook, Task

LONGEST_WAIT = 30.0
"""Seconds between two attempts at most."""
LAST_ATTEMPT = 5.0
"""Seconds before the deadline at which a task is tried for the last time; less for one that has
little time."""


class Succeeded(NamedTuple):
    """The work is done; ``observed``: before anything was done now."""

    result: Mapping[str, Json]
    observed: bool


class Failed(NamedTuple):
    """It is not, and trying again does not help or there is no time left for it."""

    diagnostic: Diagnostic


class Interrupted(NamedTuple):
    """The run is to end, and the task only waited."""


class Retried(NamedTuple):
    """It is tried again, for the ``attempt``-th time, after so many seconds."""

    attempt: int
    after: float
    diagnostic: Diagnostic


class Asked(NamedTuple):
    """It wants an answer, and there is none."""

    question: str


class Progressed(NamedTuple):
    """Something slow goes on."""

    text: str
    done: int
    total: int


Told: TypeAlias = Succeeded | Failed | Interrupted | Retried | Asked | Progressed
Verdict: TypeAlias = Succeeded | Failed | Interrupted


class Before(Mapping[str, Mapping[str, Json]]):
    """The results of all that comes before a task and is done. What a task awaits itself is found
    at once; the rest of what it needs is only looked for when somebody asks.
    """

    def __init__(
        self, runbook: Runbook, task: Task, results: Mapping[str, Mapping[str, Json]]
    ) -> None:
        self._runbook = runbook
        self._task = task
        self._results = results

    def __getitem__(self, task_id: str) -> Mapping[str, Json]:
        direct = task_id in self._task.needs or task_id in self._task.after
        if direct or task_id in self._ids:
            return self._results[task_id]
        raise KeyError(task_id)

    def __iter__(self) -> Iterator[str]:
        return (task_id for task_id in self._ids if task_id in self._results)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _ids(self) -> Mapping[str, None]:
        found: dict[str, None] = {}
        frontier = list(self._task.needs)
        while frontier:
            task_id = frontier.pop()
            if task_id not in found:
                found[task_id] = None
                frontier += self._runbook.by_id[task_id].needs
        return found


@dataclass(eq=False)
class Attempt:
    """A task that was begun; also what it hears from elsewhere
    (:class:`~provisioner.workflows.actions.Signals`).
    """

    task: Task
    action: Action
    results: Mapping[str, Mapping[str, Json]]
    clock: Clock
    send: Callable[[Attempt, Told], None]
    answered: str | None = None
    again: bool = False
    """Whether it had been begun before."""
    attempts: int = 1
    over: threading.Event = field(default_factory=threading.Event)
    """Set when the run is to end, or the task was given up."""
    _asked: bool = False

    def __post_init__(self) -> None:
        self.began = self.clock.monotonic()
        self.deadline = Deadline.after(self.task.seconds, self.clock)

    def start(self) -> None:
        """Carry it out on a thread of its own; it fails where there can be no more threads."""
        try:
            threading.Thread(target=self._run, name=f"task {self.task.id}", daemon=True).start()
        except RuntimeError as problem:
            self.send(self, Failed(self._no_thread(problem)))

    def answer(self, question: str = "") -> str | None:
        """What was answered; the first time that there is nothing, somebody is told."""
        if self.answered is None and not self._asked:
            self._asked = True
            self.send(self, Asked(question))
        return self.answered

    @property
    def asks(self) -> bool:
        """Whether it waits for an answer."""
        return self._asked and self.answered is None

    @property
    def cancelled(self) -> bool:
        """Whether it is to give up waiting."""
        return self.over.is_set()

    def _run(self) -> None:
        try:
            verdict = self._verdict()
        except BaseException as problem:  # noqa: BLE001 - the run must not wait for it forever
            verdict = Failed(self._defect(problem))
        self.send(self, verdict)

    def _verdict(self) -> Verdict:
        work = Work(self.task, self.results, self.deadline, self.clock, self._progress, self)
        performed = False
        while True:
            try:
                found = self.action.observe(work)
                if not isinstance(found, Done):
                    performed = True
                    found = self.action.perform(work)
                canonical_json(dict(found.result))  # what cannot be kept shows here
                return Succeeded(found.result, observed=not performed)
            except Retryable as problem:
                if self.over.is_set():
                    return Interrupted()
                pause = self._pause(problem.after)
                if pause is None:
                    return Failed(self._out_of_time(problem.diagnostic))
                self.attempts += 1
                self.send(self, Retried(self.attempts, pause, problem.diagnostic))
                if self.over.wait(pause):
                    return Interrupted()
            except Terminal as problem:
                return Failed(problem.diagnostic)
            except ProvisionerError as problem:
                errors = [d for d in problem.diagnostics if d.severity is Severity.ERROR]
                return Failed((errors or list(problem.diagnostics))[0])

    def _pause(self, after: float) -> float | None:
        """How long to wait before the next attempt; None if there is no time for another. The last
        one is made shortly before the deadline, however long it should have been waited for.
        """
        wanted = min(after * 2 ** min(self.attempts - 1, 16), LONGEST_WAIT)
        left = self.deadline.remaining() - min(LAST_ATTEMPT, self.task.seconds / 10)
        return None if left <= 0 else min(wanted, left)

    def _progress(self, text: str, done: int, total: int) -> None:
        self.send(self, Progressed(text, done, total))

    def _out_of_time(self, last: Diagnostic) -> Diagnostic:
        tried = "once" if self.attempts == 1 else f"{self.attempts} times"
        return error(
            "PRV7011",
            f"{self.task.title}: not done within {self.task.seconds:g} s",
            detail=f"Tried {tried}; the last time: {last.summary}."
            + (f"\n{last.detail}" if last.detail else ""),
            hint=last.hint,
            address=last.address or self.task.subject or None,
        )

    def _no_thread(self, problem: RuntimeError) -> Diagnostic:
        return error(
            "PRV7013",
            f"{self.task.title}: the system gives this process no more threads",
            detail=f"{problem}. Nothing was done.",
            hint="Raise the limit of processes (ulimit -u, or TasksMax of the service), or end"
            " other programs; then resume the run.",
            address=self.task.subject or None,
        )

    def _defect(self, problem: BaseException) -> Diagnostic:
        cause = problem if isinstance(problem, Exception) else RuntimeError(repr(problem))
        return error(
            "PRV7012",
            f"{self.task.title}: the action {self.task.action} failed in an unforeseen way",
            detail=words_of(cause),
            hint="This is a defect of the program; please report it. What was done until then is"
            " found out when the run is resumed.",
            address=self.task.subject or None,
            trace=trace_of(cause),
        )


def gave_up(attempt: Attempt, seconds: float) -> Diagnostic:
    """PRV7011: the deadline has passed, and the task has not come back."""
    return error(
        "PRV7011",
        f"{attempt.task.title}: no end after {seconds:.0f} s, {attempt.task.seconds:g} s were"
        " allowed",
        detail="It is not waited for any longer. It may still be under way, and may still have its"
        " effect.",
        hint="Look at what it is about, then resume the run: the task looks before it acts. If it"
        " only takes longer, allow it more time.",
        address=attempt.task.subject or None,
    )
