"""Waits for tasks: all that a session waits for are looked at together, in one request, however
many threads wait.

Whoever finds nobody looking looks for all; the others sleep until he has news. There is no thread
of its own, and a session without tasks asks nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner_plugins.vmware.wire.client import Client
from provisioner_plugins.vmware.wire.errors import LOST
from provisioner_plugins.vmware.wire.questions import (
    NO_ANSWERS,
    Answers,
    Question,
    answer,
    pending,
)
from provisioner_plugins.vmware.wire.sweep import look

# `info` as a whole cannot be read where the task is about no inventory object.
_READ = {
    vim.Task: ("info.state", "info.error", "info.result", "info.progress", "info.entity"),
}
_OTHERS = {vim.Task: ("info.state", "info.descriptionId")}
_RUNNING = (vim.TaskInfo.State.running, vim.TaskInfo.State.queued)
_SHORTEST_SECONDS = 0.02
_LONGEST_SECONDS = 1.0
_GROWTH = 1.5
_PATIENT_SECONDS = 3.0
"""After how long a machine is asked whether a task waits for an answer, and how often from then."""

Report = Callable[[int], None]
"""Told the per cent done, as the endpoint estimates it."""


@dataclass(slots=True, eq=False)
class _Waiting:
    what: str
    task: Any
    deadline: Deadline
    report: Report | None
    answers: Answers
    question: Question | None = None
    result: Any = None
    failure: ProviderError | None = None
    done: bool = False
    left: float = field(init=False)
    """Seconds to the deadline when a question was looked for last; before, when it began."""

    def __post_init__(self) -> None:
        self.left = self.deadline.remaining()


class Tasks:
    """The tasks that a session waits for. Thread-safe."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._changed = threading.Condition()
        # Several may wait for the same task.
        self._waiting: list[_Waiting] = []
        self._somebody_looks = False
        self._pause = _SHORTEST_SECONDS

    def run(
        self,
        what: str,
        start: Callable[[Any], Any],
        deadline: Deadline,
        report: Report | None = None,
        answers: Answers = NO_ANSWERS,
    ) -> Any:
        """Start a task with ``start(content)`` and wait for its end; its result. ``answers`` are
        given where its machine asks these questions; of any other the person who waits is told, and
        what is raised when the deadline has passed says which it is.

        Raises what the task failed with, Retryable (PRV5308) when the deadline has passed, and
        Retryable (PRV5307) where the endpoint knows the task no more: it may go on, or have ended
        either way.
        """
        return self.wait(what, self._client.call(what, start), deadline, report, answers)

    def wait(
        self,
        what: str,
        task: Any,
        deadline: Deadline,
        report: Report | None = None,
        answers: Answers = NO_ANSWERS,
    ) -> Any:
        """As :meth:`run`, for a task that runs already."""
        mine = _Waiting(what, task, deadline, report, answers)
        self._await([mine], deadline)
        if mine.failure is not None:
            raise mine.failure
        return mine.result

    def gather(self, tasks: Sequence[tuple[str, Any]], deadline: Deadline) -> list[Any]:
        """As :meth:`wait`, for several tasks with what each does: their results in that order, and
        for one that failed its ProviderError.
        """
        waiting = [_Waiting(what, task, deadline, None, NO_ANSWERS) for what, task in tasks]
        self._await(waiting, deadline)
        return [item.result if item.failure is None else item.failure for item in waiting]

    def await_others(
        self, owner: Any, operation: str, deadline: Deadline, *, known: Collection[str] = ()
    ) -> bool:
        """Wait for the end of the running tasks of an object (or of the task manager: of all) whose
        ``descriptionId`` ends in ``operation``: one may be of an attempt whose answer was lost, and
        until it has ended nothing finds what it makes. Whether there were any, ended ones too.
        ``known`` are the ids of tasks of which it is known that they are none of these.
        """
        what = "look for running tasks"
        rows = look(self._client, what, (owner,), {type(owner): ("recentTask",)})
        recent = [
            task
            for row in rows
            for task in row.get("recentTask", ())
            if task._GetMoId() not in known
        ]
        there = False
        for row in look(self._client, what, recent, _OTHERS):
            if not str(row.get("info.descriptionId", "")).endswith(operation):
                continue
            there = True
            if row.get("info.state") in _RUNNING:
                # That it failed is told to whoever began it.
                with suppress(Terminal):
                    self.wait(what, self._client.managed(vim.Task, row.moid), deadline)
        return there

    def _await(self, waiting: Sequence[_Waiting], deadline: Deadline) -> None:
        if not waiting:
            return
        with self._changed:
            self._waiting += waiting
            self._pause = 0.0
            self._changed.notify_all()
        try:
            while not all(item.done for item in waiting):
                if deadline.passed:
                    late = next((item for item in waiting if item.question), waiting[0])
                    raise too_late(late.what, late.question)
                self._look_or_sleep(deadline)
        finally:
            with self._changed:
                self._waiting = [item for item in self._waiting if item not in waiting]

    def _look_or_sleep(self, deadline: Deadline) -> None:
        with self._changed:
            if self._somebody_looks:
                self._changed.wait(min(_LONGEST_SECONDS, deadline.remaining()))
                return
            self._somebody_looks = True
            # Somebody who begins to wait ends the pause: his task may be done already.
            self._changed.wait(min(self._pause, deadline.remaining()))
            asked = list(self._waiting)
            self._pause = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, self._pause * _GROWTH))
        try:
            self._look(asked)
        finally:
            with self._changed:
                self._somebody_looks = False
                self._changed.notify_all()

    def _look(self, asked: Sequence[_Waiting]) -> None:
        tasks = {item.task._GetMoId(): item.task for item in asked}
        what = asked[0].what if len(tasks) == 1 else f"look how {len(tasks)} tasks go on"
        try:
            rows = look(self._client, what, tasks.values(), _READ)
        except Terminal as problem:
            # That nobody tells how a task goes on does not end it.
            raise Retryable(problem.diagnostic) from problem
        found = {row.moid: row for row in rows}
        running: list[tuple[_Waiting, Any]] = []
        for item in asked:
            row = found.get(item.task._GetMoId())
            if row is None:
                item.failure, item.done = _unknown(item.what), True
            elif row.get("info.state") == vim.TaskInfo.State.success:
                item.result, item.done = row.get("info.result"), True
            elif row.get("info.state") == vim.TaskInfo.State.error:
                failure = self._client.failure_of(row.get("info.error"), item.what)
                item.failure, item.done = failure, True
            else:
                running.append((item, row.get("info.entity")))
                if item.report is not None and row.get("info.progress"):
                    item.report(int(row.get("info.progress")))
        self._ask_machines(running)

    def _ask_machines(self, running: Sequence[tuple[_Waiting, Any]]) -> None:
        """Look whether what takes its time waits for an answer, and give it where it is known."""
        due = []
        for item, entity in running:
            left = item.deadline.remaining()
            if isinstance(entity, vim.VirtualMachine) and item.left - left >= _PATIENT_SECONDS:
                item.left = left
                due.append((item, entity))
        try:
            asked = pending(self._client, [entity for _, entity in due])
        except ProviderError:
            return  # the next look tells what is wrong
        for item, entity in due:
            before, item.question = item.question, asked.get(entity._GetMoId())
            if item.question is None:
                continue
            key = item.question.key_for(item.answers)
            if key is not None:
                answer(self._client, item.question, key)
            elif before is None or before.id != item.question.id:
                self._client.report(f"{item.what}: the machine asks: {item.question}")


def too_late(what: str, question: Question | None = None) -> Retryable:
    """What is raised when the deadline passes (PRV5308); ``question`` is what it waited for."""
    if question is not None:
        return Retryable(
            error(
                "PRV5308",
                f"{what}: the machine waits for an answer",
                detail=f"It asks: {question}",
                hint="Answer it in vSphere's client, then apply again.",
            ),
            5.0,
        )
    return Retryable(
        error(
            "PRV5308",
            f"{what}: there was no time left to wait for it",
            detail="The endpoint goes on with it.",
            hint="Raise limits.stepTimeout in the Host's manifest.",
        ),
        5.0,
    )


def _unknown(what: str) -> Retryable:
    return Retryable(
        error(
            LOST.code,
            f"{what}: the endpoint knows nothing of the task any more",
            detail="It was started again, or has forgotten it: what became of it is looked up.",
        ),
        LOST.after or 1.0,
    )
