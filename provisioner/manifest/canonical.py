"""The canonical form of a spec: one value for everything that means the same.

:class:`Canonicaliser` compiles a :class:`Field` tree into functions once and runs them for every
resource: units become integers, addresses get their standard form, lists with a key become
mappings, files are read in. On the way it collects the references.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from provisioner.core.diagnostics import quoted, shortened
from provisioner.core.values import Json
from provisioner.manifest.fields import Field
from provisioner.manifest.forms import FORMS, UNITS
from provisioner.manifest.placeholders import has_output
from provisioner.manifest.problems import Element, Part, Problem

Place: TypeAlias = tuple[Part, ...]
"""A canonical path. An element that has no key of its own is in it by its number."""


class FoundReference(NamedTuple):
    """A name that stands in a reference field; ``path`` stands below ``spec``."""

    path: Place
    name: str
    field: Field


class LocalFiles(Protocol):
    """How files that a manifest names are found and read. What goes wrong is added to
    ``findings`` for the field at ``path``.
    """

    def locate(self, text: str, path: Place, findings: Findings, /) -> str:
        """The canonical form of a path."""
        ...

    def content(self, text: str, path: Place, findings: Findings, /) -> str:
        """What the file holds; empty where it cannot be read."""
        ...


@dataclass(slots=True)
class Findings:
    """What turned up while a spec was brought into canonical form."""

    files: LocalFiles | None = None
    kinds: Set[str] = frozenset()
    """Kinds whose outputs text may wait for."""
    references: list[FoundReference] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


_Walker: TypeAlias = Callable[[Any, Place, Findings], Any]


class Canonicaliser:
    """The canonical form of the values of one field; ``spec`` of a kind, or a provider's own
    section.
    """

    def __init__(self, top: Field) -> None:
        self._walk = _compile(top) or _without_nulls

    def __call__(self, value: Any, findings: Findings, path: Place = ()) -> Any:
        """The canonical form; references and problems are added to ``findings``."""
        return self._walk(value, path, findings)


def canonical_default(field: Field) -> Json:
    """The default of a field in canonical form, None if it has none."""
    if field.default is None:
        return None
    value: Json = Canonicaliser(field)(field.default, Findings())
    return value


def _compile(field: Field) -> _Walker | None:
    """The function for a field, or None where the author's value is canonical already."""
    if field.unit is not None:
        return _quantity(field, UNITS[field.unit][0])
    if field.form is not None:
        return _converter(FORMS[field.form], field.form)
    if field.references:
        return _reference(field)
    if field.local_file and field.inline_as is None:
        return _file
    if field.provider_part is not None:
        return _without_nulls
    if field.set_key is not None and field.rest is not None:
        return _keyed_list(field.set_key, field.rest)
    children = {name: _compile(child) for name, child in field.children.items()}
    inlined = {
        name: child.inline_as
        for name, child in field.children.items()
        if child.inline_as is not None
    }
    rest = None if field.rest is None else _compile(field.rest)
    if "array" in field.types:
        plain = None if rest is None else _plain_list(rest)
        return _sorted_list(plain) if field.unordered else plain
    walkers = {name: walker for name, walker in children.items() if walker is not None}
    if not walkers and not inlined and rest is None:
        return None
    mapping = _mapping(frozenset(children), walkers, rest)
    return _inlining(mapping, inlined) if inlined else mapping


def _mapping(known: frozenset[str], walkers: dict[str, _Walker], rest: _Walker | None) -> _Walker:
    def walk(value: Any, path: Place, findings: Findings) -> Any:
        if not isinstance(value, dict):
            return value
        result = {}
        for name, child in value.items():
            if child is None:
                continue
            walker = walkers.get(name)
            if walker is None and name not in known:
                walker = rest
            result[name] = child if walker is None else walker(child, (*path, name), findings)
        return result

    return walk


def _inlining(mapping: _Walker, inlined: dict[str, str]) -> _Walker:
    """A mapping with properties that name a file whose content stands for another property."""

    def walk(value: Any, path: Place, findings: Findings) -> Any:
        files = findings.files
        if not isinstance(value, dict) or files is None or not inlined.keys() & value.keys():
            return mapping(value, path, findings)
        value = dict(value)
        for name, target in inlined.items():
            if isinstance(value.get(name), str):
                value[target] = files.content(value.pop(name), (*path, name), findings)
        return mapping(value, path, findings)

    return walk


def _plain_list(item: _Walker) -> _Walker:
    def walk(value: Any, path: Place, findings: Findings) -> Any:
        if not isinstance(value, list):
            return value
        return [item(child, (*path, str(index)), findings) for index, child in enumerate(value)]

    return walk


def _sorted_list(plain: _Walker | None) -> _Walker:
    def walk(value: Any, path: Place, findings: Findings) -> Any:
        items = value if plain is None else plain(value, path, findings)
        known = isinstance(items, list) and all(isinstance(item, str) for item in items)
        return sorted(items) if known else items

    return walk


def _keyed_list(key_name: str, element: Field) -> _Walker:
    key_field = element.children.get(key_name, Field())
    names_something = bool(key_field.references)
    convert_key = None if names_something else _compile(key_field)
    walk_element = _compile(element)

    def walk(value: Any, path: Place, findings: Findings) -> Any:
        if not isinstance(value, list):
            return value
        result: dict[str, Any] = {}
        for index, child in enumerate(value):
            if not isinstance(child, dict):
                continue
            key = child.get(key_name)
            place: Place = (*path, Element(index, key, key_name), key_name)
            before = len(findings.problems)
            if not isinstance(key, str):
                key = None
            elif "${" in key:
                findings.problems.append(_no_name(key, place, findings))
            elif convert_key is not None:
                key = convert_key(key, place, findings)
            if key in result:
                findings.problems.append(repeated(key, key_name, place))
            others = {name: entry for name, entry in child.items() if name != key_name}
            if key is None or len(findings.problems) > before:
                # Without a key of its own it is no part of the result, but looked through.
                if walk_element is not None:
                    walk_element(others, (*path, Element(index, None, key_name)), findings)
                continue
            if names_something:
                findings.references.append(FoundReference((*path, key), key, key_field))
            result[key] = (
                others if walk_element is None else walk_element(others, (*path, key), findings)
            )
        return result

    return walk


def repeated(key: str, key_name: str, place: Place) -> Problem:
    """The problem of an element with the key of another one."""
    return Problem(
        place,
        "PRV1111",
        f"{quoted(key)} stands in the list twice",
        f"Each element needs a {key_name!r} of its own.",
    )


def _converter(convert: Callable[[str], int | str], form: str) -> _Walker:
    def walk(value: Any, path: Place, findings: Findings) -> Any:
        if not isinstance(value, str) or ("${" in value and has_output(value, findings.kinds)):
            return value
        try:
            return convert(value)
        except ValueError as problem:
            summary, _, expected = str(problem).partition(": ")
            hint = f"{expected[:1].upper()}{expected[1:]}." if expected else f"Mend the {form}."
            findings.problems.append(Problem(path, "PRV1107", shortened(summary, 200), hint))
            return value

    return walk


def _quantity(field: Field, convert: Callable[[str], int | str]) -> _Walker:
    """A number with a unit, within the limits of its field."""
    plain = _converter(convert, "number")
    limits = [(word, text, convert(text)) for word, text in _limits(field)]
    if not limits:
        return plain

    def walk(value: Any, path: Place, findings: Findings) -> Any:
        number = plain(value, path, findings)
        for word, text, limit in limits if isinstance(number, int) else ():
            if not _WITHIN[word](number, limit):
                summary = f"found {value!r}, expected {word} {text}"
                findings.problems.append(Problem(path, "PRV1109", summary))
                break
        return number

    return walk


_WITHIN: dict[str, Callable[[Any, Any], bool]] = {
    "at least": operator.ge,
    "at most": operator.le,
    "a multiple of": lambda number, unit: number % unit == 0,
}


def _limits(field: Field) -> Iterator[tuple[str, str]]:
    for word, text in zip(_WITHIN, (field.least, field.most, field.multiple), strict=True):
        if text is not None:
            yield word, text


def _reference(field: Field) -> _Walker:
    def walk(value: Any, path: Place, findings: Findings) -> Any:
        if isinstance(value, str):
            if "${" in value:
                findings.problems.append(_no_name(value, path, findings))
            else:
                findings.references.append(FoundReference(path, value, field))
        return value

    return walk


def _no_name(text: str, path: Place, findings: Findings) -> Problem:
    if not has_output(text, findings.kinds):
        return Problem(
            path,
            "PRV1107",
            f"found {quoted(text)}, expected a name",
            "In a name only ${var.NAME} and ${replica.index} are replaced.",
        )
    return output_as_name(path)


def output_as_name(path: Place) -> Problem:
    """The problem of a name that only another resource's output could tell."""
    return Problem(
        path,
        "PRV1310",
        "a name cannot come from another resource's output",
        "Write the name itself: what depends on what has to be known when planning.",
    )


def _file(value: Any, path: Place, findings: Findings) -> Any:
    if findings.files is None or not isinstance(value, str) or "${" in value:
        return value
    return findings.files.locate(value, path, findings)


def _without_nulls(value: Any, path: Place, findings: Findings) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_nulls(child, path, findings)
            for key, child in value.items()
            if child is not None
        }
    if isinstance(value, list):
        return [_without_nulls(child, path, findings) for child in value]
    return value
