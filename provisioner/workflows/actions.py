"""What the tasks of a runbook do: the protocol of actions, and the table that finds them by name.

An action is written once and is safe to repeat: it can tell by looking whether its work is done,
so that a run that was killed at any point goes on where the world is, not where it was when
somebody last wrote it down.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from provisioner.core.clock import Clock, Deadline
from provisioner.core.values import Json
from provisioner.workflows.runbook import Task


@dataclass(frozen=True, slots=True)
class Done:
    """The work of a task is done. ``result`` is kept in the journal and handed to the tasks that
    need it.
    """

    result: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotDone:
    """It is not done, or only in part; :meth:`Action.perform` does what is missing."""


Progress: TypeAlias = Callable[[str, int, int], None]
"""Tells that something slow goes on: what, how much is done, of how much (0: not known)."""


class Signals(Protocol):
    """What people say to a running task from elsewhere."""

    def answer(self, question: str = "") -> str | None:
        """What was answered to this task's question; None until somebody does. ``question``: the
        whole of it, which is told once.
        """
        ...

    @property
    def cancelled(self) -> bool:
        """Whether the run is to end: a task that only waits gives up at once, by raising
        :class:`~provisioner.providers.api.Retryable`; it is then noted as interrupted.
        """
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What an action gets: its task, the results of the tasks before it by their ids, and what it
    may use.

    ``results`` has whatever comes before the task, however far, and is done; a task that failed and
    let the rest go on has none.
    """

    task: Task
    results: Mapping[str, Mapping[str, Json]]
    deadline: Deadline
    clock: Clock
    progress: Progress
    signals: Signals


class Action(Protocol):
    """One kind of work. Both methods raise
    :class:`~provisioner.providers.api.Retryable` where the same call may succeed later (it is
    repeated until the task's deadline), :class:`~provisioner.providers.api.Terminal` or
    ProvisionerError where it will not. They are called from several threads at once.
    """

    def observe(self, work: Work) -> Done | NotDone:
        """Whether the work is done, by looking at the world, never at the journal. Asked before
        :meth:`perform` each time a task is begun again. What cannot be seen afterwards (a mail that
        was sent) is always NotDone; its :meth:`perform` has to bear repetition.
        """
        ...

    def perform(self, work: Work) -> Done:
        """Do what is missing, and return when it is done."""
        ...


Actions: TypeAlias = Mapping[str, Action]
"""By the names that runbooks use."""
