"""From manifests as written to one document per resource: overlays, variables, replicas.

Called by :mod:`provisioner.manifest.loader`. What comes out still holds outputs
(``${Kind/name.output}``) and escapes (``$${``); they are dealt with when the spec is canonical.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from provisioner.core.diagnostics import quoted, shortened
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.fields import Field
from provisioner.manifest.overlay import merge
from provisioner.manifest.placeholders import (
    PLACEHOLDER,
    UNREADABLE,
    Kept,
    Scope,
    Unresolved,
    escaped,
    written,
)
from provisioner.manifest.places import Layer, Origin
from provisioner.manifest.problems import Part, Problem
from provisioner.manifest.reports import Reports
from provisioner.manifest.stackfile import StackFile
from provisioner.manifest.unread import Unread
from provisioner.manifest.violations import names_text, nearest
from provisioner.manifest.written import Manifest

_MOST_REPLICAS = 10_000


class Expanded(NamedTuple):
    """One resource's document. ``templated``: text in it may hold outputs or escapes.
    ``failed``: a part of it is not known, or not how many replicas it has.
    ``absent``: it is only to be checked, for it has no replicas.
    """

    manifest: Manifest
    value: dict[str, Any]
    origin: Origin
    scope: Scope
    templated: bool = False
    failed: bool = False
    absent: bool = False

    @property
    def kind(self) -> str:
        """Its kind."""
        return self.manifest.kind


@dataclass(slots=True)
class Expander:
    """Expands the manifests of one stack."""

    stack: StackFile
    catalog: SchemaCatalog
    reports: Reports
    scope: Scope = field(init=False)
    """What placeholders stand for, but for the numbers of replicas."""
    overlays: Mapping[str, Mapping[str, Any]] = field(init=False)
    """Those of the chosen environment."""

    def __post_init__(self) -> None:
        self.overlays = self.stack.overlays
        variables = self.stack.variables
        self.scope = Scope(
            variables.values,
            frozenset(self.catalog.kinds),
            missing=frozenset(variables.missing),
            complete="variables" not in self.stack.uncertain,
        )

    def expand(self, manifests: Sequence[Manifest]) -> Iterator[Expanded]:
        """The documents of all resources and hosts, in order; the Stack manifest is left out."""
        for manifest in manifests:
            if manifest.kind != self.catalog.stack_kind:
                yield from self.documents_of(manifest)

    def check_overlays(self, manifests: Sequence[Manifest], unread: Unread) -> None:
        """Complain about overlays for manifests that are not there, in any environment."""
        stack = self.stack.manifest
        if stack is None:
            return
        known = {manifest.written for manifest in manifests if manifest.name} - {stack.written}
        for environment in self.stack.environments:
            for address in self.stack.overlays_of(environment):
                path = ("spec", "environments", environment, "overlays", address)
                if address == stack.written:
                    problem = Problem(path, *_NO_OVERLAY, at_key=True)
                elif address in known or unread.may_be(*address.split("/", 1)):
                    continue
                else:
                    problem = _overlay_for_nothing(path, address, known)
                self.reports.report(stack.origin, stack.kind, problem)

    def documents_of(self, manifest: Manifest) -> Iterator[Expanded]:
        """The documents of one resource or host, one for each replica."""
        origin, value, scope = manifest.origin, manifest.value, self.scope
        fields = self.catalog.kinds[manifest.kind].document
        templated = manifest.broken or origin.file.text.find("${", origin.start, origin.end) >= 0
        overlay = self.overlays.get(manifest.written)
        if overlay is not None:
            origin, value = self._laid_over(manifest, overlay, fields)
            templated = True
        metadata = value.get("metadata")
        replicas = metadata.get("replicas") if isinstance(metadata, dict) else None
        if not templated and replicas is None:
            yield Expanded(manifest, value, origin, scope)
            return
        substitution = _Substitution(self, origin, manifest.kind, fields)
        if replicas is None:
            value = substitution.run(value, scope)
            failed = manifest.broken or substitution.failed
            origin = origin._replace(scope=scope)
            yield Expanded(manifest, value, origin, scope, templated=True, failed=failed)
            return
        numbers = self._numbers(manifest, origin, replicas, substitution, scope)
        for number in numbers or [1]:
            inner = replace(scope, replica=number)
            copy = substitution.run(value, inner) if templated else value
            failed = manifest.broken or substitution.failed or numbers is None
            here = origin._replace(scope=inner)
            absent = not numbers
            yield Expanded(
                manifest, copy, here, inner, templated=True, failed=failed, absent=absent
            )

    def _laid_over(
        self, manifest: Manifest, overlay: Mapping[str, Any], fields: Field
    ) -> tuple[Origin, dict[str, Any]]:
        stack = self.stack.manifest
        assert stack is not None
        assert self.stack.environment is not None
        prefix: tuple[Part, ...] = (
            "spec",
            "environments",
            self.stack.environment,
            "overlays",
            manifest.written,
        )
        merged = merge(manifest.value, overlay, fields)
        for problem in merged.problems:
            moved = problem._replace(path=(*prefix, *problem.path))
            self.reports.report(stack.origin, stack.kind, moved)
        origin = manifest.origin
        layer = Layer(stack.origin, prefix, merged.lists)
        return origin._replace(layers=(*origin.layers, layer)), merged.value

    def _numbers(
        self,
        manifest: Manifest,
        origin: Origin,
        replicas: Any,
        substitution: _Substitution,
        scope: Scope,
    ) -> range | None:
        """The numbers of the replicas; None where the section is wrong: the schema will say how."""
        replicas = substitution.run(replicas, scope, ("metadata", "replicas"))
        count = _number(replicas.get("count")) if isinstance(replicas, dict) else None
        start = _number(replicas.get("start", 1)) if isinstance(replicas, dict) else None
        if count is None or start is None or not 0 <= count <= _MOST_REPLICAS:
            return None
        if "${replica." not in manifest.name:
            problem = Problem(
                ("metadata", "name"),
                "PRV1223",
                f"all {count} replicas would be called {quoted(manifest.name)}",
                f"Put the number into the name: {shortened(manifest.name)}-${{replica.index}}.",
            )
            self.reports.report(origin, manifest.kind, problem)
            return None
        return range(start, start + count)


_NO_OVERLAY = (
    "PRV1231",
    "an overlay for the Stack itself, which no environment can change",
    "Environments differ in their variables and in overlays for other manifests. "
    "For policy.maxImpact there is the option --max-impact.",
)


def _overlay_for_nothing(path: tuple[Part, ...], address: str, known: Collection[str]) -> Problem:
    near = nearest(address, known)
    return Problem(
        path,
        "PRV1230",
        f"the overlay is for {shortened(address)}, which is not in the stack",
        f"Did you mean {quoted(near)}?" if near else "Write the address as the manifest has it.",
        f"Manifests: {names_text(sorted(known))}.",
        at_key=True,
    )


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(slots=True)
class _Substitution:
    """Puts variables and replica numbers into one document."""

    expander: Expander
    origin: Origin
    kind: str
    top: Field
    failed: bool = False
    """Whether the last run came upon a placeholder without a value."""

    def run(self, value: Any, scope: Scope, path: tuple[Part, ...] = ()) -> Any:
        """The value with every placeholder of ``scope`` replaced."""
        self.failed = False
        below: Field | None = self.top
        for part in path:
            below = None if below is None else below.child(str(part))
        return self._value(value, below, scope, path)

    def _value(self, value: Any, field: Field | None, scope: Scope, path: tuple[Part, ...]) -> Any:
        if value is UNREADABLE:
            self.failed = True
            return value
        if isinstance(value, str):
            return self.text(value, field, scope, path) if "${" in value else value
        if isinstance(value, dict):
            return {
                name: self._value(
                    child, None if field is None else field.child(name), scope, (*path, name)
                )
                for name, child in value.items()
            }
        if isinstance(value, list):
            item = None if field is None else field.rest
            return [
                self._value(child, item, scope, (*path, index)) for index, child in enumerate(value)
            ]
        return value

    def text(self, text: str, field: Field | None, scope: Scope, path: tuple[Part, ...]) -> Any:
        """A text with its placeholders replaced; the value itself where the text is nothing but
        one.

        In a field for text a number is written as text, so that ``${replica.index}`` can be a
        label.
        """
        whole = PLACEHOLDER.fullmatch(text)
        if whole is not None and whole[1] is not None:
            value = self._look_up(whole[1], whole[0], scope, path)
            if field is not None and field.types == ("string",) and not isinstance(value, str):
                return written(value)
            return value

        def part(match: Any) -> str:
            if match[1] is None:
                return str(match[0])
            return written(self._look_up(match[1], match[0], scope, path))

        for begin in scope.unclosed(text):
            self._doubt(path, begin, "its '}' is missing")
        return PLACEHOLDER.sub(part, text)

    def _look_up(self, body: str, literal: str, scope: Scope, path: tuple[Part, ...]) -> Any:
        value = scope.look_up(body)
        if isinstance(value, Unresolved):
            self.failed = True
            self._tell(Problem(path, value.code, value.summary, value.hint, within=literal))
            return literal
        if isinstance(value, Kept):
            self.failed = self.failed or body.startswith("var.")
            if value.doubt:
                self._doubt(path, literal, value.doubt)
            return literal
        return escaped(value) if isinstance(value, str) else value

    def _doubt(self, path: tuple[Part, ...], literal: str, doubt: str) -> None:
        summary = f"{shortened(literal)} is left as it is: {doubt}"
        hint = f"Write ${shortened(literal)} if it shall stay as it is."
        self._tell(Problem(path, "PRV1224", summary, hint, within=literal, warning=True))

    def _tell(self, problem: Problem) -> None:
        self.expander.reports.report(self.origin, self.kind, problem)
