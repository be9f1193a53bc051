"""Planning to take over what exists already and is nobody's, and to do nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.core.address import Address, AddressPattern, near
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.service.model import EventSink, Plan
from provisioner.service.plan import PlanChoices, plan_of
from provisioner.service.secrets import missing_secrets
from provisioner.service.workspace import Workspace

__all__ = ["make_adoption_plan"]

_EVERYTHING = AddressPattern("*", "*")


def make_adoption_plan(
    workspace: Workspace, patterns: Sequence[AddressPattern], sink: EventSink
) -> Plan:
    """A plan of nothing but ``adopt`` steps: of the declared resources that one of the ``patterns``
    matches (of all, if there is none), those that exist and that are nobody's, or ours and not
    recorded. What differs from its manifest stays so: that is for the next plan.

    Raises ProvisionerError with every problem found, PRV2002 for a pattern that matches nothing.
    """
    name, state = workspace.applied()
    stack = workspace.load(sink, state)
    known = [
        *missing_secrets(stack, workspace.secrets),
        *(
            _unmatched(pattern, list(stack.declarations))
            for pattern in patterns
            if not any(map(pattern.matches, stack.declarations))
        ),
    ]
    if name != stack.name:
        state = workspace.read_state(stack.name)
    choices = PlanChoices(adopt=tuple(patterns) or (_EVERYTHING,), only_adopt=True)
    return plan_of(workspace, stack, state, choices, sink, destroy=False, known=known)


def _unmatched(pattern: AddressPattern, declared: list[Address]) -> Diagnostic:
    meant = near(pattern.kind, pattern.name, declared)
    return error(
        "PRV2002",
        f"{pattern} matches no resource of the manifests",
        hint=f"Did you mean {meant[0]}?"
        if meant
        else "'provisioner show' lists what is declared; 'provisioner discover' writes manifests "
        "of what is there.",
    )
