"""Puts outputs that have become known into a spec: as if its author had written them there.

Called by the planner, for what is known when a plan is made, and by :mod:`provisioner.engine.calls`
for the rest. Manifests were checked with examples of outputs; this is where the values themselves
are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Path, path_text
from provisioner.engine.rules import KindRules
from provisioner.engine.unknowns import Fill, fill, unknowns
from provisioner.providers.api import Provider, Resource


def filled(
    resource: Resource,
    give: Fill,
    *,
    rules: KindRules,
    provider: Provider,
) -> Resource:
    """The resource with all outputs that ``give`` knows in its spec, which is in canonical form
    again. ``resource.spec`` is, too, but for the markers in it.

    Raises ProvisionerError (PRV2015, and what the provider has to say) if a value does not fit the
    field that it stands in.
    """
    problems: list[Diagnostic] = []

    def fitted(marker: Mapping[str, Any], path: Path) -> Any:
        value = give(marker, path)
        if value is None:
            return None
        try:
            return rules.fitted(path, value)
        except ValueError as misfit:
            problems.append(_misfit(marker, path, str(misfit)))
            return value

    spec = fill(resource.spec, fitted)
    if not problems and spec is not resource.spec:
        try:
            spec = provider.normalise(replace(resource, spec=spec))
        except ProvisionerError as problem:
            problems += problem.diagnostics
    if problems:
        raise ProvisionerError([item.about(resource.address) for item in problems])
    return replace(resource, spec=spec)


def _misfit(marker: Mapping[str, Any], path: Path, found: str) -> Diagnostic:
    names = [f"{name.address}.{name.output}" for name in unknowns({"": marker})]
    markers = [f"${{{name}}}" for name in names]
    return error(
        "PRV2015",
        f"the value of {' and '.join(markers)} does not fit {path_text(path)}",
        detail=f"{found[:1].upper()}{found[1:]}.",
        hint="Use another output, or write the value itself.",
        path=path,
    )
