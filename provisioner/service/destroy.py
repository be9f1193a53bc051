"""Planning the removal of what a stack has made; the plan is carried out by
:mod:`provisioner.service.apply`."""

from __future__ import annotations

from provisioner.service.model import EventSink, Plan
from provisioner.service.plan import PlanChoices, plan_of
from provisioner.service.workspace import Workspace


def make_destroy_plan(
    workspace: Workspace, choices: PlanChoices, sink: EventSink, *, recorded_only: bool = False
) -> Plan:
    """A plan that removes everything recorded, dependents first; data that is to be kept is
    forgotten, not deleted.

    With ``recorded_only`` the manifests are not read: what state knows of endpoints and protection
    is used.
    """
    if recorded_only:
        workspace.require_state()
        return plan_of(workspace, None, workspace.stack_name(), choices, sink, destroy=True)
    stack = workspace.load(sink)
    return plan_of(workspace, stack, stack.name, choices, sink, destroy=True)
