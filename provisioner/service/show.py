"""What is known of a stack and of one resource without asking any endpoint."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.core.address import Address, near
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.engine.graph import ResourceGraph
from provisioner.service.model import Declaration, Entry, Stack, State
from provisioner.service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class StackView:
    """A stack and what was recorded of it; ``state`` is None where nothing ever was."""

    stack: Stack
    state: State | None


@dataclass(frozen=True, slots=True)
class ResourceView:
    """One resource: as declared, as recorded, and who needs it. At least one of the first two is
    there."""

    address: Address
    declaration: Declaration | None
    entry: Entry | None
    dependencies: tuple[Address, ...]
    dependents: tuple[Address, ...]
    is_policy: bool = False
    """Whether nothing is made of it, so that nothing is ever recorded."""


def view_stack(workspace: Workspace) -> StackView:
    """Everything declared and recorded; raises ProvisionerError if the manifests have errors."""
    return StackView(workspace.load(), _state(workspace))


def view_resource(workspace: Workspace, address: Address) -> ResourceView:
    """One resource; raises ProvisionerError (PRV6007) if it is neither declared nor recorded."""
    view = view_stack(workspace)
    declaration = view.stack.declarations.get(address)
    entries = view.state.entries if view.state is not None else {}
    entry = entries.get(address)
    policy = view.stack.policies.get(address)
    if policy is not None:
        needed = tuple(sorted({reference.target for reference in policy.references}))
        others = view.stack.policies.values()
        users = tuple(sorted(item.address for item in others if _refers(item, address)))
        return ResourceView(address, policy, None, needed, users, is_policy=True)
    if declaration is None and entry is None:
        known = [*view.stack.declarations, *view.stack.policies, *entries]
        raise ProvisionerError(_unknown(address, known))
    if declaration is None:
        dependents = tuple(
            sorted(other for other, found in entries.items() if address in found.dependencies)
        )
        return ResourceView(address, None, entry, entry.dependencies if entry else (), dependents)
    graph = ResourceGraph.of(view.stack)
    return ResourceView(
        address,
        declaration,
        entry,
        tuple(graph.dependencies(address)),
        tuple(graph.dependents(address)),
    )


def _state(workspace: Workspace) -> State | None:
    return workspace.read_state(workspace.stack_name()) if workspace.has_state else None


def _refers(policy: Declaration, address: Address) -> bool:
    return any(reference.target == address for reference in policy.references)


def _unknown(address: Address, known: list[Address]) -> Diagnostic:
    meant = near(address.kind, address.name, known)
    return error(
        "PRV6007",
        f"{address} is neither declared nor recorded",
        hint=f"Did you mean {meant[0]}?" if meant else "'provisioner show' lists what there is.",
    )
