"""What carrying a recovery plan out now would be: its steps with the times that are predicted of
them, and what differs from an earlier run. Pure; called by the service layer for ``dr plan``.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple

from provisioner.core.values import canonical_json
from provisioner.workflows.history import Basis, Estimate, Sample, estimates
from provisioner.workflows.recovery.modes.tasks import BACK, BEGIN, SINCE, TOLD
from provisioner.workflows.recovery.report import STARTS
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.schedule import Span, schedule

ASSUMED = 1.0
"""Seconds of a task of which nothing is known."""
INSTANT = frozenset({"milestone", "fenced", "turn"})
"""Actions that only note something: they take no time, unless it was measured."""
_FINGERPRINT = "plan"
"""The argument of the first task that tells plans apart."""


class Foreseen(NamedTuple):
    """A task, when it would run by the medians, and what that rests on; ``estimate`` is None where
    ``seconds`` are assumed.
    """

    task: Task
    span: Span
    seconds: float
    estimate: Estimate | None
    critical: bool

    @property
    def is_assumed(self) -> bool:
        """Whether nobody knows how long it takes."""
        return self.estimate is None and self.task.action not in INSTANT


@dataclass(frozen=True, slots=True)
class Outlook:
    """A run as it would be. ``steps`` stand in the order of the runbook.

    ``seconds``: until all of it has ended, by the medians; ``p95``: if every step took as long as
    95 of 100 do at most. ``critical_seconds``: the longest way through it, that no number of
    parallel starts makes shorter. ``objective``: within how many seconds it has to end, None where
    nothing is demanded.
    """

    runbook: Runbook
    steps: tuple[Foreseen, ...]
    seconds: float
    p95: float
    critical_seconds: float
    objective: float | None = None

    @property
    def assumed(self) -> int:
        """Steps of which nothing is known."""
        return sum(1 for step in self.steps if step.is_assumed)

    @property
    def is_known(self) -> bool:
        """Whether runs before tell how long at least one machine takes to start: else all of it is
        a guess.
        """
        starts = [step for step in self.steps if step.task.action in STARTS]
        return any(not step.is_assumed for step in starts)

    @property
    def is_measured(self) -> bool:
        """Whether anything is known of any step that takes time."""
        acting = sum(1 for step in self.steps if step.task.action not in INSTANT)
        return self.assumed < acting or not acting

    @property
    def is_within(self) -> bool | None:
        """Whether it would end within the objective; None where there is none."""
        return None if self.objective is None else self.seconds <= self.objective


def outlook(
    runbook: Runbook, found: Mapping[str, Estimate], objective: float | None = None
) -> Outlook:
    """The outlook of a runbook from what :func:`estimates_of` says."""
    medians = {task.id: _assumed(task) for task in runbook.tasks}
    slow = dict(medians)
    for task_id, estimate in found.items():
        medians[task_id], slow[task_id] = estimate.median, estimate.p95
    planned = schedule(runbook, medians)
    critical = frozenset(planned.critical)
    steps = tuple(
        Foreseen(
            task,
            planned.spans[task.id],
            medians[task.id],
            found.get(task.id),
            task.id in critical,
        )
        for task in runbook.tasks
    )
    return Outlook(
        runbook,
        steps,
        planned.makespan,
        max(planned.makespan, schedule(runbook, slow).makespan),
        planned.critical_seconds,
        objective,
    )


def _assumed(task: Task) -> float:
    return 0.0 if task.action in INSTANT else ASSUMED


def estimates_of(
    runbook: Runbook, same: Sequence[Sample], others: Sequence[Sample]
) -> dict[str, Estimate]:
    """How long tasks are likely to take, from runs of the ``same`` mode and of ``others``: of two
    estimates the one of the very task counts, then the one of the same mode.
    """
    nearer, further = estimates(runbook, same), estimates(runbook, others)
    result = {}
    for task in runbook.tasks:
        candidates = [one[task.id] for one in (nearer, further) if task.id in one]
        of_task = [one for one in candidates if one.basis is Basis.TASK]
        if candidates:
            result[task.id] = [*of_task, *candidates][0]
    return result


# What differs


class Kind(StrEnum):
    """How a task differs from the one of an earlier run."""

    ADDED = "added"
    REMOVED = "removed"
    CHANGED = "changed"


class Part(NamedTuple):
    """A part of a task that differs: ``needs``, ``arguments.argv``; None where it was not there or
    is not there any more.
    """

    name: str
    before: Any
    now: Any


class Difference(NamedTuple):
    """A task that differs; ``task`` as it is now, or as it was if it was removed. ``mirrored``: it
    does the same in the other direction.
    """

    kind: Kind
    task: Task
    parts: tuple[Part, ...] = ()
    mirrored: bool = False


@dataclass(frozen=True, slots=True)
class Comparison:
    """What a runbook does otherwise than an earlier one. ``same_plan``: it is made of a plan that
    says the same. ``turned``: from which site to which it leads now, if the earlier one led from
    the second to the first; else None.
    """

    same_plan: bool
    differences: tuple[Difference, ...]
    lanes: tuple[Part, ...] = ()
    turned: tuple[str, str] | None = None

    @property
    def is_same(self) -> bool:
        """Whether the same would be done."""
        return not self.differences and not self.lanes

    def of_kind(self, kind: Kind) -> tuple[Difference, ...]:
        """The differences of one kind."""
        return tuple(item for item in self.differences if item.kind is kind)


def compare(before: Runbook, now: Runbook) -> Comparison:
    """Compare two runbooks task by task, in the order of the newer one; what was removed stands
    last. The mark of the plan is no difference of a task: see :attr:`Comparison.same_plan`.
    """
    turned = _turned(before, now)
    differences: list[Difference] = []
    for task in now.tasks:
        earlier = before.by_id.get(task.id)
        if earlier is None:
            differences.append(Difference(Kind.ADDED, task))
        elif parts := tuple(_parts(earlier, task)):
            differences.append(Difference(Kind.CHANGED, task, parts))
    differences += [
        Difference(Kind.REMOVED, task) for task in before.tasks if task.id not in now.by_id
    ]
    if turned is not None:
        differences = _of_the_other_way(differences, turned)
    lanes = tuple(
        Part(lane, before.lanes.get(lane), now.lanes.get(lane))
        for lane in sorted({*before.lanes, *now.lanes})
        if before.lanes.get(lane) != now.lanes.get(lane)
    )
    return Comparison(_plan_mark(before) == _plan_mark(now), tuple(differences), lanes, turned)


def _turned(before: Runbook, now: Runbook) -> tuple[str, str] | None:
    then, since = (runbook.by_id.get(BEGIN) for runbook in (before, now))
    if then is None or since is None:
        return None
    here, there = (str(since.arguments.get(name)) for name in ("here", "there"))
    was = tuple(str(then.arguments.get(name)) for name in ("there", "here"))
    return (here, there) if here != there and was == (here, there) else None


def _of_the_other_way(found: Sequence[Difference], sites: tuple[str, str]) -> list[Difference]:
    """The same differences, with those marked that follow from the direction alone: a task that
    does the same at the other site, one of a site that takes the place of another's (a network),
    and needs of tasks that are told of by themselves.
    """
    come = {item.task.id for item in found if item.kind is Kind.ADDED}
    gone = {item.task.id for item in found if item.kind is Kind.REMOVED}
    of_site = [item for item in found if "machine" not in item.task.arguments]
    added = Counter(item.task.action for item in of_site if item.kind is Kind.ADDED)
    removed = Counter(item.task.action for item in of_site if item.kind is Kind.REMOVED)

    def mirrored(item: Difference) -> bool:
        if item.kind is Kind.CHANGED:
            return all(
                _is_mirrored(part, sites) or _only_follows(part, come, gone) for part in item.parts
            )
        action = item.task.action
        return "machine" not in item.task.arguments and added[action] == removed[action]

    return [item._replace(mirrored=mirrored(item)) for item in found]


def _only_follows(part: Part, come: Collection[str], gone: Collection[str]) -> bool:
    """Whether needs differ in nothing but tasks that are there no more, or only now."""
    if part.name not in ("needs", "after"):
        return False
    before, now = set(part.before), set(part.now)
    return now - before <= set(come) and before - now <= set(gone)


def _is_mirrored(part: Part, sites: tuple[str, str]) -> bool:
    if part.name == "lane":
        # Its name ends with a host, which is another one at the other site.
        return str(part.before).partition("/")[0] == str(part.now).partition("/")[0]
    return canonical_json(_swapped(part.before, sites)) == canonical_json(part.now)


def _swapped(value: Any, sites: tuple[str, str]) -> Any:
    """The same with each of two sites in place of the other."""
    if isinstance(value, Mapping):
        return {key: _swapped(item, sites) for key, item in value.items()}
    if isinstance(value, list):
        return [_swapped(item, sites) for item in value]
    if not isinstance(value, str):
        return value
    one, other = sites
    names = "|".join(re.escape(name) for name in sorted(sites, key=len, reverse=True))
    return re.sub(
        rf"(?<![\w.-])(?:{names})(?![\w-])",
        lambda match: other if match[0] == one else one,
        value,
    )


def _parts(before: Task, now: Task) -> Iterator[Part]:
    old, new = before.as_json(), now.as_json()
    arguments = (old.pop("arguments"), new.pop("arguments"))
    for name in ("needs", "after"):
        # Which came first among them makes no difference.
        old[name], new[name] = sorted(old[name]), sorted(new[name])
    for name in dict.fromkeys((*new, *old)):
        if name == "serves":
            continue  # it follows from which tasks there are
        if old.get(name) != new.get(name):
            yield Part(name, old.get(name), new.get(name))
    for name in sorted({*arguments[0], *arguments[1]}):
        if now.id == BEGIN and name in (_FINGERPRINT, TOLD, SINCE, BACK):
            continue  # none of them changes what is done
        was, is_now = arguments[0].get(name), arguments[1].get(name)
        if canonical_json(was) != canonical_json(is_now):
            yield Part(f"arguments.{name}", was, is_now)


def _plan_mark(runbook: Runbook) -> object:
    first = runbook.by_id.get(BEGIN)
    return None if first is None else first.arguments.get(_FINGERPRINT)
