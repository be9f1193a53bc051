"""Reports of runs: what was achieved, what was not, and what the end waited for."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from provisioner.core.diagnostics import error
from provisioner.workflows.recovery.model import Check, Mode
from provisioner.workflows.recovery.report import Ended, Recovered, Report, report
from provisioner.workflows.runs import Run, What
from tests.unit.workflows.recovery.plans import machine_address
from tests.unit.workflows.recovery.told import BEGAN, run_of, shop


def machine(found: Report, name: str) -> Recovered:
    return next(item for item in found.machines if item.address == f"VirtualMachine/{name}")


def test_a_failover_that_succeeded() -> None:
    found = report(run_of(shop(), Mode.FAILOVER))
    db = machine(found, "db")
    assert (80.0, 48.0) == (db.seconds, db.since_fenced)
    assert ("p7", 72.0, 900.0, True) == (db.point, db.loss, db.objective, db.is_within)
    assert (1, 1) == (db.gates, db.gates_passed)
    assert found.achieved == max(item.seconds or 0.0 for item in found.machines) == found.seconds
    assert (True, None, ()) == (found.is_within, found.left, found.suspended)
    assert ["yes"] == [item.text for item in found.answers]
    assert ("site-a", "site-b") == (found.here, found.there)


def test_a_gate_that_fails_fails_its_machine_and_holds_those_that_need_it() -> None:
    found = report(run_of(shop(), Mode.FAILOVER, "gate/cache/1"))
    states = {item.address.partition("/")[2]: item.ended for item in found.machines}
    expected = dict.fromkeys(("db", "app", "web"), Ended.DONE)
    assert {**expected, "cache": Ended.FAILED, "report": Ended.HELD} == states
    assert "cache: wait for port 6379: not within 15 s" == machine(found, "report").why
    assert (None, False) == (found.achieved, found.is_within)
    assert machine(found, "cache").seconds is None


def test_a_gate_that_is_passed_over_is_not_passed() -> None:
    run = run_of(shop(), Mode.FAILOVER, "gate/cache/1")
    failed = run.tasks["gate/cache/1"]
    passed = replace(failed, what=What.DONE, passed_over="bob@desk (pid 7)")
    found = report(replace(run, tasks={**run.tasks, "gate/cache/1": passed}))
    cache = machine(found, "cache")
    assert (Ended.PASSED_OVER, 1, 0) == (cache.ended, cache.gates, cache.gates_passed)
    assert "passed over by bob@desk: cache: wait for port 6379: not within 15 s" == cache.why
    assert (None, None) == (cache.seconds, found.achieved)
    assert ["bob@desk"] == [step.passed_over for step in found.that(Ended.PASSED_OVER)]


def test_what_a_machine_has_to_prove_to_one_other_says_nothing_about_itself() -> None:
    db, app = machine_address("db"), machine_address("app")
    plan = shop()
    machines = [
        replace(item, edges={db: (Check("agent"),)}) if item.address == app else item
        for item in plan.machines
    ]
    asking = replace(plan, machines=tuple(machines))
    found = report(run_of(asking, Mode.FAILOVER, "gate/db/for/app/1"))
    states = {item.address.partition("/")[2]: item.ended for item in found.machines}
    expected = {"db": Ended.DONE, "cache": Ended.DONE, "report": Ended.DONE}
    assert {**expected, "app": Ended.HELD, "web": Ended.HELD} == states
    assert [(1, 1), (1, 0)] == [
        (item.gates, item.gates_passed) for item in (machine(found, name) for name in ("db", "app"))
    ]


def test_a_machine_whose_own_disks_failed_is_not_called_held_back() -> None:
    found = report(run_of(shop(), Mode.FAILOVER, "promote/db"))
    assert (Ended.FAILED, Ended.HELD) == (machine(found, "db").ended, machine(found, "app").ended)


def test_a_point_that_is_dated_behind_the_fencing_tells_nothing_of_the_loss() -> None:
    choose = {"choose/db": {"loss": None, "ahead": 7200.0}}
    db = machine(report(run_of(shop(), Mode.FAILOVER, results=choose)), "db")
    assert (7200.0, None, None) == (db.ahead, db.loss, db.is_within)


@pytest.mark.parametrize(("after", "loss"), [(1.0, 0.0), (3600.0, None)])
def test_a_drill_from_a_point_that_is_younger_than_its_beginning(
    after: float, loss: float | None
) -> None:
    """Copying goes on while it begins; but nothing is taken after its disks were made."""
    taken = (BEGAN + timedelta(seconds=after)).isoformat()
    stage = {"stage/db": {"taken": taken, "point": "p8"}}
    db = machine(report(run_of(shop(), Mode.TEST, results=stage)), "db")
    assert (loss, loss is None) == (db.loss, db.ahead is not None)


def test_a_point_beyond_its_objective() -> None:
    found = report(run_of(shop(), Mode.FAILOVER, results={"choose/db": {"loss": 901.0}}))
    assert (False, True) == (machine(found, "db").is_within, machine(found, "web").is_within)


@pytest.mark.parametrize("mode", [Mode.FAILOVER, Mode.TEST])
@pytest.mark.parametrize("in_step", [True, False])
def test_of_a_mirror_no_age_of_a_point_says_what_is_lost(mode: Mode, in_step: bool) -> None:
    task = {Mode.FAILOVER: "choose/db", Mode.TEST: "stage/db"}[mode]
    told = {task: {"continuous": True, "inStep": in_step}}
    db = machine(report(run_of(shop(), mode, results=told)), "db")
    assert (in_step, None, None) == (db.in_step, db.loss, db.is_within)


def test_a_migration_loses_nothing() -> None:
    found = report(run_of(shop(), Mode.MIGRATE))
    db = machine(found, "db")
    assert (0.0, True, 4096, None) == (db.loss, db.is_within, db.moved, db.since_fenced)


def test_a_migration_that_was_not_synchronised_last_promises_nothing() -> None:
    found = report(run_of(shop(), Mode.MIGRATE, "last-synchronise/db"))
    assert machine(found, "db").loss is None


def test_a_drill_and_what_it_left() -> None:
    run, cleared = run_of(shop(), Mode.TEST), run_of(shop(), Mode.CLEANUP, run="cleared")
    assert report(run).left is None
    found = report(run, cleared)
    assert found.left is not None
    assert ("cleared", (), 9) == (found.left.run, found.left.things, found.left.looked)
    assert 40.0 == machine(found, "db").loss


@pytest.mark.parametrize(
    ("code", "expected"), [("PRV7083", ("a", "b")), ("PRV5001", None)], ids=["counted", "not"]
)
def test_what_is_left_is_named_where_it_was_counted(
    code: str, expected: tuple[str, ...] | None
) -> None:
    cleared = run_of(shop(), Mode.CLEANUP)
    failed = replace(
        cleared.tasks["left"], what=What.FAILED, diagnostic=error(code, "left", detail="a\nb")
    )
    found = report(replace(cleared, tasks={**cleared.tasks, "left": failed}))
    assert found.left is not None
    assert expected == found.left.things


def test_the_critical_path_goes_back_from_the_end_by_what_was_waited_for() -> None:
    found = report(run_of(shop(), Mode.FAILOVER))
    path = [step.task.id for step in found.critical_path]
    assert ("begin", "gate/web/1") == (path[0], path[-1])
    tasks = {step.task.id: step.task for step in found.steps}
    assert all(before in tasks[after].awaits for before, after in pairwise(path))


def test_a_run_that_is_under_way_is_told_as_far_as_it_is() -> None:
    run = run_of(shop(), Mode.FAILOVER)
    begun = replace(run.tasks["start/web"], what=What.BEGUN, ended=None)
    gate = replace(run.tasks["gate/web/1"], what=None, begun=None, ended=None)
    tasks = {**run.tasks, "start/web": begun, "gate/web/1": gate}
    open_run = Run(replace(run.record, ended=None, outcome=None), run.runbook, tasks)
    found = report(open_run)
    assert (None, None, Ended.UNDER_WAY) == (
        found.seconds,
        found.achieved,
        machine(found, "web").ended,
    )


def test_what_nobody_saw_end_is_named_as_given_up() -> None:
    run = run_of(shop(), Mode.FAILOVER, "promote/db")
    tasks = {
        **run.tasks,
        "promote/db": replace(run.tasks["promote/db"], abandoned=True),
        "start/cache": replace(run.tasks["start/cache"], what=What.INTERRUPTED),
        "start/web": replace(run.tasks["start/web"], what=What.BEGUN, ended=None),
    }
    found = report(replace(run, tasks=tasks))
    why = {step.task.id: step.why for step in found.abandoned}
    assert {"promote/db", "start/cache", "start/web"} == why.keys()
    assert why["start/cache"].startswith("the run was ended while it waited")
    assert why["start/web"].startswith("its process was killed while it was under way")
    assert {"promote/db"} == {step.task.id for step in found.that(Ended.FAILED)}
    assert {"start/cache", "start/web"} == {step.task.id for step in found.that(Ended.GIVEN_UP)}


def test_of_a_step_that_was_begun_again_the_last_time_is_told_and_how_often() -> None:
    run = run_of(shop(), Mode.FAILOVER)
    tasks = {**run.tasks, "start/db": replace(run.tasks["start/db"], beginnings=3)}
    found = report(replace(run, tasks=tasks))
    assert [("start/db", 3)] == [(step.task.id, step.beginnings) for step in found.repeated]


def test_a_plan_without_an_objective_misses_none() -> None:
    found = report(run_of(shop(time_objective=None), Mode.FAILOVER))
    assert (None, None) == (found.objective, found.is_within)
