"""Compiling recovery plans, and storing them in signed files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.service.model import EventSink, Stack, State
from provisioner.service.recovery.keys import signing_key
from provisioner.service.workspace import Workspace
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.compiling import compile_plan
from provisioner.workflows.recovery.model import RecoveryPlan


@dataclass(frozen=True, slots=True)
class Compiled:
    """A plan that was stored: in which file, with which digest, signed by which key."""

    plan: RecoveryPlan
    path: Path
    digest: str
    key: str


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


def store_plan(
    workspace: Workspace, name: str, path: Path, key: Path | None, sink: EventSink
) -> Compiled:
    """Compile a plan and write it to ``path``, signed with the key in the file ``key`` or with the
    user's own. Raises ProvisionerError; then nothing is written.
    """
    signing = signing_key(key, workspace.configuration, workspace.root)
    plan = compiled_plan(workspace, name, sink)
    return Compiled(plan, path, storing.write(plan, signing, path), signing.id)
