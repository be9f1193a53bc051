"""Compiling recovery plans from a stack's folder."""

from __future__ import annotations

from provisioner.service.model import EventSink, Stack, State
from provisioner.service.workspace import Workspace
from provisioner.workflows.recovery.compiling import compile_plan
from provisioner.workflows.recovery.model import RecoveryPlan


def loaded(workspace: Workspace, sink: EventSink) -> tuple[Stack, State]:
    """The stack of a folder and what was applied of it; raises ProvisionerError with every error in
    its manifests.
    """
    name, state = workspace.applied()
    stack = workspace.load(sink, state)
    return stack, state if name == stack.name else workspace.read_state(stack.name)


def compiled_plan(workspace: Workspace, name: str, sink: EventSink) -> RecoveryPlan:
    """The plan called ``name`` as it would be carried out now; no endpoint is asked. Raises
    ProvisionerError with every problem found.
    """
    stack, state = loaded(workspace, sink)
    return compile_from(workspace, name, stack, state)


def compile_from(workspace: Workspace, name: str, stack: Stack, state: State) -> RecoveryPlan:
    """The same for a stack that is loaded already."""
    return compile_plan(
        name,
        stack,
        state,
        rules=workspace.catalog,
        registry=workspace.registry,
        now=workspace.clock.now(),
        actor=workspace.actor,
    )
