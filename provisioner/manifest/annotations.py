"""What the schema of a kind says about its fields: impacts, defaults, references, secrecy.

:class:`KindInfo` is made by :class:`provisioner.manifest.catalog.SchemaCatalog`; the engine asks it
about paths of canonical specs (below ``spec``; ``labels`` and ``tenant`` are at their top), the
documentation reads it whole.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.values import Json, Path
from provisioner.manifest.canonical import Canonicaliser, canonical_default
from provisioner.manifest.fields import Field, field_tree, walk

if TYPE_CHECKING:
    from provisioner.manifest.fit import Fit

METADATA_FIELDS = ("labels", "tenant")
"""Fields of ``metadata`` that are part of a canonical spec."""


class ReferenceField(NamedTuple):
    """A field that names another resource. In ``path`` (below ``spec``) ``*`` stands for any
    element; where it stands at the end, the element's key is the name.

    ``host_from``: the resource lives in its target. ``keeps``: the target is kept where the
    resource is. ``exclusive``: one resource at a time has the target.
    """

    path: Path
    kinds: tuple[str, ...]
    host_from: bool = False
    keeps: bool = False
    exclusive: bool = False

    def targets(self, spec: Mapping[str, Any]) -> Iterator[Address]:
        """What a canonical spec may refer to by it: every name there, as one of each kind."""
        for name in _names(spec, self.path):
            for kind in self.kinds:
                yield Address(kind, name)


def _covers(path: Path, pattern: Path) -> bool:
    """Whether a path is the field of a pattern, or above it."""
    return len(path) <= len(pattern) and all(
        wanted in ("*", part) for part, wanted in zip(path, pattern, strict=False)
    )


def _names(value: Any, path: Path) -> Iterator[str]:
    if not path:
        if isinstance(value, str):
            yield value
        return
    if not isinstance(value, Mapping):
        return
    if path == ("*",):
        yield from value
    elif path[0] == "*":
        for element in value.values():
            yield from _names(element, path[1:])
    elif path[0] in value:
        yield from _names(value[path[0]], path[1:])


@dataclass(frozen=True)
class KindInfo:
    """One kind, as its schema describes it."""

    kind: str
    schema: Mapping[str, Any]
    """Bundled: it stands alone."""

    @cached_property
    def document(self) -> Field:
        """The fields of a whole manifest."""
        return field_tree(self.schema)

    @cached_property
    def spec(self) -> Field:
        """The fields of a spec as authors write it."""
        return self.document.children.get("spec", Field())

    @cached_property
    def canonical(self) -> Field:
        """The fields of a canonical spec: those of ``spec`` and, where the kind has them,
        ``labels`` and ``tenant``.
        """
        metadata = self.document.children.get("metadata", Field())
        more = {
            name: metadata.children[name] for name in METADATA_FIELDS if name in metadata.children
        }
        return Field(
            impact=self.spec.impact,
            types=("object",),
            children={**self.spec.children, **more},
            rest=self.spec.rest,
        )

    @cached_property
    def canonicalise(self) -> Canonicaliser:
        """Brings a spec (with ``labels`` and ``tenant`` in it) into canonical form."""
        return Canonicaliser(self.canonical)

    @property
    def order(self) -> int:
        """Its place in documentation."""
        return int(self.schema.get("x-order", 0))

    @property
    def is_stack(self) -> bool:
        """Whether it is the kind that describes the stack itself."""
        return bool(self.schema.get("x-stack"))

    @property
    def is_endpoint(self) -> bool:
        """Whether it describes an endpoint: nothing is made of it."""
        return bool(self.schema.get("x-endpoint"))

    @property
    def is_policy(self) -> bool:
        """Whether it says how resources are treated together: nothing is made of it, no provider
        serves it, and it is on no host.
        """
        return bool(self.schema.get("x-policy"))

    @property
    def is_resource(self) -> bool:
        """Whether an object of an endpoint is made of it."""
        return not (self.is_stack or self.is_endpoint or self.is_policy)

    @property
    def impact_on_delete(self) -> Impact:
        """What removing a resource of the kind does; ``replace`` where the schema is silent."""
        return Impact(self.schema.get("x-impact-on-delete", Impact.REPLACE))

    @property
    def retention_field(self) -> str | None:
        """The property of the spec whose value ``keep`` turns a deletion into forgetting."""
        return self.schema.get("x-retention")

    @property
    def borrowed_fields(self) -> tuple[Path, ...]:
        """The fields of the spec with which the resource stands for what was there before it."""
        return tuple(tuple(path.split(".")) for path in self.schema.get("x-borrowed", ()))

    @property
    def outputs(self) -> Mapping[str, Mapping[str, Any]]:
        """What only the endpoint knows, by name, each as a small JSON Schema."""
        outputs: Mapping[str, Mapping[str, Any]] = self.schema.get("x-computed", {})
        return outputs

    @cached_property
    def references(self) -> tuple[ReferenceField, ...]:
        """Every field that names another resource."""
        found = []
        for path, field in walk(self.spec):
            if field.references:
                parent = self._above(path)
                is_key = parent is not None and parent.set_key == path[-1]
                place = path[:-1] if is_key else path
                found.append(
                    ReferenceField(
                        place, field.references, field.host_from, field.keeps, field.exclusive
                    )
                )
        return tuple(found)

    @cached_property
    def reference_fields(self) -> tuple[Field, ...]:
        """Every field of a canonical spec that names another resource, in the schema's order."""
        return tuple(field for _, field in walk(self.canonical) if field.references)

    @property
    def host_from(self) -> Path | None:
        """The reference whose target decides the host, where there is one."""
        return next((reference.path for reference in self.references if reference.host_from), None)

    @property
    def host_field(self) -> Path | None:
        """The field that names the host, where there is one."""
        return next((ref.path for ref in self.references if "Host" in ref.kinds), None)

    def decides(self, path: Path, output: str) -> bool:
        """Whether changing the field at ``path`` may change an output: a field that the output
        follows (``x-follows``), or one above it; without that, the field that is called like it.
        """
        name, _, member = output.partition(".")
        follows = self.outputs.get(name, {}).get("x-follows")
        if follows is None:
            return name in path
        # Of an output that is a mapping, the member stands for the element.
        patterns = [
            tuple(member or part if part == "*" else part for part in field.split("."))
            for field in follows
        ]
        return any(_covers(path, pattern) for pattern in patterns)

    def field(self, path: Path) -> Field | None:
        """The field at a canonical path; None where the schema knows none (inside of a
        provider's own section, say).
        """
        field: Field | None = self.canonical
        for part in path:
            field = None if field is None else field.child(part)
        return field

    def impact_of(self, path: Path) -> Impact:
        """Default impact of changing the field; that of the nearest field above where the schema
        does not know it.
        """
        field = self.canonical
        for part in path:
            below = field.child(part)
            if below is None:
                break
            field = below
        return field.impact

    def default_of(self, path: Path) -> Json:
        """What an unset field means, in canonical form; None where the schema names no default."""
        field = self.field(path)
        return None if field is None else canonical_default(field)

    def owned_whole(self, path: Path) -> bool:
        """Whether the mapping is a set of elements or a free map, so that its author owns it with
        everything in it.
        """
        field = self.field(path)
        if field is None:
            return False
        free = "object" in field.types and (field.rest is not None or not field.children)
        return field.set_key is not None or free

    def fitted(self, path: Path, value: Json) -> Json:
        """The canonical form of a value that becomes known late, such as another resource's
        output; raises ValueError with what was found and what the field expects.
        """
        return self._fit(path, value)

    @cached_property
    def _fit(self) -> Fit:
        from provisioner.manifest.fit import Fit  # noqa: PLC0415 - brings the validators with it

        return Fit(self.canonical, self.schema.get("$defs", {}))

    def is_sensitive(self, path: Path) -> bool:
        """Whether the value must not be shown."""
        return any(self._flags(path, "sensitive"))

    def is_write_only(self, path: Path) -> bool:
        """Whether an endpoint cannot tell the value again."""
        return any(self._flags(path, "write_only"))

    def _flags(self, path: Path, name: str) -> list[bool]:
        field: Field | None = self.canonical
        flags = []
        for part in path:
            field = None if field is None else field.child(part)
            if field is None:
                break
            flags.append(bool(getattr(field, name)))
        return flags

    def _above(self, path: Path) -> Field | None:
        """The list whose element the field at the end of ``path`` belongs to, if it does."""
        if len(path) < 2 or path[-2] != "*":
            return None
        field: Field | None = self.spec
        for part in path[:-2]:
            field = None if field is None else field.children.get(part, field.rest)
        return field
