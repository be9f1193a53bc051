"""What a recovery plan would do now as JSON, in the format that
schemas/results/recovery-outlook.v1.schema.json describes.
"""

from __future__ import annotations

from typing import Any

from provisioner.cli.render.runs import record_json
from provisioner.service.recovery.outlook import Foreseen, Part, Planned, Since

FORMAT = "provisioner.recovery-outlook/1"


def outlook_json(planned: Planned) -> dict[str, Any]:
    """The whole of it as plain data."""
    plan, seen = planned.plan, planned.outlook
    return {
        "format": FORMAT,
        "plan": plan.name,
        "stack": plan.stack,
        "mode": planned.mode,
        "from": plan.here,
        "to": plan.there,
        "machines": [str(machine.address) for machine in plan.machines],
        "compiled": plan.compiled.isoformat(),
        "digest": seen.runbook.digest,
        "seconds": seen.seconds,
        "p95Seconds": seen.p95,
        "criticalSeconds": seen.critical_seconds,
        "objectiveSeconds": seen.objective,
        "within": seen.is_within,
        "assumed": seen.assumed,
        "lanes": dict(seen.runbook.lanes),
        "steps": [_step(step) for step in seen.steps],
        "since": [_since(since) for since in planned.since],
    }


def _step(step: Foreseen) -> dict[str, Any]:
    task, estimate = step.task, step.estimate
    return {
        "id": task.id,
        "title": task.title,
        "action": task.action,
        "subject": task.subject or None,
        "stage": task.stage,
        "lane": task.lane or None,
        "needs": list(task.needs),
        "after": list(task.after),
        "onFailure": str(task.on_failure),
        "deadlineSeconds": task.seconds,
        "start": step.span.start,
        "end": step.span.end,
        "seconds": step.seconds,
        "p95Seconds": None if estimate is None else estimate.p95,
        "basis": _basis(step),
        "samples": 0 if estimate is None else estimate.samples,
        "critical": step.critical,
    }


def _basis(step: Foreseen) -> str:
    if step.estimate is not None:
        return str(step.estimate.basis)
    return "assumed" if step.is_assumed else "instant"


def _since(since: Since) -> dict[str, Any]:
    comparison = since.comparison
    return {
        "what": since.what,
        "run": record_json(since.record),
        "approvals": dict(since.approvals),
        "samePlan": comparison.same_plan,
        "same": comparison.is_same,
        "lanes": [_part(part) for part in comparison.lanes],
        "differences": [
            {
                "kind": str(item.kind),
                "task": item.task.id,
                "title": item.task.title,
                "parts": [_part(part) for part in item.parts],
            }
            for item in comparison.differences
        ],
    }


def _part(part: Part) -> dict[str, Any]:
    return {"name": part.name, "before": part.before, "now": part.now}
