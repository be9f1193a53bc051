"""Values that wait for another resource's output: finding them, and putting the outputs in.

``{"$unknown": "Kind/name:output"}`` stands for one output, ``{"$template": ["text", {"$unknown":
...}]}`` for a text around outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.values import TEMPLATE_KEY, UNKNOWN_KEY, Json, Path, is_marker


class OutputName(NamedTuple):
    """``Kind/name:output``, as a marker has it; names may hold dots, and so may outputs."""

    address: Address
    output: str

    @classmethod
    def parse(cls, text: str) -> OutputName:
        """Read the text of a marker."""
        address, _, output = text.partition(":")
        return cls(Address.of(address), output)

    def of(self, outputs: Mapping[str, Json]) -> Json:
        """Its value among a resource's outputs, or None; ``mac.lan`` is ``lan`` of ``mac``."""
        if self.output in outputs:
            return outputs[self.output]
        name, _, member = self.output.partition(".")
        value = outputs.get(name)
        return value.get(member) if isinstance(value, dict) else None


Lookup = Callable[[OutputName], Json]
"""Gives an output's value, or None while it is not known."""

Fill = Callable[[Mapping[str, Any], Path], Any]
"""Gives what a marker stands for at a path, or None while it is not known."""


def resolve(value: Any, lookup: Lookup) -> Any:
    """``value`` with all known outputs put in; what is unknown stays as it is. Unchanged parts are
    shared.
    """
    return fill(value, lambda marker, _path: _meaning(marker, lookup))


def fill(value: Any, give: Fill, path: Path = ()) -> Any:
    """``value`` with each marker replaced by what it stands for, if that is known. Unchanged parts
    are shared.
    """
    if isinstance(value, Mapping):
        if is_marker(value):
            known = give(value, path)
            return value if known is None else known
        filled = {key: fill(item, give, (*path, key)) for key, item in value.items()}
        return filled if any(filled[key] is not value[key] for key in value) else value
    if isinstance(value, list):
        items = [fill(item, give, (*path, str(index))) for index, item in enumerate(value)]
        return (
            items if any(new is not old for new, old in zip(items, value, strict=True)) else value
        )
    return value


def _meaning(marker: Mapping[str, Any], lookup: Lookup) -> Any:
    if UNKNOWN_KEY in marker:
        return lookup(OutputName.parse(marker[UNKNOWN_KEY]))
    parts = [
        part if isinstance(part, str) else _meaning(part, lookup) for part in marker[TEMPLATE_KEY]
    ]
    return None if any(part is None for part in parts) else "".join(map(str, parts))


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
