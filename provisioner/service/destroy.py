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
        name = workspace.stack_name()
        return plan_of(workspace, name, workspace.read_state(name), choices, sink, destroy=True)
    stack = workspace.load(sink)
    state = workspace.read_state(stack.name)
    return plan_of(workspace, stack, state, choices, sink, destroy=True)
