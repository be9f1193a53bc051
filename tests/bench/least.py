"""The least that a run can take, given how long its tasks take and how many of a lane run at once:
what schedules and runs are held against.

The greatest of critical path and lanes (:attr:`provisioner.workflows.schedule.Schedule.bound`) is
far below that where all of a stage has to end before the next begins: while the last of it run, no
place of the others is of use. So the run is cut at such tasks, and each piece has a bound of its
own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import ceil

from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.schedule import PARALLEL

CUTS = frozenset({"milestone", "turn", "all-off", "fenced"})
"""Actions of tasks that many come before, and many after."""


def least(runbook: Runbook, seconds: Mapping[str, float], parallel: int = PARALLEL) -> float:
    """Seconds that no schedule of the runbook stays below."""
    cuts = [task.id for task in runbook.tasks if task.action in CUTS]
    awaits = {task.id: task.awaits for task in runbook.tasks}
    before = [_reached(cut, awaits) for cut in cuts]
    after = [_reached(cut, runbook.followers) for cut in cuts]
    everything = set(runbook.by_id)
    limits = {**runbook.lanes, "": parallel}
    # From the beginning to the cut, with the cut itself; the last is the end.
    so_far: list[float] = []
    for end in range(len(cuts) + 1):
        upto = before[end] if end < len(cuts) else everything
        own = seconds[cuts[end]] if end < len(cuts) else 0.0
        ways = [_piece(runbook, upto, seconds, limits)]
        ways += [
            so_far[start] + _piece(runbook, after[start] & upto, seconds, limits)
            for start in range(end)
            if end == len(cuts) or cuts[end] in after[start]
        ]
        so_far.append(max(ways) + own)
    return so_far[-1]


def _reached(start: str, steps: Mapping[str, Sequence[str]]) -> set[str]:
    reached: set[str] = set()
    left = [*steps[start]]
    while left:
        item = left.pop()
        if item not in reached:
            reached.add(item)
            left += steps[item]
    return reached


def _piece(
    runbook: Runbook,
    members: set[str],
    seconds: Mapping[str, float],
    limits: Mapping[str, int],
) -> float:
    """The bound of some tasks, of which nothing lies in between that is not one of them: the
    longest way, or what a lane's work takes between the least that comes before it and behind it.
    """
    tasks = [task for task in runbook.tasks if task.id in members]
    head: dict[str, float] = {}
    for task in tasks:
        ends = [head[item] + seconds[item] for item in task.awaits if item in head]
        head[task.id] = max(ends, default=0.0)
    tail: dict[str, float] = {}
    for task in reversed(tasks):
        begins = [tail[item] + seconds[item] for item in runbook.followers[task.id] if item in tail]
        tail[task.id] = max(begins, default=0.0)
    bounds = [head[task.id] + seconds[task.id] + tail[task.id] for task in tasks]
    lanes: dict[str, list[Task]] = defaultdict(list)
    for task in tasks:
        lanes[""].append(task)
        if task.lane:
            lanes[task.lane].append(task)
    for lane, those in lanes.items():
        lengths = [seconds[task.id] for task in those]
        places = limits[lane]
        # One place has to take so many of them, one after the other.
        work = max(sum(lengths) / places, ceil(len(those) / places) * min(lengths))
        around = min(head[task.id] for task in those) + min(tail[task.id] for task in those)
        bounds.append(work + around)
    return max(bounds, default=0.0)
