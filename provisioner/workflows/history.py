"""How long tasks are likely to take, from what they took before.

Called by whoever predicts a run or carries one out: its figures are what
:mod:`provisioner.workflows.schedule` wants.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from math import ceil
from statistics import median
from typing import NamedTuple

from provisioner.workflows.journal import Journal
from provisioner.workflows.runbook import Runbook

RUNS = 10
"""Runs that are looked back at."""


class Basis(StrEnum):
    """What an estimate rests on."""

    TASK = "task"
    """The same task, before."""
    ACTION = "action"
    """Tasks that do the like."""


class Sample(NamedTuple):
    """How many seconds a task took."""

    task: str
    action: str
    seconds: float


class Estimate(NamedTuple):
    """Seconds: the median, and what 95 of 100 stay below (of few samples, the greatest)."""

    median: float
    p95: float
    samples: int
    basis: Basis

    @classmethod
    def of(cls, seconds: Sequence[float], basis: Basis) -> Estimate:
        """The estimate from at least one sample; the 95th percentile by nearest rank."""
        ranked = sorted(seconds)
        return cls(median(ranked), ranked[ceil(0.95 * len(ranked)) - 1], len(ranked), basis)


def samples(journals: Iterable[Journal], mode: str, runs: int = RUNS) -> list[Sample]:
    """What the last so many ended runs of a mode say, of each journal. Only what was carried out
    whole counts: a task that was found done, or goes on where it was interrupted, takes less.

    Raises ProvisionerError (PRV7007 to PRV7009) for a journal that cannot be read.
    """
    return [Sample(*row) for journal in journals for row in journal.samples(mode, runs)]


def estimates(runbook: Runbook, known: Iterable[Sample]) -> dict[str, Estimate]:
    """By task of the runbook, from the samples of the same task, or else of the same action; of
    what nothing is known there is none.
    """
    by_task: dict[str, list[float]] = {}
    by_action: dict[str, list[float]] = {}
    for sample in known:
        by_task.setdefault(sample.task, []).append(sample.seconds)
        by_action.setdefault(sample.action, []).append(sample.seconds)
    of_actions = {action: Estimate.of(found, Basis.ACTION) for action, found in by_action.items()}
    result = {}
    for task in runbook.tasks:
        if task.id in by_task:
            result[task.id] = Estimate.of(by_task[task.id], Basis.TASK)
        elif task.action in of_actions:
            result[task.id] = of_actions[task.action]
    return result


def expected(
    runbook: Runbook, found: Mapping[str, Estimate], otherwise: float = 1.0
) -> dict[str, float]:
    """Seconds for each task: its median, or ``otherwise``."""
    return {
        task.id: found[task.id].median if task.id in found else otherwise for task in runbook.tasks
    }
