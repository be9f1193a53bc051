"""``${...}`` in manifest text: variables, replica numbers, outputs of other resources, and
everything else, which is left alone.

``$${`` stands for a ``${`` that means itself. Two passes read this:
:mod:`provisioner.manifest.expand` puts variables and replica numbers in, and
:mod:`provisioner.manifest.outputs`, at the very end, turns outputs into unknown values and removes
the escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any, NamedTuple

from provisioner.core.diagnostics import quoted, shortened
from provisioner.core.values import Json
from provisioner.manifest.problems import Problem

PLACEHOLDER = re.compile(r"\$\$\{|\$\{([^${}]*)\}")
_OUTPUT = re.compile(r"([A-Z][A-Za-z0-9]{0,62})/([a-z0-9][a-z0-9.-]*)\.([A-Za-z][A-Za-z0-9_.-]*)")
_INDEX = re.compile(r"index(?::(0[1-9]))?")
_UNCLOSED = re.compile(
    r"\$\$\{|(?P<begin>\$\{(?:var\.|replica\.|(?P<kind>[A-Z][A-Za-z0-9]*)/)[^${}\s]*+)"
    r"[^${}]*+(?!\})"
)
_SCOPES = ("var", "replica")
_FORMS = {"var": "a variable is ${var.NAME}", "replica": "the number is ${replica.index}"}
_PREFIXES = ("var.", "replica.")


UNREADABLE = "${var.\ufe5b}"
"""This object, not a text like it, stands for a value that could not be read, which has been
reported. Whatever leaves placeholders without a value alone says nothing about it.
"""


class Unresolved(NamedTuple):
    """A placeholder that means nothing. ``literal`` is its text in the manifest."""

    literal: str
    code: str
    summary: str
    hint: str


class Kept(NamedTuple):
    """A placeholder that stays as it is; ``doubt`` says why it may be a mistake."""

    doubt: str = ""


KEPT = Kept()


@dataclass(frozen=True, slots=True)
class Scope:
    """What placeholders stand for in one document. ``missing`` are variables that are declared
    but have no usable value.
    """

    variables: Mapping[str, Json]
    kinds: Set[str]
    replica: int | None = None
    missing: Set[str] = field(default_factory=frozenset)
    complete: bool = True
    """False where the declarations could not be read: then no variable is called unknown."""

    def look_up(self, body: str) -> Json | Unresolved | Kept:
        """The value of ``${body}``."""
        scope, dot, name = body.partition(".")
        if scope == "var" and dot:
            return self._variable(body, name)
        if scope == "replica" and dot:
            return self._replica(body, name)
        return self._other(body)

    def filled(self, text: str) -> str:
        """The text with every placeholder replaced that has a value."""

        def value_of(match: re.Match[str]) -> str:
            value = KEPT if match[1] is None else self.look_up(match[1])
            return match[0] if isinstance(value, Kept | Unresolved) else written(value)

        return PLACEHOLDER.sub(value_of, text)

    def _variable(self, body: str, name: str) -> Json | Unresolved | Kept:
        if name in self.variables:
            return self.variables[name]
        if name in self.missing or not self.complete:
            return KEPT
        near = get_close_matches(name, self.variables, n=1)
        known = ", ".join(sorted({*self.variables, *self.missing})) or "none"
        return Unresolved(
            f"${{{body}}}",
            "PRV1220",
            f"there is no variable {quoted(name)}",
            f"Did you mean '${{var.{near[0]}}}'?"
            if near
            else f"Declare it in the Stack's spec.variables. Declared now: {known}.",
        )

    def _replica(self, body: str, name: str) -> Json | Unresolved:
        literal = f"${{{body}}}"
        match = _INDEX.fullmatch(name)
        if match is None:
            return Unresolved(
                literal,
                "PRV1221",
                f"{shortened(literal)} means nothing",
                "Write ${replica.index}, or ${replica.index:02} for two digits.",
            )
        if self.replica is None:
            return Unresolved(
                literal,
                "PRV1222",
                f"{shortened(literal)} stands in a manifest without replicas",
                "Add metadata.replicas, or write $${ for text that shall stay as it is.",
            )
        return self.replica if match[1] is None else f"{self.replica:{match[1]}}"

    def _other(self, body: str) -> Kept:
        kind, slash, _ = body.partition("/")
        scope, dot, _ = body.partition(".")
        if slash:
            doubt = self._doubt_of_output(kind, body)
        elif dot:
            near = get_close_matches(scope.lower(), _SCOPES, n=1, cutoff=0.7)
            doubt = f"did you mean {near[0]!r}?" if near else ""
        elif body in self.variables or body in self.missing:
            doubt = f"did you mean ${{var.{body}}}?"
        else:
            doubt = _FORMS.get(body, "")
        return Kept(doubt) if doubt else KEPT

    def _doubt_of_output(self, kind: str, body: str) -> str:
        """Why ``${kind/...}`` may be meant as an output. Shells have the same form for something
        else (``${image/old/new}``), so that only what looks like a kind is doubted.
        """
        if kind in self.kinds:
            return "" if _OUTPUT.fullmatch(body) else f"an output is ${{{kind}/NAME.OUTPUT}}"
        if not _OUTPUT.fullmatch(body[:1].upper() + body[1:]):
            return ""
        same = [known for known in self.kinds if known.lower() == kind.lower()]
        near = same or get_close_matches(kind, self.kinds, n=1, cutoff=0.8)
        if near:
            return f"did you mean {near[0]!r}?"
        return "" if kind.isupper() or kind.islower() else f"there is no kind {quoted(kind)}"

    def unclosed(self, text: str) -> Iterator[str]:
        """The beginnings of placeholders in a text whose ``}`` is missing."""
        for match in _UNCLOSED.finditer(text):
            kind = match["kind"]
            if match["begin"] is not None and (kind is None or kind in self.kinds):
                yield match["begin"]


def written(value: Json) -> str:
    """A value within text."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


class OutputText(NamedTuple):
    """``${Kind/name.output}`` taken apart at every place where its name may end: names may
    contain dots, too.
    """

    kind: str
    readings: tuple[tuple[str, str], ...]
    """Pairs of name and output, the longest name first."""


def output_of(body: str, kinds: Set[str]) -> OutputText | None:
    """What output a placeholder names, or None if it names none."""
    match = _OUTPUT.fullmatch(body)
    if match is None or match[1] not in kinds:
        return None
    parts = body.partition("/")[2].split(".")
    readings = [
        (".".join(parts[:cut]), ".".join(parts[cut:])) for cut in range(len(parts) - 1, 0, -1)
    ]
    return OutputText(match[1], tuple(reading for reading in readings if reading[0]))


def has_output(text: str, kinds: Set[str]) -> bool:
    """Whether an output stands anywhere in the text."""
    return bool(outputs_in(text, kinds))


def meaningful(text: str) -> Iterator[str]:
    """The placeholders in a text that would mean something where placeholders are replaced."""
    for match in PLACEHOLDER.finditer(text):
        body = match[1]
        if body is not None and (body.startswith(_PREFIXES) or _OUTPUT.fullmatch(body)):
            yield match[0]


def outputs_in(text: str, kinds: Set[str]) -> str:
    """The outputs in a text, without what stands between them."""
    return "".join(
        match[0]
        for match in PLACEHOLDER.finditer(text)
        if match[1] is not None and output_of(match[1], kinds) is not None
    )


def is_output(text: str, kinds: Set[str]) -> bool:
    """Whether the text is nothing but one output."""
    match = PLACEHOLDER.fullmatch(text)
    return match is not None and match[1] is not None and output_of(match[1], kinds) is not None


SHIELD = "$\ufe5b"
"""Stands for a ``${`` that means itself (with a small brace, which nobody writes)."""


def shielded(value: Any, kinds: Set[str]) -> Any:
    """The value as schemas shall see it, in which no ``${`` is left that stands for nothing.

    Patterns in schemas let every ``${...}`` pass, for the sake of editors.
    """
    if isinstance(value, dict):
        return {name: shielded(child, kinds) for name, child in value.items()}
    if isinstance(value, list):
        return [shielded(child, kinds) for child in value]
    if not isinstance(value, str) or "${" not in value:
        return value

    def shield(match: re.Match[str]) -> str:
        body = match[1]
        if body is None:
            return SHIELD
        means_something = body.startswith(_PREFIXES) or output_of(body, kinds)
        return match[0] if means_something else f"{SHIELD}{body}}}"

    return PLACEHOLDER.sub(shield, value)


def literal(value: Any, keeping: str) -> Any:
    """The value as a schema shall see it where nothing is replaced, but below fields called
    ``keeping``.
    """
    if isinstance(value, dict):
        return {
            name: child if name == keeping else literal(child, keeping)
            for name, child in value.items()
        }
    if isinstance(value, list):
        return [literal(child, keeping) for child in value]
    if isinstance(value, str) and value is not UNREADABLE:
        return value.replace("${", SHIELD)
    return value


def unshielded(problem: Problem) -> Problem:
    """A problem of a shielded value, in the author's words."""
    return problem._replace(
        summary=problem.summary.replace(SHIELD, "${"),
        hint=problem.hint.replace(SHIELD, "${"),
        detail=problem.detail.replace(SHIELD, "${"),
    )


def unresolved(text: str) -> bool:
    """Whether a variable or a replica number still stands in text in which they have been
    replaced.
    """
    return any(
        match[1] is not None and match[1].startswith(_PREFIXES)
        for match in PLACEHOLDER.finditer(text)
    )


def escaped(text: str) -> str:
    """Text in which every ``${`` means itself."""
    return text.replace("${", "$${")


def unescaped(text: str) -> str:
    """What text means in which placeholders have been replaced: escapes become ``${``."""
    return text.replace("$${", "${")
