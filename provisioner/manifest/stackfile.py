"""The Stack manifest: exactly one in a stack, with variables, environments, defaults and policy.

Called by :mod:`provisioner.manifest.loader` before any other manifest is expanded. Nothing is
replaced in this manifest, but in overlays when they are laid over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.address import AddressPattern
from provisioner.core.diagnostics import Diagnostic, SourceRange, error, quoted, shortened
from provisioner.core.values import Json
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.ignoring import PLACE as IGNORE
from provisioner.manifest.ignoring import Ignored, ignore_rules
from provisioner.manifest.model import Excuse
from provisioner.manifest.placeholders import UNREADABLE, literal, meaningful, unshielded
from provisioner.manifest.problems import MISSING, Part, Problem
from provisioner.manifest.pruning import pruned, unreadable_places, without_unreadable
from provisioner.manifest.reports import Reports
from provisioner.manifest.variables import Doubts, Variables, resolve_variables
from provisioner.manifest.violations import names_text, nearest
from provisioner.manifest.written import Manifest

_SECTIONS = frozenset({"variables", "environments", "defaults", "policy"})
_PROTECT = ("spec", "policy", "protect")
_NAMED = 5
"""Folders that a message names."""


@dataclass(slots=True)
class StackFile:
    """What the Stack manifest says; ``manifest`` is None where there is none."""

    manifest: Manifest | None = None
    name: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    """Without what is wrong in it."""
    uncertain: frozenset[str] = _SECTIONS
    """Sections of ``spec`` that may have held more than what stands there, names of variables or of
    environments, say.
    """
    doubts: Doubts = field(default_factory=Doubts)
    given: Mapping[str, Json] = field(default_factory=dict)
    """Values of variables from the command line."""
    environment: str | None = None
    variables: Variables = field(default_factory=Variables)
    protect: Mapping[int, AddressPattern] = field(default_factory=dict)
    """By their place in the list."""
    ignore: Mapping[int, Ignored] = field(default_factory=dict)
    """Likewise."""

    @property
    def environments(self) -> Mapping[str, Any]:
        """The settings of each environment by its name."""
        environments: Mapping[str, Any] = self.spec.get("environments", {})
        return environments

    @property
    def overlays(self) -> Mapping[str, Mapping[str, Any]]:
        """The overlays of the chosen environment, by ``Kind/name`` as manifests write it."""
        return self.overlays_of(self.environment)

    @property
    def default_host(self) -> str | None:
        """The host of what names none."""
        host: str | None = self.spec.get("defaults", {}).get("host")
        return host

    @property
    def max_impact(self) -> Impact:
        """The worst that an apply does without being told so."""
        return Impact(self.spec.get("policy", {}).get("maxImpact", Impact.LIVE))

    @property
    def excused(self) -> tuple[Excuse, ...]:
        """Machines that are recovered by no plan on purpose."""
        written = self.spec.get("recovery", {}).get("excused", ())
        return tuple(Excuse(item["machine"], item["reason"]) for item in written)

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
            variables = resolve_variables(self.spec, name, self.given, self.doubts)
            yield replace(self, environment=name, variables=variables)


def read_stack_file(
    manifests: Sequence[Manifest],
    catalog: SchemaCatalog,
    reports: Reports,
    *,
    environment: str | None,
    given: Mapping[str, Json],
) -> StackFile:
    """Find and read the Stack manifest. What is wrong in it is left out of what comes back."""
    kind = catalog.stack_kind
    found = [manifest for manifest in manifests if manifest.kind == kind]
    if not found:
        return StackFile(given=given)
    reports.add(
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
    value = manifest.value
    problems = _schema_problems(value, catalog)
    protect = _patterns(value, problems)
    strange = _unknown_kinds(protect, catalog.kinds, _PROTECT)
    problems += strange.values()
    protect = {index: protect[index] for index in protect.keys() - strange.keys()}
    ignore, found_in_rules = ignore_rules(value, problems, catalog.kinds.values())
    problems += found_in_rules
    about = {index: rule.address for index, rule in ignore.items()}
    problems += _unknown_kinds(about, catalog.kinds, IGNORE, "address").values()
    spec: Mapping[str, Any] = without_unreadable(pruned(value, problems)).get("spec") or {}
    uncertain, doubts = _doubts(value, problems, environment)
    environments = spec.get("environments", {})
    unknown = environment is not None and environment not in environments
    if environment is not None and unknown and "environments" not in uncertain:
        problems.append(_no_environment(environment, environments))
    variables = resolve_variables(spec, environment, given, doubts)
    problems += variables.problems
    problems += _left_as_they_are(value, problems)
    for problem in problems:
        reports.report(manifest.origin, kind, problem, value)
    reports.add(variables.diagnostics)
    return StackFile(
        manifest,
        manifest.name,
        spec,
        uncertain,
        doubts,
        given,
        environment,
        variables,
        protect,
        ignore,
    )


def _schema_problems(value: Any, catalog: SchemaCatalog) -> list[Problem]:
    """What the schema says of the manifest, in which no placeholder stands for anything."""
    found = catalog.compiled[catalog.stack_kind].problems(literal(value, keeping="overlays"))
    hint = "Nothing is replaced in this manifest, but in overlays: write the value itself."
    return [
        problem._replace(hint=hint) if "${" in problem.summary else problem
        for problem in map(unshielded, found)
    ]


def _left_as_they_are(value: Any, problems: Iterable[Problem]) -> Iterator[Problem]:
    """Placeholders that their author will expect to be replaced, where nothing is."""
    told = {problem.path for problem in problems}
    for place, text in _texts(value, ()):
        for placeholder in meaningful(text) if place not in told else ():
            yield Problem(
                place,
                "PRV1224",
                f"{shortened(placeholder)} is left as it is: nothing is replaced in this manifest, "
                "but in overlays",
                "Write the value itself, or put the parts together where they are used.",
                within=placeholder,
                warning=True,
            )


def _texts(value: Any, path: tuple[Part, ...]) -> Iterator[tuple[tuple[Part, ...], str]]:
    if isinstance(value, dict):
        for name, child in value.items():
            if name not in {"overlays", "description"}:
                yield from _texts(child, (*path, name))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _texts(child, (*path, index))
    elif isinstance(value, str) and "${" in value and value is not UNREADABLE:
        yield path, value


def _doubts(
    value: Any, problems: Iterable[Problem], environment: str | None
) -> tuple[frozenset[str], Doubts]:
    """Sections that may have held more, and what is not known of variables."""
    spec = value.get("spec")
    written = spec if isinstance(spec, dict) else {}
    places = [*unreadable_places(value)]
    strange = False
    for problem in problems:
        if problem.code != MISSING or len(problem.path) > 2:
            places.append(problem.path)
        strange = strange or (problem.code == "PRV1103" and len(problem.path) <= 2)
    uncertain: set[str] = set()
    names: set[Part] = set()
    values = False
    for place in places:
        match place:
            case () | ("spec",):
                uncertain |= _SECTIONS
            case ("spec", "defaults", *_):
                uncertain.add("defaults")
            case ("spec", str(section)):
                uncertain |= {section} & _SECTIONS
            case ("spec", "variables", name, *_):
                names.add(name)
            case ("spec", "environments", name, "variables", variable, *_):
                names |= {variable} if name == environment else set()
            case ("spec", "environments", name) | ("spec", "environments", name, "variables"):
                values = values or name == environment
            case _:
                pass
    if strange:  # a section may be misspelt
        uncertain |= _SECTIONS - written.keys()
    values = values or (environment is not None and "environments" in uncertain)
    known = frozenset(name for name in names if isinstance(name, str))
    return frozenset(uncertain), Doubts(known, "variables" in uncertain, values)


def _patterns(value: Any, problems: Iterable[Problem]) -> dict[int, AddressPattern]:
    texts: Any = value
    for part in _PROTECT:
        texts = texts.get(part) if isinstance(texts, dict) else None
    bad = {problem.path[3] for problem in problems if problem.path[:3] == _PROTECT != problem.path}
    return {
        index: AddressPattern.parse(text)
        for index, text in enumerate(texts if isinstance(texts, list) else ())
        if index not in bad and isinstance(text, str) and "${" not in text
    }


def _unknown_kinds(
    patterns: Mapping[int, AddressPattern],
    kinds: Collection[str],
    place: tuple[Part, ...],
    *below: Part,
) -> dict[int, Problem]:
    """The patterns of a list that no kind fits: they mean nothing, now or later."""
    found = {}
    for index, pattern in patterns.items():
        if not any(fnmatchcase(kind, pattern.kind) for kind in kinds):
            near = nearest(pattern.kind, kinds)
            found[index] = Problem(
                (*place, index, *below),
                "PRV1102",
                f"unknown kind {quoted(pattern.kind)}",
                f"Did you mean {near!r}?" if near else "",
                f"Known kinds: {names_text(kinds)}.",
                within=pattern.kind,
            )
    return found


def no_stack(root: str, kind: str, *, empty: bool) -> Diagnostic:
    """The error of a folder without a Stack manifest; ``empty``: without any manifest."""
    return error(
        "PRV1003" if empty else "PRV1201",
        f"{root} holds no manifests" if empty else f"the stack has no {kind} manifest",
        source=SourceRange(root, 1, 1) if not empty else None,
        hint="Run 'provisioner init' to make a stack."
        if empty
        else f"Add a document with 'kind: {kind}' and 'metadata: {{name: NAME}}'.",
    )


def stacks_apart(
    root: Path, manifests: Sequence[Manifest], catalog: SchemaCatalog
) -> Diagnostic | None:
    """The error of a folder that is no stack's, but has several stacks below it."""
    folders = {
        Path(manifest.origin.file.name).parent
        for manifest in manifests
        if manifest.kind == catalog.stack_kind
    }
    if len(folders) <= 1 or root in folders:
        return None
    shown = [str(folder) for folder in sorted(folders)[:_NAMED]]
    more = f" and {len(folders) - _NAMED:,} more" if len(folders) > _NAMED else ""
    return error(
        "PRV1202",
        f"{root} is the folder of no stack, but holds {len(folders):,} of them",
        detail=f"They are in {', '.join(shown)}{more}.",
        hint="Name one of these folders.",
    )


def _no_environment(name: str, known: Mapping[str, Any]) -> Problem:
    near = nearest(name, known)
    return Problem(
        ("spec", "environments"),
        "PRV1203",
        f"the stack has no environment {quoted(name)}",
        f"Did you mean {near!r}?" if near else "Declare it in the Stack's spec.environments.",
        f"Declared environments: {names_text(known) or 'none'}.",
        at_key=True,
    )
