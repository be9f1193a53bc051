"""A runbook: a graph of tasks as plain data, that can be stored, shown, predicted and carried out.

Made by builders (:mod:`provisioner.workflows.recovery` has those of recovery plans), scheduled by
:mod:`provisioner.workflows.schedule`, carried out by :mod:`provisioner.workflows.runner`. What the
tasks do is in :mod:`provisioner.workflows.actions`; a runbook only names it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from provisioner.core.values import Json, digest
from provisioner.engine.graph import DependencyGraph

FORMAT = "provisioner.runbook/1"


class OnFailure(StrEnum):
    """What follows when a task fails for good or its deadline passes."""

    STOP = "stop"
    """Nothing more is begun; what is under way is awaited."""
    HOLD = "hold"
    """What depends on it is held back; the rest goes on."""
    GO_ON = "go-on"
    """It is noted, and what depends on it goes on as if it had succeeded."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do. ``id`` is unique in its runbook and the same whenever the runbook is made
    again from the same input: history is kept by it.

    ``action`` names what is done, with ``arguments``. ``needs`` are ids of tasks that come before,
    and without whose success this one is not begun. ``after`` are ids of tasks that only have to
    have ended before, in whatever way: a tier comes after the one before it, also where one machine
    of that never came up.
    ``lane`` is a limited resource that the task takes one place of while it runs, such as the
    parallel starts of a host; empty: none. ``seconds`` is its deadline. ``subject`` is the address
    that it is about, empty for the plan as a whole; ``stage`` groups tasks for people
    (``tier 1``).

    ``lasting``: what its result says stays true. One that only says how the world was at that
    moment (a site is fenced, a machine is off) is done anew when somebody goes on with the run, as
    long as a task that needs it itself is still to be done: see
    :mod:`provisioner.workflows.resuming`.

    ``serves``: ids of the tasks, before it or behind it, for whose sake this one is, which only
    waits for something. When none of them can succeed any more it is held, also in its middle.
    """

    id: str
    title: str
    action: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    lane: str = ""
    seconds: float = 600.0
    on_failure: OnFailure = OnFailure.STOP
    subject: str = ""
    stage: str = ""
    after: tuple[str, ...] = ()
    lasting: bool = True
    serves: tuple[str, ...] = ()

    @property
    def awaits(self) -> tuple[str, ...]:
        """All ids that come before, each once."""
        return tuple(dict.fromkeys((*self.needs, *self.after)))

    def as_json(self) -> dict[str, Any]:
        """Plain data; :meth:`of` reads it. ``lasting`` is only there where it is false, ``serves``
        where there is something, so that the digests of runbooks from before still hold.
        """
        return {
            "id": self.id,
            "title": self.title,
            "action": self.action,
            "arguments": dict(self.arguments),
            "needs": list(self.needs),
            "after": list(self.after),
            "lane": self.lane,
            "seconds": float(self.seconds),
            "onFailure": str(self.on_failure),
            "subject": self.subject,
            "stage": self.stage,
            **({} if self.lasting else {"lasting": False}),
            **({"serves": list(self.serves)} if self.serves else {}),
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Task:
        """The task that :meth:`as_json` wrote. Raises KeyError or ValueError for anything else."""
        return cls(
            id=data["id"],
            title=data["title"],
            action=data["action"],
            arguments=data["arguments"],
            needs=tuple(data["needs"]),
            after=tuple(data["after"]),
            lane=data["lane"],
            seconds=float(data["seconds"]),
            on_failure=OnFailure(data["onFailure"]),
            subject=data["subject"],
            stage=data["stage"],
            lasting=bool(data.get("lasting", True)),
            serves=tuple(data.get("serves", ())),
        )


@dataclass(frozen=True)
class Runbook:
    """Tasks in an order in which each stands after all it awaits. ``lanes``: how many tasks of a
    lane run at once. ``name`` is the plan's, ``mode`` what it does (``test``, ``failover``).

    Raises ValueError if an id is there twice, a task needs one that does not exist, they need one
    another in a ring, or the lane of a task has no places: those are defects of the builder, not of
    its input.
    """

    name: str
    mode: str
    tasks: Sequence[Task]
    lanes: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known: set[str] = set()
        for task in self.tasks:
            missing = [needed for needed in task.awaits if needed not in known]
            if missing:
                raise ValueError(f"{task.id} needs {missing[0]}, which does not stand before it")
            if task.id in known:
                raise ValueError(f"two tasks have the id {task.id}")
            if task.lane and self.lanes.get(task.lane, 0) < 1:
                raise ValueError(f"the lane {task.lane} of {task.id} has no places")
            known.add(task.id)

    @classmethod
    def ordered(
        cls, name: str, mode: str, tasks: Sequence[Task], lanes: Mapping[str, int] | None = None
    ) -> Runbook:
        """A runbook of tasks in any order."""
        by_id = {task.id: task for task in tasks}
        graph = DependencyGraph({task.id: task.awaits for task in tasks})
        return cls(name, mode, tuple(by_id[task_id] for task_id in graph.order()), lanes or {})

    @cached_property
    def by_id(self) -> Mapping[str, Task]:
        """The tasks by their ids."""
        return {task.id: task for task in self.tasks}

    @cached_property
    def dependents(self) -> Mapping[str, tuple[str, ...]]:
        """By task, the ids of those that need it, in the order of the runbook."""
        found: dict[str, list[str]] = {task.id: [] for task in self.tasks}
        for task in self.tasks:
            for needed in set(task.needs):
                found[needed].append(task.id)
        return {task_id: tuple(ids) for task_id, ids in found.items()}

    @cached_property
    def followers(self) -> Mapping[str, tuple[str, ...]]:
        """By task, the ids of those that await its end, in the order of the runbook."""
        found: dict[str, list[str]] = {task.id: [] for task in self.tasks}
        for task in self.tasks:
            for awaited in set(task.awaits):
                found[awaited].append(task.id)
        return {task_id: tuple(ids) for task_id, ids in found.items()}

    @cached_property
    def digest(self) -> str:
        """SHA-256 of its document: a journal belongs to exactly this runbook."""
        return digest(self.as_json())

    def as_json(self) -> dict[str, Any]:
        """Plain data; :meth:`of` reads it."""
        return {
            "format": FORMAT,
            "name": self.name,
            "mode": self.mode,
            "lanes": dict(self.lanes),
            "tasks": [task.as_json() for task in self.tasks],
        }

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Runbook:
        """The runbook that :meth:`as_json` wrote. Raises KeyError or ValueError for anything
        else.
        """
        tasks = tuple(Task.of(item) for item in data["tasks"])
        return cls(data["name"], data["mode"], tasks, data["lanes"])
