"""Drift as JSON for programs, in the format that schemas/results/drift.v1.schema.json describes.

Sensitive values are masked.
"""

from __future__ import annotations

from typing import Any

from provisioner.cli.render.drift import counts, summary
from provisioner.cli.render.values import Vocabulary, masked
from provisioner.service.drift import (
    Difference,
    DriftReport,
    Effect,
    FailedAttempt,
    IgnoreRule,
    NextStep,
    ResourceDrift,
)

FORMAT = "provisioner.drift/1"


def drift_json(report: DriftReport, vocabulary: Vocabulary) -> dict[str, Any]:
    """The whole report as plain data."""
    apply = report.apply
    return {
        "format": FORMAT,
        "stack": report.stack,
        "environment": report.environment,
        "at": report.at,
        "drifted": bool(report.drifted),
        "summary": summary(report),
        "counts": {condition.value: number for condition, number in counts(report).items()},
        "ignored": report.ignored,
        "resources": [_resource(item, vocabulary) for item in report.resources],
        "rules": [
            {**_rule(use.rule), "matched": use.matched, "source": use.rule.source.as_json()}
            for use in report.rules
        ],
        "problems": [item.as_json() for item in report.problems],
        "apply": None
        if apply is None
        else {
            "planned": apply.planned,
            "refused": apply.refused,
            "problems": [item.as_json() for item in apply.problems],
        },
    }


def _resource(item: ResourceDrift, vocabulary: Vocabulary) -> dict[str, Any]:
    kind = item.address.kind
    data: dict[str, Any] = {
        "address": str(item.address),
        "condition": item.condition.value,
        "found": item.found.value,
    }
    whole = item.whole
    if whole is not None:
        data |= _origin(whole)
    fields = [_field(one, kind, vocabulary) for one in item.differences if one.path]
    if fields:
        data["fields"] = fields
    if item.next is not None:
        data["next"] = _step(item.next)
    if item.failure is not None:
        data["failure"] = _failure(item.failure)
    if item.problem is not None:
        data["problem"] = item.problem.as_json()
    return data


def _origin(item: Difference) -> dict[str, Any]:
    data: dict[str, Any] = {} if item.cause is None else {"cause": item.cause.value}
    data["firstSeen"] = item.first_seen
    if item.ignored is not None:
        data["ignored"] = _rule(item.ignored)
    return data


def _field(item: Difference, kind: str, vocabulary: Vocabulary) -> dict[str, Any]:
    def shown(value: Any) -> Any:
        return masked(value, kind, vocabulary, item.path)

    data = {
        "path": list(item.path),
        "recorded": shown(item.recorded),
        "observed": shown(item.observed),
    }
    if item.differs_running:
        data["running"] = shown(item.running)
    data |= _origin(item)
    if item.next is not None:
        data["next"] = {"effect": item.next.effect.value}
        if item.next.effect in (Effect.SET, Effect.SET_LATER):
            data["next"] |= {
                "value": shown(item.next.value),
                "impact": item.next.impact.value,
                "reason": item.next.reason,
            }
    return data


def _step(step: NextStep) -> dict[str, Any]:
    if step.unknown is not None:
        return {"action": "unknown", "reason": step.unknown}
    if step.action is None:
        return {"action": "none", "reason": step.reason}
    data = {
        "action": step.action.value,
        "impact": step.impact.value,
        "reason": step.reason,
        "refused": step.refused,
    }
    return data if step.held is None else {**data, "held": step.held}


def _failure(attempt: FailedAttempt) -> dict[str, Any]:
    record, failure = attempt.intent, attempt.failure
    return {
        "operation": record.operation,
        "action": record.action,
        "at": record.at,
        "outcome": "interrupted" if failure is None else "failed",
        "summary": "" if failure is None else str(failure.detail.get("summary", "")),
    }


def _rule(rule: IgnoreRule) -> dict[str, Any]:
    return {
        "address": str(rule.address),
        "field": str(rule.field),
        "reason": rule.reason,
        "until": rule.until.isoformat(),
    }
