"""Outputs of other resources in a canonical spec: the last step of expansion.

``${Kind/name.output}`` becomes ``{"$unknown": "Kind/name:output"}``, text around it a
``{"$template": [...]}``, and ``$${`` becomes ``${``. Called by
:mod:`provisioner.manifest.references`, when all addresses are known.
"""

from __future__ import annotations

from collections.abc import Collection, Container, Iterator, Mapping, Set
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import quoted, shortened
from provisioner.core.values import TEMPLATE_KEY, UNKNOWN_KEY, Path
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.placeholders import PLACEHOLDER, OutputText, output_of
from provisioner.manifest.violations import names_text, nearest


class FoundOutput(NamedTuple):
    """An output that a spec uses; ``literal`` is its text in the manifest. ``whole``: the value is
    nothing else.
    """

    path: Path
    target: Address
    output: str
    literal: str
    whole: bool


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
        found.append(FoundOutput(path, target, field, literal, whole=literal == value))
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


class Giver(NamedTuple):
    """The resource that gives an output. ``spec`` is its canonical spec, as far as it is right."""

    info: KindInfo
    spec: Mapping[str, Any]
    complete: bool = True
    """False where parts of the spec were wrong and are left out."""


def output_problem(
    output: FoundOutput, giver: Giver, taker: KindInfo
) -> tuple[str, str, str] | None:
    """Code, summary and hint if there is no such output (PRV1304), or if it cannot stand in that
    field of the ``taker`` (PRV1305).
    """
    schema = _named(output, giver)
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("type") == "object":
        return (
            "PRV1305",
            f"the output {quoted(output.output)} is a mapping and cannot stand here",
            f"Name one value of it: {output.literal.removesuffix('}')}.NAME}}.",
        )
    reason = _misfit(output, schema, taker)
    if reason is None:
        return None
    others = [name for name, other in _single(giver.info) if _misfit(output, other, taker) is None]
    kind = output.target.kind
    return (
        "PRV1305",
        f"the output {quoted(output.output)} is {reason}",
        f"Outputs of a {kind} that can stand here: {names_text(others)}."
        if others
        else f"No output of a {kind} can stand here: write the value itself.",
    )


def _named(output: FoundOutput, giver: Giver) -> Mapping[str, Any] | tuple[str, str, str]:
    """The schema of an output, or what is wrong with its name."""
    known = giver.info.outputs
    first, *below = output.output.split(".")
    schema = known.get(first)
    if schema is None:
        return _no_output(output, first, known)
    for part in below:
        member = _below(schema, part)
        if member is None:
            return _no_output(output, output.output, known)
        names = giver.spec.get(schema.get("x-keys-of", ""), {})
        if "x-keys-of" in schema and giver.complete and part not in names:
            return _no_output(output, output.output, [f"{first}.{name}" for name in names])
        schema = member
    return schema


def _no_output(output: FoundOutput, name: str, known: Collection[str]) -> tuple[str, str, str]:
    near = nearest(name, known)
    return (
        "PRV1304",
        f"{shortened(str(output.target))} has no output {quoted(name)}",
        f"Did you mean {near!r}?" if near else f"It has: {names_text(known) or 'none'}.",
    )


def _below(schema: Mapping[str, Any], part: str) -> Mapping[str, Any] | None:
    if schema.get("type") != "object":
        return None
    below = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    return below if isinstance(below, Mapping) else None


def _single(info: KindInfo) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every output that is no mapping; of a mapping, any value of it."""
    for name, schema in info.outputs.items():
        member = schema.get("additionalProperties")
        if isinstance(member, Mapping):
            yield f"{name}.NAME", member
        else:
            yield name, schema


_TYPES = {"string": "text", "array": "a list", "integer": "a whole number", "number": "a number"}


def _misfit(output: FoundOutput, schema: Mapping[str, Any], taker: KindInfo) -> str | None:
    """Why an output of this schema cannot stand where it is used: none of its examples can."""
    kind = _TYPES.get(schema["type"], schema["type"])
    if not output.whole:
        return f"{kind}, expected a single value within text" if kind == "a list" else None
    reason = ""
    for example in reversed(schema["examples"]):
        try:
            taker.fitted(output.path, example)
        except ValueError as misfit:
            reason = str(misfit).partition(", expected ")[2] or "a value of another form"
        else:
            return None
    such = f" such as {example!r}" if kind == "text" else ""
    return f"{kind}{such}, expected {reason}"
