"""Where runs stand that did not succeed, and what may begin beside them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from provisioner.workflows.recovery.model import Check, Fencing, Mode
from provisioner.workflows.recovery.modes import rollback_runbook, runbook_of
from provisioner.workflows.recovery.standing import Standing, may_begin, standing
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import Outcome, Run, TaskState, What
from tests.unit.workflows.recovery.told import BEGAN, run_of, shop

ALL = set(Mode)
NO_MORE = {"start/db", "start/cache", "start/app", "start/report", "start/web"}


def of(runbook: Runbook, *failing: str) -> Run:
    """A run in which these tasks fail, and whatever needs them is not begun."""
    found: dict[str, TaskState] = {}
    for task in runbook.tasks:
        if task.id in failing:
            found[task.id] = TaskState(task.id, What.FAILED, BEGAN, BEGAN, beginnings=1)
        elif all(found[item].is_done for item in task.needs):
            found[task.id] = TaskState(task.id, What.DONE, BEGAN, BEGAN, beginnings=1)
        else:
            found[task.id] = TaskState(task.id, What.SKIPPED)
    run = run_of(shop(), Mode.MIGRATE)
    outcome = Outcome.IN_PART if failing else Outcome.SUCCEEDED
    record = replace(run.record, mode=runbook.mode, outcome=outcome)
    return replace(run, record=record, runbook=runbook, tasks=found)


def stopped_at(mode: Mode, *failing: str) -> Run:
    return of(runbook_of(shop(), mode), *failing)


def rolled_back(*failing: str) -> Run:
    return of(rollback_runbook(shop()), *failing)


def allowed(run: Run) -> set[Mode]:
    return {mode for mode in Mode if may_begin(run, mode)}


@pytest.mark.parametrize(
    ("run", "expected", "may"),
    [
        (stopped_at(Mode.FAILOVER), Standing.WHOLE, ALL),
        (stopped_at(Mode.FAILOVER, "approve/ops/1"), Standing.UNTOUCHED, ALL),
        (stopped_at(Mode.FAILOVER, "points"), Standing.UNTOUCHED, ALL),
        (stopped_at(Mode.FAILOVER, "fence/1"), Standing.TOUCHED, {Mode.FAILOVER}),
        (stopped_at(Mode.FAILOVER, "choose/db"), Standing.TURNED, set()),
        (stopped_at(Mode.FAILOVER, *NO_MORE), Standing.TURNED, set()),
        (stopped_at(Mode.FAILOVER, "gate/web/1"), Standing.ARRIVED, {Mode.REPROTECT}),
        (stopped_at(Mode.MIGRATE, "synchronise/db"), Standing.UNTOUCHED, ALL),
        (stopped_at(Mode.MIGRATE, "stop/web"), Standing.TOUCHED, {Mode.FAILOVER}),
        (stopped_at(Mode.MIGRATE, "promote/db"), Standing.TURNED, set()),
        (stopped_at(Mode.REPROTECT, "begin"), Standing.UNTOUCHED, ALL),
        (stopped_at(Mode.REPROTECT, "seed/db"), Standing.TOUCHED, {Mode.FAILOVER, Mode.REPROTECT}),
        (stopped_at(Mode.TEST, "start/db"), Standing.UNTOUCHED, ALL),
        (stopped_at(Mode.CLEANUP, "left"), Standing.UNTOUCHED, ALL),
        (rolled_back("all-off"), Standing.UNTOUCHED, ALL),
        (rolled_back("turn"), Standing.TOUCHED, {Mode.FAILOVER}),
        (rolled_back("start/db"), Standing.TURNED, {Mode.FAILOVER}),
        (rolled_back("gate/db/1"), Standing.TURNED, {Mode.FAILOVER}),
        (rolled_back("gate/web/1"), Standing.ARRIVED, ALL),
    ],
)
def test_where_a_run_stands_and_what_may_begin(
    run: Run, expected: Standing, may: set[Mode]
) -> None:
    assert (expected, may) == (standing(run), allowed(run))


def test_what_was_given_up_stands_in_nobody_s_way() -> None:
    run = replace(stopped_at(Mode.FAILOVER, "choose/db"), given_up=True)
    assert (Standing.WHOLE, ALL) == (standing(run), allowed(run))


def test_a_question_cuts_nothing_off() -> None:
    plan = shop(fencing=Fencing((Check("prompt", {"text": "?"}),)))
    assert Standing.UNTOUCHED is standing(of(runbook_of(plan, Mode.FAILOVER), "fence/1"))


def test_what_was_begun_once_is_not_forgotten_when_it_is_skipped_later() -> None:
    run = stopped_at(Mode.MIGRATE, "synchronise/db")
    skipped = TaskState("stop/web", What.SKIPPED, beginnings=1)
    run = replace(run, tasks={**run.tasks, "stop/web": skipped})
    assert (Standing.TOUCHED, {Mode.FAILOVER}) == (standing(run), allowed(run))
