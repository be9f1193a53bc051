"""The readiness of recovery plans, as text and as JSON. What is wrong is shown as diagnostics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioner.cli.render.diagnostics import diagnostic_json
from provisioner.cli.render.runs import duration
from provisioner.cli.render.text import Paint, count
from provisioner.core.diagnostics import Severity
from provisioner.service.recovery.checking import PlanReadiness, Readiness
from provisioner.service.recovery.outlook import ASSUMED


def render_readiness(found: Readiness, paint: Paint) -> Iterator[str]:
    """A line for each plan, and one for what belongs to none."""
    for item in found.plans:
        way = "" if item.plan is None else f" from {item.plan.here} to {item.plan.there}"
        what = f"{item.address}: {count(len(item.machines), 'machine')}{way}"
        if item.ready:
            yield f"{what}, {paint('strong', 'ready')}{_predicted(item)}."
        else:
            errors = sum(one.severity is Severity.ERROR for one in item.found)
            yield f"{what}, {paint('error', 'not ready')}: {count(errors, 'error')}."
    if found.others:
        yield f"{count(len(found.others), 'machine')} in no plan."


def _predicted(item: PlanReadiness) -> str:
    if item.predicted is None or item.foreseen is None:
        return ""
    seen = item.foreseen
    text = f"; a failover takes about {duration(seen.seconds)}"
    if seen.assumed:
        text += (
            f", with {ASSUMED:g} s assumed of {seen.assumed:,} of {count(len(seen.steps), 'step')}"
        )
    return text


def readiness_json(found: Readiness) -> dict[str, Any]:
    """The same for programs, with everything that was found."""
    return {
        "ready": found.ready,
        "plans": [
            {
                "plan": item.address.name,
                "ready": item.ready,
                "sites": list(item.plan.sites) if item.plan is not None else None,
                "machines": [str(address) for address in item.machines],
                "predictedSeconds": item.predicted,
                "assumedSteps": item.foreseen.assumed if item.foreseen is not None else None,
                "findings": [diagnostic_json(one) for one in item.found],
            }
            for item in found.plans
        ],
        "findings": [diagnostic_json(one) for one in found.others],
    }
