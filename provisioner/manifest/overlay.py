"""Merges an environment's overlay into a manifest, before anything in it is expanded.

Mappings are merged field by field and null removes a field. Elements of a list with a key
(``x-set``) are merged by it; new ones are added, and one with ``$remove: true`` is taken out. Every
other value replaces what was there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeAlias

from provisioner.core.diagnostics import quoted
from provisioner.manifest.canonical import repeated
from provisioner.manifest.fields import Field
from provisioner.manifest.problems import Element, Part, Problem

REMOVE = "$remove"

Path: TypeAlias = tuple[Part, ...]


class Source(NamedTuple):
    """Where an element of a merged list comes from: its numbers in the manifest's list and in the
    overlay's, None where it does not stand there.
    """

    base: int | None
    over: int | None


@dataclass(slots=True)
class Merged:
    """What merging gave. Paths of problems start at the overlay's own top; ``lists`` are the merged
    ones, by their paths in the manifest.
    """

    value: Any = None
    problems: list[Problem] = field(default_factory=list)
    lists: dict[Path, list[Source]] = field(default_factory=dict)


def merge(base: Any, over: Any, field: Field | None) -> Merged:
    """The merged value. Neither value is changed."""
    result = Merged()
    result.value = _merge(base, over, field, (), result)
    return result


def _merge(base: Any, over: Any, field: Field | None, path: Path, merged: Merged) -> Any:
    if isinstance(over, dict):
        result = dict(base) if isinstance(base, dict) else {}
        for name, value in over.items():
            if value is None:
                result.pop(name, None)
                continue
            below = None if field is None else field.child(name)
            result[name] = _merge(result.get(name), value, below, (*path, name), merged)
        return result
    if isinstance(over, list) and field is not None and field.set_key is not None:
        elements = base if isinstance(base, list) else []
        return _Elements(elements, field.set_key, field.rest, path, merged).merge(over)
    return over


class _Elements:
    """The elements of one list while an overlay is merged into it."""

    def __init__(
        self, base: list[Any], key: str, field: Field | None, path: Path, merged: Merged
    ) -> None:
        self._values = list(base)
        self._sources: list[Source | None] = [Source(number, None) for number in range(len(base))]
        """None for one that was taken out."""
        self._key, self._field, self._path, self._merged = key, field, path, merged
        self._by_key: dict[str, int] = {}
        for number, value in enumerate(base):
            name = self._name(value)
            if name is not None:
                self._by_key.setdefault(name, number)

    def merge(self, over: list[Any]) -> list[Any]:
        for number, value in enumerate(over):
            name = self._name(value)
            if name is None:
                self._add(value, number)
            elif REMOVE in value:
                self._remove(value, name, number)
            else:
                self._lay_over(value, name, number)
        kept = [number for number, source in enumerate(self._sources) if source is not None]
        sources = [source for source in self._sources if source is not None]
        self._merged.lists[self._path] = sources
        return [self._values[number] for number in kept]

    def _name(self, value: Any) -> str | None:
        name = value.get(self._key) if isinstance(value, dict) else None
        return name if isinstance(name, str) else None

    def _add(self, value: Any, number: int) -> None:
        self._values.append(value)
        self._sources.append(Source(None, number))

    def _place(self, number: int, name: str) -> Path:
        return (*self._path, Element(number, name, self._key))

    def _lay_over(self, value: dict[str, Any], name: str, number: int) -> None:
        at = self._by_key.get(name)
        source = None if at is None else self._sources[at]
        place = self._place(number, name)
        if at is None or source is None:
            self._by_key[name] = len(self._values)
            self._add(_merge(None, value, self._field, place, self._merged), number)
        elif source.over is not None:
            problem = repeated(name, self._key, (*place, self._key))
            self._merged.problems.append(problem)
        else:
            self._values[at] = _merge(self._values[at], value, self._field, place, self._merged)
            self._sources[at] = Source(source.base, number)

    def _remove(self, value: dict[str, Any], name: str, number: int) -> None:
        at = self._by_key.get(name)
        place = (*self._place(number, name), REMOVE)
        if value[REMOVE] is not True:
            self._merged.problems.append(
                Problem(place, "PRV1232", f"{REMOVE} has to be true", f"Write '{REMOVE}: true'.")
            )
        elif at is None or self._sources[at] is None:
            self._merged.problems.append(
                Problem(
                    place,
                    "PRV1232",
                    f"there is no element with {self._key} {quoted(name)} to be removed",
                    "Name the element as the manifest has it, before variables are put in.",
                    at_key=True,
                )
            )
        else:
            self._sources[at] = None
