"""What the engine asks of a kind's schema; the manifest layer's catalog answers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.values import Json, Path
from provisioner.manifest.annotations import ReferenceField


class KindRules(Protocol):
    """What the schema of a kind says about its fields and about removal. Paths stand below
    ``spec``.
    """

    def impact_of(self, path: Path) -> Impact:
        """The default impact of changing the field at ``path``."""
        ...

    def default_of(self, path: Path) -> Json:
        """The canonical value that an unset field means; None if the schema has none."""
        ...

    def owned_whole(self, path: Path) -> bool:
        """Whether the mapping at ``path`` is an ``x-set`` list or a free map: its author owns it
        with all its elements.
        """
        ...

    def is_write_only(self, path: Path) -> bool:
        """Whether an endpoint may be unable to tell the value at ``path`` (``writeOnly``)."""
        ...

    def is_sensitive(self, path: Path) -> bool:
        """Whether the value at ``path`` must not be shown or kept."""
        ...

    def fitted(self, path: Path, value: Json) -> Json:
        """The canonical form of a value that becomes known late, such as another resource's output;
        raises ValueError with what was found and what the field at ``path`` expects.
        """
        ...

    @property
    def host_field(self) -> Path | None:
        """The reference field that names the Host; it is placement, not configuration, and never
        compared.
        """
        ...

    @property
    def impact_on_delete(self) -> Impact:
        """The impact of deleting an object of this kind."""
        ...

    @property
    def retention_field(self) -> str | None:
        """The spec field whose value ``keep`` makes removal from the manifests forget the object
        instead of deleting it.
        """
        ...

    @property
    def borrowed_fields(self) -> Sequence[Path]:
        """The spec fields with each of which a resource stands for what was there before it and is
        only used: it is forgotten, too.
        """
        ...

    @property
    def references(self) -> Sequence[ReferenceField]:
        """Every field that names another resource."""
        ...

    def decides(self, path: Path, output: str) -> bool:
        """Whether changing the field at ``path`` may change an output."""
        ...


class Rules(Protocol):
    """The rules of every kind."""

    def kind(self, name: str) -> KindRules:
        """The rules of one kind."""
        ...

    @property
    def digest(self) -> str:
        """Changes when any schema changes."""
        ...


def targets_in(
    fields: Sequence[ReferenceField], values: Iterable[tuple[Path, Json]]
) -> set[Address]:
    """What values at these paths refer to in these fields, by themselves or by what is in them."""
    found: set[Address] = set()
    for path, value in values:
        if value is None:
            continue
        spec: Any = value
        for key in reversed(path):
            spec = {key: spec}
        found |= {target for field in fields for target in field.targets(spec)}
    return found
