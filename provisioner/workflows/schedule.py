"""When the tasks of a runbook would run: pure, from how long each is expected to take.

Called by the runner, which begins what is ready by the same rule (:class:`Ready`), and by whoever
predicts or draws a run. Of what may begin, the task goes first from which the longest way leads to
the end of the runbook: list scheduling by critical path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

from provisioner.workflows.runbook import Runbook, Task

PARALLEL = 256
"""Tasks under way at once, over all lanes, unless somebody says otherwise."""


class Span(NamedTuple):
    """Seconds after the beginning of the run."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Schedule:
    """A whole schedule.

    ``spans`` has every task; ``makespan`` is the end of the last one. ``critical`` are the tasks of
    the longest way through the runbook, in order, and ``critical_seconds`` is how long that way
    takes. ``lanes`` says of each lane what its work takes when all its places are always busy; the
    lane with the empty name is the limit of all tasks together.
    """

    spans: Mapping[str, Span]
    makespan: float
    remaining: Mapping[str, float]
    critical: tuple[str, ...]
    critical_seconds: float
    lanes: Mapping[str, float]

    @property
    def bound(self) -> float:
        """No schedule within these limits is shorter than so many seconds."""
        return max([self.critical_seconds, *self.lanes.values()])


def remaining_path(runbook: Runbook, seconds: Mapping[str, float]) -> dict[str, float]:
    """By task, the seconds of the longest way from its beginning to the end of the runbook."""
    after: dict[str, float] = {}
    found = {}
    for task in reversed(runbook.tasks):
        length = seconds[task.id] + after.get(task.id, 0.0)
        found[task.id] = length
        for needed in task.awaits:
            if length > after.get(needed, 0.0):
                after[needed] = length
    return found


def critical_path(runbook: Runbook, remaining: Mapping[str, float]) -> tuple[str, ...]:
    """The tasks of the longest way, in order; of ways that are equally long the one whose tasks
    stand first. ``remaining`` is what :func:`remaining_path` says.
    """
    followers = runbook.followers
    candidates = [task.id for task in runbook.tasks if not task.awaits]
    path = []
    while candidates:
        longest = max(candidates, key=remaining.__getitem__)
        path.append(longest)
        candidates = list(followers[longest])
    return tuple(path)


class Ready:
    """The tasks that may begin, and the places that are free for them. Not for several threads."""

    def __init__(
        self, runbook: Runbook, remaining: Mapping[str, float], parallel: int = PARALLEL
    ) -> None:
        """Nothing is ready yet. Raises ValueError if nothing may ever run."""
        if parallel < 1:
            raise ValueError(f"at least 1 task has to run at once, not {parallel}")
        self._remaining = remaining
        self._rank = {task.id: rank for rank, task in enumerate(runbook.tasks)}
        self._free = dict(runbook.lanes)
        self._total = parallel
        self._waiting: dict[str, list[tuple[float, int, Task]]] = {}
        # The first of each lane that has a place, and some that were it once: seen when taken.
        self._first: list[tuple[float, int, Task]] = []

    def add(self, task: Task) -> None:
        """All that it needs is there."""
        entry = (-self._remaining[task.id], self._rank[task.id], task)
        heappush(self._waiting.setdefault(task.lane, []), entry)
        self._offer(task.lane)

    def take(self) -> Task | None:
        """The task that begins next, with its place; None if nothing may begin now."""
        while self._total and self._first:
            entry = heappop(self._first)
            task = entry[2]
            waiting = self._waiting[task.lane]
            if not self._has_place(task.lane) or not waiting or waiting[0] is not entry:
                continue
            heappop(waiting)
            self._total -= 1
            if task.lane:
                self._free[task.lane] -= 1
            self._offer(task.lane)
            return task
        return None

    def free(self, task: Task) -> None:
        """Give back the place of a task that was taken."""
        self._total += 1
        if task.lane:
            self._free[task.lane] += 1
        self._offer(task.lane)

    def _has_place(self, lane: str) -> bool:
        return not lane or self._free[lane] > 0

    def _offer(self, lane: str) -> None:
        waiting = self._waiting.get(lane)
        if waiting and self._has_place(lane):
            heappush(self._first, waiting[0])


def schedule(runbook: Runbook, seconds: Mapping[str, float], parallel: int = PARALLEL) -> Schedule:
    """The schedule of a runbook whose tasks take so long, by their ids. Raises KeyError if one is
    missing there.
    """
    remaining = remaining_path(runbook, seconds)
    ready = Ready(runbook, remaining, parallel)
    missing = {task.id: len(set(task.awaits)) for task in runbook.tasks}
    spans: dict[str, Span] = {}
    running: list[tuple[float, int, Task]] = []
    now = 0.0
    for task in runbook.tasks:
        if not task.awaits:
            ready.add(task)
    while True:
        while (task_or_none := ready.take()) is not None:
            task = task_or_none
            spans[task.id] = Span(now, now + seconds[task.id])
            heappush(running, (spans[task.id].end, len(spans), task))
        if not running:
            break
        # All that end at this moment, before anything begins at it.
        now = running[0][0]
        while running and running[0][0] == now:
            ended = heappop(running)[2]
            ready.free(ended)
            for dependent in runbook.followers[ended.id]:
                missing[dependent] -= 1
                if not missing[dependent]:
                    ready.add(runbook.by_id[dependent])
    return Schedule(
        spans=spans,
        makespan=now,
        remaining=remaining,
        critical=critical_path(runbook, remaining),
        critical_seconds=max(remaining.values(), default=0.0),
        lanes=_lane_seconds(runbook, seconds, parallel),
    )


def _lane_seconds(
    runbook: Runbook, seconds: Mapping[str, float], parallel: int
) -> dict[str, float]:
    work = {"": sum(seconds[task.id] for task in runbook.tasks)}
    for task in runbook.tasks:
        if task.lane:
            work[task.lane] = work.get(task.lane, 0.0) + seconds[task.id]
    places = {**runbook.lanes, "": parallel}
    return {lane: total / places[lane] for lane, total in work.items()}
