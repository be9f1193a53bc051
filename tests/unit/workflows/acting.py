"""Small actions, and runs of them, for tests of the runner and the journal."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path

from provisioner.core.clock import Clock, SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.stop import StopSignal
from provisioner.providers.api import Retryable, Terminal
from provisioner.state.process import ProcessIdentity
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.events import RunEvent
from provisioner.workflows.journal import Journal
from provisioner.workflows.limits import Limits
from provisioner.workflows.runbook import OnFailure, Runbook, Task
from provisioner.workflows.runner import Runner
from provisioner.workflows.runs import Run, What

QUICK = Limits(poll_seconds=0.05, grace_seconds=0.2)
TROUBLE = error("PRV5001", "the machine is on fire", hint="Put it out.")
SECONDS = 20.0
"""How long a test waits for what has to come."""


class SteppedClock(SystemClock):
    """A clock whose seconds pass when a test says so."""

    def __init__(self) -> None:
        self._seconds = 0.0

    def monotonic(self) -> float:
        return self._seconds

    def step(self, seconds: float) -> None:
        """So many seconds pass."""
        self._seconds += seconds


class Act:
    """An action made of two functions; without the first, nothing can be seen of its work."""

    def __init__(
        self,
        perform: Callable[[Work], Done | None] = lambda _work: None,
        observe: Callable[[Work], Done | NotDone] = lambda _work: NotDone(),
    ) -> None:
        self._perform = perform
        self._observe = observe

    def observe(self, work: Work) -> Done | NotDone:
        return self._observe(work)

    def perform(self, work: Work) -> Done:
        return self._perform(work) or Done()


def fail(_work: Work) -> Done:
    raise Terminal(TROUBLE)


def busy(_work: Work) -> Done:
    raise Retryable(TROUBLE, after=0.01)


def ask(work: Work) -> Done:
    """Wait for an answer; `yes` is the right one."""
    while (text := work.signals.answer()) is None:
        if work.signals.cancelled or work.deadline.passed:
            raise Retryable(TROUBLE)
        threading.Event().wait(0.01)
    if text != "yes":
        raise Terminal(TROUBLE)
    return Done({"answer": text})


def task(
    name: str,
    *needs: str,
    action: str = "act",
    lane: str = "",
    seconds: float = 60.0,
    on_failure: OnFailure = OnFailure.STOP,
) -> Task:
    return Task(name, name, action, needs=needs, lane=lane, seconds=seconds, on_failure=on_failure)


def runbook(*tasks: Task, mode: str = "test", lanes: Mapping[str, int] | None = None) -> Runbook:
    return Runbook("plan", mode, tasks, lanes or {})


class Stage:
    """A journal, actions and what happened."""

    def __init__(self, folder: Path, **actions: Action) -> None:
        self.path = folder / "runs.db"
        self.journal = Journal(self.path)
        self.actions: dict[str, Action] = {"act": Act(), "fail": Act(fail), "ask": Act(ask)}
        self.actions |= actions
        self.stop = StopSignal()
        self.events: list[RunEvent] = []
        self.limits = QUICK
        self.clock: Clock = SystemClock()
        self.expected: Mapping[str, float] = {}
        self.listener: Callable[[RunEvent], None] = lambda _event: None
        self.put_out: Callable[[], ProvisionerError | None] = lambda: None

    def runner(self) -> Runner:
        return Runner(
            self.journal,
            self.actions,
            sink=self._sink,
            stop=self.stop,
            clock=self.clock,
            expected=self.expected,
            limits=self.limits,
            put_out=self.put_out,
        )

    def start(self, *tasks: Task, lanes: Mapping[str, int] | None = None) -> Run:
        return self.runner().start(runbook(*tasks, lanes=lanes), "ann")

    def _sink(self, event: RunEvent) -> None:
        self.events.append(event)
        self.listener(event)

    def told(self, kind: type[RunEvent]) -> list[RunEvent]:
        return [event for event in self.events if isinstance(event, kind)]


def whats(run: Run) -> dict[str, What | None]:
    """What is known of each task."""
    return {name: state.what for name, state in run.tasks.items()}


def codes(run: Run) -> Sequence[str]:
    """Of what failed."""
    return [state.diagnostic.code for state in run.failed if state.diagnostic is not None]


def far_away(path: Path) -> None:
    """Whoever carries the runs of a journal out is a process of another machine from now on."""
    far = ProcessIdentity.current()._replace(host="far", machine="m", boot="b")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE runs SET process = ?", (json.dumps(far),))
