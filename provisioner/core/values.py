"""Values that manifests, plans and plugins exchange: plain JSON data and :class:`Secret`.

Everything that crosses a boundary (plugin, state, plan file) is JSON data: ``None``, ``bool``,
``int``, ``float``, ``str``, lists, and dicts with string keys. What another resource will give and
is not known yet is written as ``{"$unknown": "Kind/name:output"}``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeAlias

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
"""JSON data. ``Any`` inside, because mypy's recursive aliases cost more than they prove here."""

Path: TypeAlias = tuple[str, ...]
"""Where a value stands in a document: keys from the root. An element of an ``x-set`` list is named
by its key value, an element of any other list by its decimal index.
"""

UNKNOWN_KEY = "$unknown"
TEMPLATE_KEY = "$template"


def is_marker(value: object) -> bool:
    """Whether a value stands for something that another resource will give, alone or in a text."""
    return (
        isinstance(value, Mapping)
        and len(value) == 1
        and next(iter(value)) in (UNKNOWN_KEY, TEMPLATE_KEY)
    )


class Secret:
    """A secret in memory. Nothing prints, serializes, compares, pickles or formats its value.

    ``reveal()`` is the only way to the value and is called where it is handed to an endpoint.
    """

    __slots__ = ("_reference", "_value")

    def __init__(self, value: str, reference: str) -> None:
        self._value = value
        self._reference = reference

    @property
    def reference(self) -> str:
        """Where the value came from, for example ``env://DB_PASSWORD``; safe to print."""
        return self._reference

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({self._reference})"

    __str__ = __repr__

    def __format__(self, format_spec: str) -> str:
        return format(repr(self), format_spec)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret cannot be serialized")


def canonical_json(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, UTF-8 as it is. Raises TypeError for
    anything not JSON.
    """
    return json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def digest(value: object) -> str:
    """SHA-256 of :func:`canonical_json`, as 64 hexadecimal digits."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def path_text(path: Path) -> str:
    """A path as people read it: ``spec.disks[data].cache``. Keys that are no plain words stand in
    brackets.
    """
    text = ""
    for part in path:
        if part.replace("_", "").isalnum() and not part[0].isdigit():
            text += f".{part}" if text else part
        else:
            text += f"[{part}]"
    return text


def get_path(document: Mapping[str, Any], path: Path) -> Any:
    """The value at ``path`` (mappings only), or None where there is none."""
    value: Any = document
    for part in path:
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value
