"""Whether the steps of a run are those that its plan has for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.values import canonical_json
from provisioner.workflows.recovery.model import Check, Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import drill_runbook, rollback_runbook, runbook_of
from provisioner.workflows.recovery.modes.tasks import SINCE, as_told
from provisioner.workflows.recovery.remaking import strange_tasks
from provisioner.workflows.runbook import Runbook
from tests.unit.workflows.recovery.plans import DB, WEB, plan_of, planned

GATE = Check("command", {"argv": ["well"]})
PLAN: RecoveryPlan = plan_of([planned("db", tier=1, gates=(GATE,)), planned("web", needs=(DB,))])
RUNBOOKS: Mapping[str, Runbook] = {
    **{str(mode): runbook_of(PLAN, mode) for mode in Mode},
    **{f"{mode} without": runbook_of(PLAN, mode, [WEB]) for mode in Mode},
    "a chosen point": drill_runbook(PLAN, {DB: "20260101T000000Z"}),
    "rollback": rollback_runbook(PLAN, [WEB]),
    "rollback of a lost site": rollback_runbook(PLAN, trusted=True),
    "told": as_told(runbook_of(PLAN, Mode.FAILOVER)),
}


def journaled(runbook: Runbook, **changes: Any) -> Runbook:
    """As a journal gives it back. ``changes``: of its last task that is a check."""
    read = Runbook.of(json.loads(canonical_json(runbook.as_json())))
    if not changes:
        return read
    last = [task.id for task in read.tasks if task.action == "check"][-1]
    tasks = [replace(task, **changes) if task.id == last else task for task in read.tasks]
    return replace(read, tasks=tasks)


def test_what_it_notes_of_a_run_before_is_not_what_it_does() -> None:
    runbook = RUNBOOKS["reprotect"]
    begin, *others = runbook.tasks
    noted = replace(begin, arguments={**begin.arguments, SINCE: {"mode": "failover", "at": ""}})
    assert () == strange_tasks(PLAN, journaled(replace(runbook, tasks=(noted, *others))))


@pytest.mark.parametrize("name", RUNBOOKS)
def test_a_runbook_is_made_again_from_what_stands_in_it(name: str) -> None:
    assert () == strange_tasks(PLAN, journaled(RUNBOOKS[name]))


def test_one_of_the_other_direction_is_that_of_the_plan_in_that_direction() -> None:
    turned = PLAN.turned()
    assert () == strange_tasks(turned, journaled(runbook_of(turned, Mode.MIGRATE)))
    assert () != strange_tasks(PLAN, journaled(runbook_of(turned, Mode.MIGRATE)))


@pytest.mark.parametrize(
    "change",
    [
        {"action": "milestone"},
        {"arguments": {"kind": "command", "arguments": {"argv": ["true"]}}},
        {"needs": ()},
        {"lasting": False},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_task_does_otherwise_is_told(change: Mapping[str, Any]) -> None:
    runbook = journaled(RUNBOOKS["failover"], **change)
    (found,) = strange_tasks(PLAN, runbook)
    assert "check" == RUNBOOKS["failover"].by_id[found].action


def test_its_wording_is_not_what_it_does() -> None:
    assert () == strange_tasks(PLAN, journaled(RUNBOOKS["failover"], title="otherwise", stage=""))


def test_a_task_that_is_missing_is_told() -> None:
    tasks = journaled(RUNBOOKS["failover"]).tasks[:-1]
    runbook = replace(RUNBOOKS["failover"], tasks=tasks)
    assert (RUNBOOKS["failover"].tasks[-1].id,) == strange_tasks(PLAN, runbook)


def test_choices_that_nobody_could_have_made_are_told() -> None:
    runbook = replace(RUNBOOKS["failover"], mode="nothing")
    assert ("begin",) == strange_tasks(PLAN, runbook)


def test_nor_is_the_order_of_what_it_waits_for() -> None:
    runbook = RUNBOOKS["cleanup"]
    tasks = [
        replace(task, after=task.after[::-1], needs=task.needs[::-1]) for task in runbook.tasks
    ]
    assert () == strange_tasks(PLAN, replace(runbook, tasks=tasks))
