"""A plan as JSON for programs: the document of the plan file, with what a reader would otherwise
have to work out. schemas/results/plan-view.v1.schema.json is its schema."""

from __future__ import annotations

from typing import Any

from provisioner.cli.render.gate import consent
from provisioner.cli.render.plan import summary
from provisioner.cli.render.values import Vocabulary, masked
from provisioner.service.model import Plan, plan_json

FORMAT = "provisioner.plan-view/1"


def plan_document(plan: Plan, vocabulary: Vocabulary) -> dict[str, Any]:
    """The plan's own document plus ``summary``, ``counts`` and ``refused``; sensitive values are
    masked.

    Because of the masking this is no plan file, and has a format of its own: ``plan -o`` writes
    plan files.
    """
    document = {**plan_json(plan), "format": FORMAT}
    for part in ("steps", "held"):
        document[part] = [_masked_step(step, vocabulary) for step in document[part]]
    for part in ("context", "refresh", "observed"):
        document[part] = [_masked_resource(item, vocabulary) for item in document[part]]
    for item in document.get("counterparts", ()):
        item["resource"] = _masked_resource(item["resource"], vocabulary)
        item["copies"] = [_masked_resource(copy, vocabulary) for copy in item["copies"]]
    document["counts"] = plan.counts()
    document["refused"] = [
        {"step": step.id, "impact": step.impact.value, "allowedBy": consent(step)}
        for step in plan.refused
    ]
    document["summary"] = summary(plan)
    return document


def _masked_step(step: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    kind = step["resource"]["address"].partition("/")[0]
    masked = {**step, "resource": _masked_resource(step["resource"], vocabulary)}
    if step["previous"] is not None:
        masked["previous"] = _masked_resource(step["previous"], vocabulary)
    masked["changes"] = [_masked_change(change, kind, vocabulary) for change in step["changes"]]
    return masked


def _masked_change(change: dict[str, Any], kind: str, vocabulary: Vocabulary) -> dict[str, Any]:
    path = tuple(change["path"])
    return {
        key: masked(value, kind, vocabulary, path)
        if key in ("before", "after", "running")
        else value
        for key, value in change.items()
    }


def _masked_resource(resource: dict[str, Any], vocabulary: Vocabulary) -> dict[str, Any]:
    kind = resource["address"].partition("/")[0]
    return {**resource, "spec": masked(resource["spec"], kind, vocabulary)}
