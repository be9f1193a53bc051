"""What happens during the run of a runbook, as values; whoever shows or prints a run gets them.

What an event tells is in the journal already when it is told, but for progress.
:func:`provisioner.engine.events.event_json` makes plain data of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from provisioner.core.diagnostics import Diagnostic


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run began, or somebody goes on with it: ``done`` of its tasks were done before. ``called``:
    what people call it, if not as any run of its mode.
    """

    run: str
    name: str
    mode: str
    total: int
    done: int
    called: str = ""


@dataclass(frozen=True, slots=True)
class TaskStarted:
    """A task was begun."""

    task: str
    title: str
    stage: str
    subject: str


@dataclass(frozen=True, slots=True)
class TaskProgress:
    """Something slow in a task goes on; ``total`` is 0 where the end is not known."""

    task: str
    text: str
    done: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class TaskRetrying:
    """A task is tried again after ``after`` seconds."""

    task: str
    attempt: int
    after: float
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class TaskWaiting:
    """A task waits for somebody's answer to ``question``; empty where its title says it all."""

    task: str
    title: str
    question: str = ""


@dataclass(frozen=True, slots=True)
class TaskAnswered:
    """Somebody answered it."""

    task: str
    text: str
    actor: str


@dataclass(frozen=True, slots=True)
class TaskDone:
    """A task is done; ``observed``: it was done already."""

    task: str
    seconds: float
    observed: bool


@dataclass(frozen=True, slots=True)
class TaskFailed:
    """A task failed; ``on_failure`` says what follows (:class:`OnFailure`)."""

    task: str
    seconds: float
    on_failure: str
    diagnostic: Diagnostic


@dataclass(frozen=True, slots=True)
class TaskInterrupted:
    """A task that only waited was given up, since the run is to end."""

    task: str
    seconds: float


@dataclass(frozen=True, slots=True)
class TaskHeld:
    """A task is held back, because ``cause`` failed."""

    task: str
    cause: str


@dataclass(frozen=True, slots=True)
class RunStopping:
    """Nothing more is begun; ``under_way`` tasks are awaited. ``reason`` says why."""

    reason: str
    under_way: int


@dataclass(frozen=True, slots=True)
class RunEnded:
    """A run ended; ``outcome`` is an :class:`~provisioner.workflows.runs.Outcome`."""

    run: str
    outcome: str


RunEvent: TypeAlias = (
    RunStarted
    | TaskStarted
    | TaskProgress
    | TaskRetrying
    | TaskWaiting
    | TaskAnswered
    | TaskDone
    | TaskFailed
    | TaskInterrupted
    | TaskHeld
    | RunStopping
    | RunEnded
)
RunSink: TypeAlias = Callable[[RunEvent], None]
