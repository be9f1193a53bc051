"""The stack of two sites for benchmarks is valid and always the same; and a bound that is none
would make every schedule look good.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.schedule import schedule
from tests.bench import recovery, recovery_stack
from tests.bench import schedule as scheduling
from tests.bench.least import least


def test_the_stack_is_valid_and_as_large_as_it_says(tmp_path: Path) -> None:
    recovery_stack.write(tmp_path, 40)
    stack = load(tmp_path, SchemaCatalog.installed())
    machines = [item for item in stack.declarations if item.kind == "VirtualMachine"]
    assert 40 == len(machines)


def test_the_same_size_gives_the_same_files(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "two")]
    for folder in folders:
        recovery_stack.write(folder, 30)
    one, two = ({path.name: path.read_bytes() for path in sorted(f.iterdir())} for f in folders)
    assert one == two


@pytest.mark.slow
def test_a_plan_is_compiled_and_failed_over() -> None:
    samples = recovery.measure(1, lambda _: None, machines=20, carried_out=10)
    phases = [
        (recovery.COMPILE, 20),
        (recovery.SCHEDULED, 20),
        (recovery.FAILOVER, 10),
        (recovery.LEAST, 10),
    ]
    assert [True] * 4 == [phase in samples for phase in phases]
    assert samples.wall(recovery.LEAST, 10).least <= samples.wall(recovery.OF_ITS_TASKS, 10).least


def lane(number: int, seconds: float, *needs: str) -> tuple[Task, float]:
    return Task(f"start{number}", "", "start", needs=needs, lane="starts"), seconds


def runbook(*parts: tuple[Task, float]) -> tuple[Runbook, dict[str, float]]:
    tasks = [task for task, _ in parts]
    seconds = {task.id: length for task, length in parts}
    return Runbook("bench", "failover", tasks, {"starts": 2}), seconds


def test_the_least_counts_places_that_stay_empty_at_the_end_of_a_stage() -> None:
    first = [lane(number, 10.0) for number in range(3)]
    opening = (Task("tier", "", "milestone", needs=("start0", "start1", "start2")), 0.0)
    second = [lane(number, 10.0, "tier") for number in range(3, 6)]
    book, seconds = runbook(*first, opening, *second)
    assert (40.0, 30.0) == (least(book, seconds), schedule(book, seconds).bound)


@pytest.mark.parametrize("seed", range(20))
def test_no_schedule_is_shorter_than_the_least(seed: int) -> None:
    book, seconds = scheduling.made(60, seed)
    chance = random.Random(seed)
    cut = [
        replace(task, action="milestone") if chance.random() < 0.05 else task for task in book.tasks
    ]
    book = Runbook(book.name, book.mode, cut, dict.fromkeys(book.lanes, 2))
    found = schedule(book, seconds)
    figures = [found.bound, least(book, seconds), found.makespan]
    assert sorted(figures) == pytest.approx(figures)
