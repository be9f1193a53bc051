"""Brings what shall be at an endpoint into the form of its provider, amid what was applied there.

Used by :mod:`provisioner.workflows.recovery.compiling` for one plan. Nobody is connected to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.engine.plan import Known
from provisioner.engine.rules import Rules
from provisioner.engine.verify import resource_of
from provisioner.providers.api import Resource
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord, Entry, State


class Fitting:
    """The endpoints of a plan. ``problems`` is what their providers say against specs."""

    def __init__(
        self,
        state: State,
        endpoints: Mapping[str, EndpointRecord],
        rules: Rules,
        registry: Registry,
    ) -> None:
        self.problems: list[Diagnostic] = []
        self._lineage = str(state.lineage)
        self._endpoints, self._rules, self._registry = endpoints, rules, registry
        self._related: dict[str, dict[Address, Resource]] = {name: {} for name in endpoints}
        for address, entry in state.entries.items():
            shared = self._related.get(entry.endpoint)
            if shared is not None:
                shared[address] = resource_of(known_of_entry(entry), self._lineage, shared)

    def related(self, endpoint: str) -> Mapping[Address, Resource]:
        """What was applied at an endpoint, and what has been fitted there."""
        return self._related[endpoint]

    def canonical(self, known: Known, spec: Mapping[str, Any], endpoint: str) -> Known:
        """The resource as it shall be at an endpoint where it is not yet, in the form of its
        provider.
        """
        shared = self._related[endpoint]
        known = replace(
            known, endpoint=endpoint, spec=spec, external_id=None, outputs={}, dependencies=()
        )
        resource = resource_of(known, self._lineage, shared)
        shared[known.address] = resource
        normal = self._normal(resource, endpoint, f"On {endpoint}")
        if normal is None:
            return known
        needed = {
            target
            for reference in self._rules.kind(known.address.kind).references
            for target in reference.targets(normal)
            if target in shared
        }
        known = replace(known, spec=normal, dependencies=tuple(sorted(needed)))
        shared[known.address] = replace(resource, spec=normal)
        return known

    def try_out(self, known: Known, spec: Mapping[str, Any], why: str) -> None:
        """See whether a resource could have another spec at its endpoint; ``why`` it would."""
        shared = self._related[known.endpoint]
        resource = resource_of(replace(known, spec=spec), self._lineage, shared)
        self._normal(resource, known.endpoint, why)

    def _normal(self, resource: Resource, endpoint: str, why: str) -> Mapping[str, Any] | None:
        """The spec in the form of the endpoint; None if it cannot be, which is added to the
        problems.
        """
        provider = self._registry.get(self._endpoints[endpoint].provider)
        try:
            return provider.normalise(resource)
        except ProvisionerError as problem:
            self.problems += [
                replace(
                    item.about(resource.address), detail=f"{why}: {item.detail}".removesuffix(": ")
                )
                for item in problem.diagnostics
            ]
            return None


def known_of_entry(entry: Entry) -> Known:
    """What was applied, as plans keep it."""
    return Known(
        address=entry.address,
        endpoint=entry.endpoint,
        name=entry.name,
        uid=str(entry.uid),
        generation=entry.generation,
        spec=entry.spec,
        external_id=entry.external_id,
        outputs=entry.outputs,
        dependencies=entry.dependencies,
        protect=entry.protect,
        manage=entry.manage,
    )
