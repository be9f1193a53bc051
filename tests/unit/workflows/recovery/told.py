"""Runs of recovery plans for tests, as a journal would tell of them, made by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from provisioner.core.diagnostics import error
from provisioner.workflows.recovery.model import Check, Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import runbook_of
from provisioner.workflows.runbook import OnFailure, Runbook, Task
from provisioner.workflows.runs import Carrier, Entry, Outcome, Run, RunRecord, What
from provisioner.workflows.schedule import schedule
from tests.unit.workflows.recovery.plans import machine_address, plan_of, planned

BEGAN = datetime(2026, 3, 1, 2, 59, 7, tzinfo=UTC)
SECONDS = {
    "begin": 2.0,
    "check": 15.0,
    "off": 3.0,
    "release": 1.0,
    "choose": 1.0,
    "promote": 8.0,
    "start": 20.0,
    "power-on": 20.0,
    "stage": 4.0,
    "synchronise": 30.0,
}
"""How long actions take; the others take no time."""
LATE = error("PRV7086", "cache: wait for port 6379: not within 15 s", hint="Look at the machine.")


def shop(**rest: Any) -> RecoveryPlan:
    """Three tiers: a database; a cache and an application that needs both; a web server."""
    serial = Check("serial", {"text": "up"}, seconds=60.0)
    machines = [
        planned("db", tier=1, gates=(serial,)),
        planned("cache", tier=2, gates=(Check("tcp", {"port": 6379}, seconds=15.0),)),
        planned("app", tier=2, needs=(machine_address("db"),), gates=(serial,)),
        planned("report", tier=2, needs=(machine_address("cache"),)),
        planned("web", tier=3, needs=(machine_address("app"),), gates=(serial,)),
    ]
    return plan_of(machines, **{"time_objective": 300.0, "approvals": {"ops": 1}, **rest})


def many(number: int) -> RecoveryPlan:
    """So many machines in three tiers."""
    gate = Check("serial", {"text": "up"}, seconds=60.0)
    machines = [planned(f"vm-{n}", tier=1 + n % 3, gates=(gate,)) for n in range(number)]
    return plan_of(machines, starts={"host-a": 64, "host-b": 64}, time_objective=7200.0)


def run_of(
    plan: RecoveryPlan,
    mode: Mode,
    *failing: str,
    results: Mapping[str, Mapping[str, Any]] | None = None,
    run: str = "20260301T025907Z-4",
) -> Run:
    """A run of a mode in which the tasks ``failing`` fail; what needs them is held back. What
    tasks found out is as actions tell it, or as in ``results`` by task.
    """
    runbook = runbook_of(plan, mode)
    times = schedule(runbook, {task.id: SECONDS.get(task.action, 0.0) for task in runbook.tasks})
    held = _held(runbook, set(failing))
    told: list[tuple[float, What, Task, Mapping[str, Any]]] = []
    for task in runbook.tasks:
        span = times.spans[task.id]
        if task.id in held:
            told.append((span.start, What.HELD, task, {"cause": held[task.id]}))
            continue
        told.append((span.start, What.BEGUN, task, {}))
        if task.id in failing:
            detail = {"diagnostic": LATE.as_json(), "attempt": 1}
            told.append((span.end, What.FAILED, task, detail))
            continue
        if task.id.startswith("approve/"):
            told.append((span.end, What.ANSWERED, task, {"text": "yes"}))
        result = {**_result(task, span.end), **(results or {}).get(task.id, {})}
        told.append((span.end, What.DONE, task, {"result": result, "observed": False}))
    entries = [
        Entry(
            number,
            run,
            what,
            task.id,
            BEGAN + timedelta(seconds=at),
            "bob@desk (pid 7)" if what is What.ANSWERED else "",
            times.spans[task.id].end - times.spans[task.id].start,
            detail,
        )
        for number, (at, what, task, detail) in enumerate(told, 2)
    ]
    carried = Entry(
        1, run, What.CARRIED, "", BEGAN, "ann@ops (pid 5)", None, {"host": "ops", "pid": 5}
    )
    record = RunRecord(
        id=run,
        name=plan.name,
        mode=str(mode),
        digest=runbook.digest,
        actor="ann@ops (pid 5)",
        started=BEGAN,
        ended=BEGAN + timedelta(seconds=times.makespan),
        outcome=Outcome.IN_PART if failing else Outcome.SUCCEEDED,
        undoes=None,
        carrier=Carrier("ann@ops (pid 5)", "ops", 5, BEGAN, 1),
    )
    return Run.of(record, runbook, [carried, *entries])


def _held(runbook: Runbook, failing: set[str]) -> dict[str, str]:
    held: dict[str, str] = {}
    for task in runbook.tasks:
        for needed in task.needs:
            if needed in failing and runbook.by_id[needed].on_failure is OnFailure.HOLD:
                held[task.id] = needed
            elif needed in held:
                held[task.id] = held[needed]
    return held


def _result(task: Task, end: float) -> dict[str, Any]:
    at = (BEGAN + timedelta(seconds=end)).isoformat()
    taken = {"taken": (BEGAN - timedelta(seconds=40)).isoformat(), "point": "p7"}
    match task.action:
        case "fenced":
            return {"at": at}
        case "choose":
            return {**taken, "loss": 72.0, "objective": 900.0, "continuous": False}
        case "stage":
            return {**taken, "objective": 900.0}
        case "last-synchronise":
            return {**taken, "objective": 900.0, "moved": 4096}
        case "drill-left":
            return {"left": 0, "looked": 9, "at": at}
    return {}
