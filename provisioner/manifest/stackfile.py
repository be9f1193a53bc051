"""The Stack manifest: exactly one in a stack, with variables, environments, defaults and policy.

Called by :mod:`provisioner.manifest.loader` before any other manifest is expanded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import Diagnostic, SourceRange, error
from provisioner.core.values import Json
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.documents import Manifest
from provisioner.manifest.places import Places
from provisioner.manifest.problems import Problem
from provisioner.manifest.pruning import pruned
from provisioner.manifest.variables import Variables, resolve_variables
from provisioner.manifest.violations import names_text


@dataclass(slots=True)
class StackFile:
    """What the Stack manifest says; ``manifest`` is None where there is none.

    ``damaged``: it is missing or has mistakes, so that there may be more than what stands here.
    """

    manifest: Manifest | None = None
    damaged: bool = True
    name: str = ""
    variables: Variables = field(default_factory=Variables)
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Without what is wrong in it."""
    given: Mapping[str, Json] = field(default_factory=dict)
    """Values of variables from the command line."""
    environment: str | None = None
    default_host: str | None = None
    max_impact: Impact = Impact.LIVE
    protect: tuple[AddressPattern, ...] = ()

    @property
    def environments(self) -> Mapping[str, Any]:
        """The settings of each environment by its name."""
        environments: Mapping[str, Any] = self.spec.get("environments", {})
        return environments

    @property
    def overlays(self) -> Mapping[str, Mapping[str, Any]]:
        """The overlays of the chosen environment, by ``Kind/name`` as manifests write it."""
        return self.overlays_of(self.environment)

    def overlays_of(self, environment: str | None) -> Mapping[str, Mapping[str, Any]]:
        """The overlays of an environment."""
        overlays: Mapping[str, Mapping[str, Any]]
        overlays = self.environments.get(environment or "", {}).get("overlays", {})
        return overlays

    def variants(self) -> Iterator[StackFile]:
        """The stack without an environment and in each of them. Nothing is said about their
        variables: that is done where the stack is loaded in one of them.
        """
        for name in (None, *self.environments):
            variables = resolve_variables(self.spec, name, self.given, damaged=self.damaged)
            yield replace(self, environment=name, variables=variables)


def read_stack_file(
    manifests: Sequence[Manifest],
    catalog: SchemaCatalog,
    places: Places,
    diagnostics: list[Diagnostic],
    *,
    environment: str | None,
    given: Mapping[str, Json],
) -> StackFile:
    """Find and read the Stack manifest."""
    kind = catalog.stack_kind
    found = [manifest for manifest in manifests if manifest.kind == kind]
    if not found:
        return StackFile(given=given)
    diagnostics.extend(
        error(
            "PRV1202",
            f"a second {kind} manifest",
            detail=f"The first one is in {found[0].origin.source}.",
            source=other.origin.source,
            hint="A stack has exactly one; give each stack a folder of its own.",
            related=(found[0].origin.source,),
        )
        for other in found[1:]
    )
    manifest = found[0]
    problems = catalog.compiled[kind].problems(manifest.value)
    spec: Mapping[str, Any] = pruned(manifest.value, problems).get("spec") or {}
    environments: Mapping[str, Any] = spec.get("environments", {})
    if environment is not None and environment not in environments and not problems:
        problems = [_no_environment(environment, environments)]
    damaged = bool(problems)
    variables = resolve_variables(spec, environment, given, damaged=damaged)
    diagnostics += [
        places.report(manifest.origin, kind, problem, manifest.value)
        for problem in (*problems, *variables.problems)
    ]
    diagnostics += variables.diagnostics
    return _stack_file(manifest, spec, variables, environment, given, damaged=damaged)


def _stack_file(
    manifest: Manifest,
    spec: Mapping[str, Any],
    variables: Variables,
    environment: str | None,
    given: Mapping[str, Json],
    *,
    damaged: bool,
) -> StackFile:
    policy = spec.get("policy", {})
    return StackFile(
        manifest,
        damaged,
        manifest.name,
        variables,
        spec,
        given,
        environment,
        spec.get("defaults", {}).get("host"),
        Impact(policy.get("maxImpact", Impact.LIVE)),
        tuple(AddressPattern.parse(text) for text in policy.get("protect", ())),
    )


def no_stack(root: str, kind: str, *, empty: bool) -> Diagnostic:
    """The error of a folder without a Stack manifest; ``empty``: without any manifest."""
    return error(
        "PRV1003" if empty else "PRV1201",
        f"{root} holds no manifests" if empty else f"the stack has no {kind} manifest",
        source=SourceRange(root, 1, 1) if not empty else None,
        hint="Run 'provisioner init' to make a stack."
        if empty
        else f"Add a document with 'kind: {kind}', 'metadata: {{name: NAME}}' and 'spec: {{}}'.",
    )


def _no_environment(name: str, known: Mapping[str, Any]) -> Problem:
    near = get_close_matches(name, known, n=1)
    return Problem(
        ("spec", "environments"),
        "PRV1203",
        f"the stack has no environment {name!r}",
        f"Did you mean {near[0]!r}?" if near else "Declare it in the Stack's spec.environments.",
        f"Declared environments: {names_text(known) or 'none'}.",
        at_key=True,
    )
