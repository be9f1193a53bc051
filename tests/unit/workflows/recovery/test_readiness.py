"""What is said about replicas, drills and times."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from provisioner.providers.capabilities import Point, ReplicaState, Way
from provisioner.workflows.recovery.model import PlannedMachine
from provisioner.workflows.recovery.readiness import replica_problems, rough, time_problems
from tests.unit.workflows.samples import COMPILED, DB, DISK, WEB

MACHINE = PlannedMachine(DB, "all", (DISK,), point_objective=60.0)
POINTS = (Point("1", COMPILED - timedelta(hours=2)), Point("2", COMPILED - timedelta(seconds=61)))
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
    ],
)
def test_what_is_wrong_with_a_replica(way: Way, state: ReplicaState, codes: list[str]) -> None:
    machine = replace(MACHINE, way=way)
    assert codes == [item.code for item in replica_problems(machine, state, COMPILED)]


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


def test_a_recovery_that_would_take_too_long() -> None:
    (found,) = time_problems(WEB, 60.0, 90.0)
    assert f"a failover of {WEB} would take about 1m 30s, expected at most 1m" == found.summary
    assert [] == [*time_problems(WEB, 60.0, 60.0), *time_problems(WEB, 60.0, None)]
