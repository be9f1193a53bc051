"""What is said about replicas, drills and times."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from provisioner.providers.capabilities import Point, ReplicaState, Way
from provisioner.workflows.history import Basis, Estimate
from provisioner.workflows.recovery.model import PlannedMachine
from provisioner.workflows.recovery.outlook import outlook
from provisioner.workflows.recovery.readiness import (
    drill_problems,
    replica_problems,
    rough,
    time_problems,
)
from provisioner.workflows.runbook import Runbook, Task
from tests.unit.workflows.samples import COMPILED, DB, DISK, WEB

DAY = timedelta(days=1)
MACHINE = PlannedMachine(DB, "all", (DISK,), point_objective=60.0)
POINTS = (Point("1", COMPILED - timedelta(hours=2)), Point("2", COMPILED - timedelta(seconds=61)))
SKEWED, FUTURE = Point("4", COMPILED + timedelta(seconds=2)), Point("5", COMPILED + 3 * DAY)
FRESH = (*POINTS, Point("3", COMPILED - timedelta(seconds=60)))


@pytest.mark.parametrize(
    ("way", "state", "codes"),
    [
        (Way.INCREMENTAL, ReplicaState(FRESH), []),
        (Way.INCREMENTAL, ReplicaState(POINTS), ["PRV7057"]),
        (Way.INCREMENTAL, ReplicaState(), ["PRV7056"]),
        (Way.INCREMENTAL, ReplicaState(FRESH, problem="the disk is full"), ["PRV7056"]),
        (Way.CONTINUOUS, ReplicaState(in_step=True), []),
        (Way.CONTINUOUS, ReplicaState((Point("1", None),)), ["PRV7056"]),
        (Way.EXTERNAL, ReplicaState((Point("1", None),)), ["PRV7057"]),
        (Way.EXTERNAL, ReplicaState(FRESH), []),
        (Way.INCREMENTAL, ReplicaState((*FRESH, SKEWED)), []),
        (Way.INCREMENTAL, ReplicaState((*FRESH, FUTURE)), ["PRV7123"]),
        (Way.EXTERNAL, ReplicaState((FUTURE,)), ["PRV7123"]),
    ],
)
def test_what_is_wrong_with_a_replica(way: Way, state: ReplicaState, codes: list[str]) -> None:
    machine = replace(MACHINE, way=way)
    assert codes == [item.code for item in replica_problems(machine, state, COMPILED)]


@pytest.mark.parametrize(
    ("last", "codes"),
    [
        (None, ["PRV7058"]),
        (COMPILED - 2 * DAY, ["PRV7058"]),
        (COMPILED - DAY, []),
        (COMPILED + timedelta(minutes=5), []),
        (COMPILED + DAY, ["PRV7123"]),
    ],
)
def test_how_far_back_the_last_drill_may_lie(last: datetime | None, codes: list[str]) -> None:
    found = drill_problems(WEB, DAY.total_seconds(), last, COMPILED)
    assert codes == [item.code for item in found]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (59.6, "1m"),
        (61, "1m 1s"),
        (3601, "1h"),
        (90 * 60, "1h 30m"),
        (86400 * 2 + 60, "2d"),
        (86400 * 2 + 3600, "2d 1h"),
        (-5, "0s"),
    ],
)
def test_lengths_of_time_as_people_say_them(seconds: float, text: str) -> None:
    assert text == rough(seconds)


@pytest.mark.parametrize(
    ("estimate", "objective", "codes"),
    [
        (90.0, 60.0, ["PRV7061"]),
        (60.0, 60.0, []),
        (None, 60.0, ["PRV7121"]),
        (None, 0.5, ["PRV7121"]),
        (90.0, None, []),
    ],
)
def test_a_recovery_that_would_take_too_long(
    estimate: float | None, objective: float | None, codes: list[str]
) -> None:
    """Where no start is known, all that could be said is a guess."""
    start = Task("start/web", "start web", "start", subject=str(WEB))
    known = {} if estimate is None else {start.id: Estimate.of([estimate], Basis.TASK)}
    seen = outlook(Runbook("shop", "failover", (start,)), known, objective)
    assert codes == [item.code for item in time_problems(WEB, seen)]
