"""What is said of a field that libvirt cannot honour. Called by the rules of every kind."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, path_text

FIELD = "PRV2502"


def unusable(path: Path, found: str, hint: str, code: str = FIELD) -> Diagnostic:
    """The diagnostic for the field at ``path`` of a spec; ``found`` is a sentence without its full
    stop that says what is in the way.
    """
    return error(
        code,
        f"{path_text(path)} cannot be used with libvirt here",
        detail=f"{found[:1].upper()}{found[1:]}.",
        hint=hint,
        path=path,
    )


class Cannot(NamedTuple):
    """A field of the common model that libvirt does not carry, whatever the rest says; ``*`` in
    ``path`` stands for any element. ``values``: only these are not carried; None: no value is.
    """

    path: Path
    found: str
    hint: str
    values: tuple[str | bool, ...] | None = None


def inventory_fields(*fields: str) -> tuple[Cannot, ...]:
    """The fields by which a resource has a place in an inventory, of which libvirt has none."""
    return tuple(
        Cannot(
            (field,),
            "a libvirt host has no datacenters, folders and other hosts",
            f"Remove it; what differs between hosts stands in an overlay of an environment ({field}"
            ": null).",
        )
        for field in fields
    )


def not_carried(
    spec: Mapping[str, Any], known: Iterable[Cannot], code: str = FIELD
) -> Iterator[Diagnostic]:
    """A diagnostic for each field of ``spec`` that is among the ``known`` ones."""
    for entry in known:
        for path, value in _places(spec, entry.path, ()):
            if entry.values is None or value in entry.values:
                yield unusable(path, entry.found, entry.hint, code)


def _places(value: Any, pattern: Path, path: Path) -> Iterator[tuple[Path, Any]]:
    if not pattern:
        yield path, value
    elif isinstance(value, Mapping):
        first, *rest = pattern
        for name in value if first == "*" else {first} & value.keys():
            yield from _places(value[name], tuple(rest), (*path, name))
