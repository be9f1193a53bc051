"""Drift as people read it: which resource is not as it was applied, and in which fields."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioner.cli.render.diagnostics import render_diagnostic
from provisioner.cli.render.text import Paint, column_of, count, pair, plain, wrap
from provisioner.cli.render.values import SENSITIVE, Vocabulary, render_value
from provisioner.core.values import path_text
from provisioner.service.drift import Condition, DriftedField, DriftReport, ResourceDrift

_ROLES = {
    Condition.DRIFTED: "change",
    Condition.MISSING: "destroy",
    Condition.FOREIGN: "destroy",
    Condition.UNKNOWN: "error",
    Condition.RESTART_PENDING: "note",
}
_EXPLANATIONS = {
    Condition.MISSING: "it is gone; apply would create it again",
    Condition.FOREIGN: "what is found under its name does not carry our stamp",
    Condition.RESTART_PENDING: "already applied; a restart brings them into force",
}


def render_drift(
    report: DriftReport, vocabulary: Vocabulary, width: int = 80, paint: Paint = plain
) -> list[str]:
    """Everything that is not as recorded, and a summary."""
    lines: list[str] = []
    for item in report.resources:
        if item.condition is not Condition.CONVERGED:
            lines += [*_resource(item, vocabulary, width, paint), ""]
    return [*lines, *wrap(summary(report), width)]


def summary(report: DriftReport) -> str:
    """``Drift: 1 drifted, 2 missing; 7 as applied.``"""
    conditions = [item.condition for item in report.resources]
    parts = [
        f"{conditions.count(condition):,} {condition.value}"
        for condition in Condition
        if condition is not Condition.CONVERGED and condition in conditions
    ]
    calm = conditions.count(Condition.CONVERGED)
    if not parts:
        return f"No drift: {count(calm, 'resource')} as applied."
    title = "Drift" if report.drifted else "No drift"
    return f"{title}: {', '.join(parts)}; {calm:,} as applied."


def _resource(
    item: ResourceDrift, vocabulary: Vocabulary, width: int, paint: Paint
) -> Iterator[str]:
    yield f"{paint(_ROLES[item.condition], str(item.address))}  {item.condition.value}"
    if item.condition in _EXPLANATIONS:
        yield from wrap(_EXPLANATIONS[item.condition], width, "    ")
    if item.problem is not None:
        yield from (f"    {line}" for line in render_diagnostic(item.problem, width - 4, paint))
    column = column_of(path_text(field.path) for field in item.fields)
    for field in item.fields:
        text = _field(field, item.address.kind, vocabulary)
        yield from pair(path_text(field.path), text, column, width, "    ")


def _field(field: DriftedField, kind: str, vocabulary: Vocabulary) -> str:
    recorded, observed, running = (
        render_value(value, kind, field.path, vocabulary)
        for value in (field.recorded, field.observed, field.running)
    )
    if field.differs_running and field.recorded == field.observed:
        return f"applied {recorded}, in force {running}"
    text = f"applied {recorded}, now {observed}"
    return f"{text} (running {running})" if field.differs_running else text


def drift_json(report: DriftReport, vocabulary: Vocabulary) -> dict[str, Any]:
    """Plain data: every resource with its condition; fields with both values, sensitive ones
    masked."""
    return {
        "drifted": bool(report.drifted),
        "summary": summary(report),
        "resources": [_resource_json(item, vocabulary) for item in report.resources],
    }


def _resource_json(item: ResourceDrift, vocabulary: Vocabulary) -> dict[str, Any]:
    data: dict[str, Any] = {"address": str(item.address), "condition": item.condition.value}
    if item.fields:
        data["fields"] = [
            _field_json(field, item.address.kind, vocabulary) for field in item.fields
        ]
    if item.problem is not None:
        data["problem"] = item.problem.as_json()
    return data


def _field_json(field: DriftedField, kind: str, vocabulary: Vocabulary) -> dict[str, Any]:
    values = {"recorded": field.recorded, "observed": field.observed}
    if field.differs_running:
        values["running"] = field.running
    if vocabulary.is_sensitive(kind, field.path):
        values = dict.fromkeys(values, SENSITIVE)
    return {"path": list(field.path), **values}
