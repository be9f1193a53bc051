"""Outputs of other resources in a canonical spec: the last step of expansion.

``${Kind/name.output}`` becomes ``{"$unknown": "Kind/name:output"}``, text around it a
``{"$template": [...]}``, and ``$${`` becomes ``${``. Called by
:mod:`provisioner.manifest.references`, when all addresses are known.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Set
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import quoted, shortened
from provisioner.core.values import UNKNOWN_KEY, Path
from provisioner.manifest.placeholders import PLACEHOLDER, OutputText, output_of
from provisioner.manifest.violations import names_text, nearest

TEMPLATE_KEY = "$template"


class FoundOutput(NamedTuple):
    """An output that a spec uses; ``literal`` is its text in the manifest."""

    path: Path
    target: Address
    output: str
    literal: str


def link(
    value: Any, path: Path, declared: Container[Address], kinds: Set[str]
) -> tuple[Any, list[FoundOutput]]:
    """The value with outputs and escapes in their final form, and the outputs in it."""
    found: list[FoundOutput] = []
    return _link(value, path, declared, kinds, found), found


def _link(
    value: Any, path: Path, declared: Container[Address], kinds: Set[str], found: list[FoundOutput]
) -> Any:
    if isinstance(value, dict):
        return {
            key: _link(child, (*path, key), declared, kinds, found) for key, child in value.items()
        }
    if isinstance(value, list):
        return [
            _link(child, (*path, str(index)), declared, kinds, found)
            for index, child in enumerate(value)
        ]
    if not isinstance(value, str) or "${" not in value:
        return value
    parts: list[Any] = []
    for literal, text, output in _pieces(value, kinds):
        if output is None:
            if parts and isinstance(parts[-1], str):
                parts[-1] += text
            else:
                parts.append(text)
            continue
        name, field = _reading(output, declared)
        target = Address(output.kind, name)
        found.append(FoundOutput(path, target, field, literal))
        parts.append({UNKNOWN_KEY: f"{target}:{field}"})
    if len(parts) == 1:
        return parts[0]
    return {TEMPLATE_KEY: parts}


def _pieces(text: str, kinds: Set[str]) -> Iterator[tuple[str, str, OutputText | None]]:
    done = 0
    for match in PLACEHOLDER.finditer(text):
        if match.start() > done:
            yield "", text[done : match.start()], None
        done = match.end()
        output = None if match[1] is None else output_of(match[1], kinds)
        yield match[0], "${" if match[1] is None else match[0], output
    if done < len(text):
        yield "", text[done:], None


def _reading(output: OutputText, declared: Container[Address]) -> tuple[str, str]:
    """The reading with the longest name that is declared; the one with the shortest name if none
    is.
    """
    for name, field in output.readings:
        if Address(output.kind, name) in declared:
            return name, field
    return output.readings[-1]


def output_problem(
    output: FoundOutput, known: Mapping[str, Mapping[str, Any]]
) -> tuple[str, str, str] | None:
    """Code, summary and hint if a kind with the ``known`` outputs has none such, or none that
    can stand there.
    """
    first, *below = output.output.split(".")
    schema: Mapping[str, Any] | None = known.get(first)
    if schema is None:
        near = nearest(first, known)
        return (
            "PRV1304",
            f"{shortened(str(output.target))} has no output {quoted(first)}",
            f"Did you mean {near!r}?"
            if near
            else f"Outputs of a {output.target.kind}: {names_text(known) or 'none'}.",
        )
    for part in below:
        schema = _below(schema, part)
        if schema is None:
            return (
                "PRV1304",
                f"{shortened(str(output.target))} has no output {quoted(output.output)}",
                f"Outputs of a {output.target.kind}: {names_text(known)}.",
            )
    if schema.get("type") == "object":
        return (
            "PRV1305",
            f"the output {quoted(output.output)} is a mapping and cannot stand here",
            f"Name one value of it: {output.literal.removesuffix('}')}.NAME}}.",
        )
    return None


def _below(schema: Mapping[str, Any], part: str) -> Mapping[str, Any] | None:
    if schema.get("type") != "object":
        return None
    below = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    return below if isinstance(below, Mapping) else None
