"""Values that wait for another resource's output: finding them, and putting the outputs in.

``{"$unknown": "Kind/name:output"}`` stands for one output, ``{"$template": ["text", {"$unknown":
...}]}`` for a text around outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.values import UNKNOWN_KEY, Json, Path

TEMPLATE_KEY = "$template"


class OutputName(NamedTuple):
    """``Kind/name:output``, as a marker has it; names may hold dots, and so may outputs."""

    address: Address
    output: str

    @classmethod
    def parse(cls, text: str) -> OutputName:
        """Read the text of a marker."""
        address, _, output = text.partition(":")
        kind, _, name = address.partition("/")
        return cls(Address(kind, name), output)

    def of(self, outputs: Mapping[str, Json]) -> Json:
        """Its value among a resource's outputs, or None; ``mac.lan`` is ``lan`` of ``mac``."""
        if self.output in outputs:
            return outputs[self.output]
        name, _, member = self.output.partition(".")
        value = outputs.get(name)
        return value.get(member) if isinstance(value, dict) else None


Lookup = Callable[[OutputName, Path], Json]
"""Gives an output's value, or None while it is not known; the path is where it is needed."""


def is_marker(value: object) -> bool:
    """Whether a value stands for something that is not known yet."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and next(iter(value)) in (UNKNOWN_KEY, TEMPLATE_KEY)
    )


def resolve(value: Any, lookup: Lookup, path: Path = ()) -> Any:
    """``value`` with all known outputs put in; what is unknown stays as it is. Unchanged parts are
    shared.
    """
    if isinstance(value, Mapping):
        if is_marker(value):
            return _resolve_marker(value, lookup, path)
        resolved = {key: resolve(item, lookup, (*path, key)) for key, item in value.items()}
        return resolved if any(resolved[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        items = [resolve(item, lookup, (*path, str(index))) for index, item in enumerate(value)]
        return (
            items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        )
    return value


def _resolve_marker(value: Mapping[str, Any], lookup: Lookup, path: Path) -> Any:
    if UNKNOWN_KEY in value:
        known = lookup(OutputName.parse(value[UNKNOWN_KEY]), path)
        return value if known is None else known
    parts = [
        part if isinstance(part, str) else _resolve_marker(part, lookup, path)
        for part in value[TEMPLATE_KEY]
    ]
    if any(is_marker(part) for part in parts):
        return value
    return "".join(_text(part) for part in parts)


def _text(value: object) -> str:
    """An output within a text; a list is joined by commas."""
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def unknowns(value: Any) -> Iterator[OutputName]:
    """Every output that ``value`` still waits for."""
    if isinstance(value, Mapping):
        if UNKNOWN_KEY in value and len(value) == 1:
            yield OutputName.parse(value[UNKNOWN_KEY])
            return
        for item in value.values():
            yield from unknowns(item)
    elif isinstance(value, list):
        for item in value:
            yield from unknowns(item)
