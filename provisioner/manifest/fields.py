"""A JSON Schema as a tree of :class:`Field`: what its annotations say about each place of a
document.

Made once per kind by :mod:`provisioner.manifest.annotations`; the canonical form, expansion,
overlays, references and positions all walk it. Only ``$ref`` within the schema (``#/$defs/...``) is
followed: :func:`bundled` brings shared definitions in.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.values import Json, Path

_OTHER_FILE = "definitions.v1.json#/"


@dataclass(frozen=True, slots=True)
class Field:
    """One place of a document, named by its schema.

    ``children`` are the known properties of a mapping, ``rest`` is what its other properties or a
    list's elements are. ``impact``, ``sensitive`` and ``write_only`` hold for everything below that
    says nothing itself. ``set_key`` is the property by which the elements of a list are known; then
    the canonical form of the list is a mapping.
    """

    impact: Impact = Impact.LIVE
    types: tuple[str, ...] = ()
    children: Mapping[str, Field] = field(default_factory=dict)
    rest: Field | None = None
    default: Json = None
    default_from: str | None = None
    """The property beside it whose value an unset field has."""
    unit: str | None = None
    form: str | None = None
    references: tuple[str, ...] = ()
    host_from: bool = False
    keeps: bool = False
    exclusive: bool = False
    set_key: str | None = None
    unordered: bool = False
    """A list of texts whose order says nothing: the canonical form is sorted."""
    sensitive: bool = False
    write_only: bool = False
    local_file: bool = False
    inline_as: str | None = None
    provider_part: str | None = None
    """``connection`` or ``native``: the provider's own schema says what may stand here."""
    expected: str = ""
    least: str | None = None
    most: str | None = None
    multiple: str | None = None
    """Limits of a number with a unit, as an author would write them."""
    schema: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    """Where it comes from, with its ``$ref`` followed."""

    def child(self, part: str) -> Field | None:
        """The field below, by one part of a canonical path."""
        return self.children.get(part, self.rest)


def bundled(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """The schema with the shared definitions inside of it, so that it stands alone."""
    whole = {
        key: _relinked(value) for key, value in schema.items() if key not in {"$id", "$schema"}
    }
    shared = {name: _relinked(value) for name, value in definitions.get("$defs", {}).items()}
    whole["$defs"] = {**shared, **whole.get("$defs", {})}
    return whole


def _relinked(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {
            key: child.replace(_OTHER_FILE, "#/")
            if key == "$ref" and isinstance(child, str)
            else _relinked(child)
            for key, child in value.items()
        }
    return [_relinked(child) for child in value] if isinstance(value, list) else value


def field_tree(schema: Mapping[str, Any]) -> Field:
    """The tree of a bundled schema. Raises ValueError for a reference that leads nowhere or into
    a circle.
    """
    return _field(schema, schema, Field(), ())


def _field(
    schema: Mapping[str, Any], root: Mapping[str, Any], above: Field, seen: tuple[str, ...]
) -> Field:
    schema, seen = _resolved(schema, root, seen)
    impact = Impact(schema["x-impact"]) if "x-impact" in schema else above.impact
    types = schema.get("type", ())
    references = schema.get("x-ref", ())
    own = Field(
        impact=impact,
        types=(types,) if isinstance(types, str) else tuple(types),
        default=schema.get("default"),
        default_from=schema.get("x-default-from"),
        unit=schema.get("x-unit"),
        form=schema.get("x-format"),
        references=(references,) if isinstance(references, str) else tuple(references),
        host_from=bool(schema.get("x-host-from")),
        keeps=bool(schema.get("x-ref-keeps")),
        exclusive=bool(schema.get("x-ref-exclusive")),
        set_key=schema.get("x-set"),
        unordered=bool(schema.get("x-unordered")),
        sensitive=above.sensitive or bool(schema.get("x-sensitive")),
        write_only=above.write_only or bool(schema.get("writeOnly")),
        local_file=bool(schema.get("x-file")),
        inline_as=schema.get("x-inline-as"),
        provider_part=schema.get("x-provider-schema"),
        expected=schema.get("x-expected", ""),
        least=schema.get("x-minimum"),
        most=schema.get("x-maximum"),
        multiple=schema.get("x-multiple"),
        schema=schema,
    )
    rest = schema.get("items", schema.get("additionalProperties"))
    children = {
        name: _field(child, root, own, seen) for name, child in schema.get("properties", {}).items()
    }
    below = _field(rest, root, own, seen) if isinstance(rest, Mapping) else None
    return replace(own, children=children, rest=below)


def _resolved(
    schema: Mapping[str, Any], root: Mapping[str, Any], seen: tuple[str, ...]
) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The schema with its ``$ref`` followed; keywords beside the reference win."""
    while "$ref" in schema:
        reference = str(schema["$ref"])
        if reference in seen:
            raise ValueError(f"the schema refers to itself through {reference}")
        seen = (*seen, reference)
        target: Any = root
        for part in reference.removeprefix("#/").split("/"):
            if not isinstance(target, Mapping) or part not in target:
                raise ValueError(f"the schema refers to {reference}, which is not there")
            target = target[part]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema, seen


def walk(top: Field, path: Path = ()) -> Iterator[tuple[Path, Field]]:
    """Every field below ``top`` with its path; ``*`` stands for any element or any other
    property.
    """
    for name, child in top.children.items():
        yield (*path, name), child
        yield from walk(child, (*path, name))
    if top.rest is not None:
        yield (*path, "*"), top.rest
        yield from walk(top.rest, (*path, "*"))
