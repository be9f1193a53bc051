"""Values of specs as people write them: sizes and durations with units, unknowns, long texts."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from provisioner.cli.render.text import printable
from provisioner.core.units import format_duration, format_size
from provisioner.core.values import TEMPLATE_KEY, UNKNOWN_KEY, Path, is_marker, path_text

KNOWN_AFTER_APPLY = "(known after apply)"
AS_BY_DEFAULT = "(defaults)"
"""An element of which the author says only that it is there."""
SENSITIVE = "(sensitive)"

_BARE = re.compile(r"[\w./:@+*=-][\w./:@+*=, -]*[\w./:@+*=-]|[\w./*]")
_LOOKS_LIKE_ANOTHER_TYPE = re.compile(r"-?\d+(\.\d+)?|true|false|null|\(.*")


class Vocabulary(Protocol):
    """What the schemas know about fields; paths stand below ``spec``."""

    def unit_of(self, kind: str, path: Path) -> str | None:
        """``bytes``, ``milliseconds``, or None for a field without a unit."""
        ...

    def is_sensitive(self, kind: str, path: Path) -> bool:
        """Whether the value of the field, or of one above it, must not be shown."""
        ...


def render_value(value: Any, kind: str, path: Path, vocabulary: Vocabulary) -> str:
    """One value on one line. None is what is not there and shows as ``(none)``."""
    if value is None:
        return "(none)"
    if isinstance(value, Mapping) and set(value) == {"secretRef"}:
        return f"secret {render_text(str(value['secretRef']))}"
    if vocabulary.is_sensitive(kind, path):
        return SENSITIVE
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return _number(value, vocabulary.unit_of(kind, path))
    if isinstance(value, str):
        return render_text(value)
    if isinstance(value, Mapping):
        return _mapping(value, kind, path, vocabulary)
    if isinstance(value, (list, tuple)):
        items = [
            render_value(item, kind, (*path, str(i)), vocabulary) for i, item in enumerate(value)
        ]
        return "[" + ", ".join(items) + "]"
    return str(value)


def render_path(path: Path) -> str:
    """A path on one line; keys come from manifests and endpoints as values do."""
    return path_text(tuple(map(_key, path)))


def _key(key: str) -> str:
    return printable(key).replace("\n", "\\n")


def render_text(value: str) -> str:
    """A text as YAML would take it on one line; of a text with several lines the first and their
    number."""
    if "\n" in value:
        lines = value.rstrip("\n").split("\n")
        more = len(lines) - 1
        return _quoted(lines[0]) + (f" (+{more} lines)" if more else "")
    if _BARE.fullmatch(value) and not _LOOKS_LIKE_ANOTHER_TYPE.fullmatch(value):
        return value
    return _quoted(value)


def text_of(value: Any) -> str | None:
    """A text, also one around values that are not known yet; None for anything else."""
    if isinstance(value, Mapping) and TEMPLATE_KEY in value:
        parts = value[TEMPLATE_KEY]
        return "".join(part if isinstance(part, str) else KNOWN_AFTER_APPLY for part in parts)
    return value if isinstance(value, str) else None


def _quoted(value: str) -> str:
    return printable(json.dumps(value, ensure_ascii=False))


def _number(value: int, unit: str | None) -> str:
    if unit == "bytes":
        return format_size(value)
    if unit == "milliseconds":
        return format_duration(value)
    return str(value)


def _mapping(value: Mapping[str, Any], kind: str, path: Path, vocabulary: Vocabulary) -> str:
    if UNKNOWN_KEY in value:
        return KNOWN_AFTER_APPLY
    text = text_of(value)
    if text is not None:
        return printable(text)
    if not value:
        return AS_BY_DEFAULT
    items = [
        f"{_key(key)}: {render_value(item, kind, (*path, key), vocabulary)}"
        for key, item in value.items()
    ]
    return "{" + ", ".join(items) + "}"


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every value in a document that is no mapping (or an empty one), with its path, in the order
    of keys."""
    if isinstance(value, Mapping) and value and not is_marker(value):
        for key in sorted(value):
            yield from leaves(value[key], (*path, key))
    else:
        yield path, value


def masked(value: Any, kind: str, vocabulary: Vocabulary, path: Path = ()) -> Any:
    """A spec, or the value at ``path`` of one, with sensitive values masked."""
    if value is None:
        return None
    reference = isinstance(value, Mapping) and set(value) == {"secretRef"}
    if path and vocabulary.is_sensitive(kind, path) and not reference:
        return SENSITIVE
    if isinstance(value, Mapping):
        return {key: masked(item, kind, vocabulary, (*path, key)) for key, item in value.items()}
    return value
