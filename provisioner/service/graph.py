"""The dependency graph of a stack, for drawing."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.core.address import Address
from provisioner.engine.graph import ResourceGraph
from provisioner.service.model import Stack
from provisioner.service.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Dependencies:
    """A stack's resources in an order of creation, what each needs directly, and the layers they
    form."""

    stack: Stack
    needs: dict[Address, tuple[Address, ...]]
    layers: tuple[tuple[Address, ...], ...]


def dependencies(workspace: Workspace) -> Dependencies:
    """Read the manifests only; raises ProvisionerError that shows the ring if there is a cycle."""
    stack = workspace.load()
    graph = ResourceGraph.of(stack)
    return Dependencies(
        stack,
        {address: tuple(graph.dependencies(address)) for address in graph.order()},
        tuple(tuple(layer) for layer in graph.layers()),
    )
