"""Finding out where reality differs from what the last apply recorded. Changes nothing."""

from __future__ import annotations

from provisioner.engine.drift import (
    Condition,
    DriftedField,
    DriftReport,
    ResourceDrift,
    find_drift,
)
from provisioner.engine.prepare import survey
from provisioner.service.model import EventSink
from provisioner.service.plan import PlanChoices
from provisioner.service.workspace import Workspace

__all__ = ["Condition", "DriftReport", "DriftedField", "ResourceDrift", "detect_drift"]


def detect_drift(workspace: Workspace, choices: PlanChoices, sink: EventSink) -> DriftReport:
    """Compare every recorded resource that is selected with what its endpoint says now.

    Of the manifests only those of hosts count, for how to connect: an edit of a resource that was
    not applied yet is no drift.
    """
    workspace.require_state()
    with workspace.recorded_store() as store:
        state = workspace.with_declared_hosts(store.read())
    with workspace.sessions(sink) as sessions:
        found = survey(
            None,
            state,
            sessions,
            rules=workspace.catalog,
            options=choices.options(workspace, destroy=False),
            sink=sink,
        )
    return find_drift(found, workspace.catalog)
