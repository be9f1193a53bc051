"""The schemas of all kinds, compiled once: :class:`SchemaCatalog`.

The service layer makes one catalog and hands it to the loader and to the engine, which asks it for
:class:`KindInfo`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import digest
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.fields import bundled

if TYPE_CHECKING:
    from provisioner.manifest.compiled import CompiledSchema

PACKAGE = "provisioner_schemas"
_DEFINITIONS = "definitions.v1.json"
API_VERSION = "provisioner/v1"


@dataclass(frozen=True)
class SchemaCatalog:
    """Every kind by its name."""

    kinds: Mapping[str, KindInfo]
    definitions: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def installed(cls) -> SchemaCatalog:
        """The schemas that come with the installation; raises ProvisionerError (PRV1008) if one
        cannot be used.
        """
        texts = {
            entry.name: entry.read_text(encoding="utf-8")
            for entry in files(PACKAGE).iterdir()
            if entry.name.endswith(".json")
        }
        schemas = {}
        for name, text in sorted(texts.items()):
            try:
                schemas[name] = json.loads(text)
            except ValueError as problem:
                raise ProvisionerError(
                    error(
                        "PRV1008",
                        f"the schema {name} of this installation is damaged",
                        detail=str(problem),
                        hint="Install provisioner again.",
                    )
                ) from problem
        return cls.of(schemas)

    @classmethod
    def of(cls, schemas: Mapping[str, Mapping[str, Any]]) -> SchemaCatalog:
        """A catalog of these schemas by file name; ``definitions.v1.json`` holds what they
        share.
        """
        definitions = schemas.get(_DEFINITIONS, {})
        kinds = {
            schema["title"]: KindInfo(schema["title"], bundled(schema, definitions))
            for name, schema in schemas.items()
            if name != _DEFINITIONS
        }
        ordered = sorted(kinds.items(), key=lambda item: (item[1].order, item[0]))
        return cls(dict(ordered), definitions)

    def standalone(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        """A provider's schema with the shared definitions inside, so that it may refer to them
        as the kinds' schemas do.
        """
        return bundled(schema, self.definitions)

    def kind(self, name: str) -> KindInfo:
        """The kind called ``name``; raises KeyError if there is none."""
        return self.kinds[name]

    @cached_property
    def stack_kind(self) -> str:
        """The kind that describes a stack."""
        return next(name for name, info in self.kinds.items() if info.is_stack)

    @cached_property
    def endpoint_kind(self) -> str:
        """The kind that describes an endpoint."""
        return next(name for name, info in self.kinds.items() if info.is_endpoint)

    @cached_property
    def policy_kinds(self) -> frozenset[str]:
        """The kinds that say how resources are treated together."""
        return frozenset(name for name, info in self.kinds.items() if info.is_policy)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over all schemas: changes when, and only when, one of them does."""
        return digest({name: info.schema for name, info in self.kinds.items()})

    @cached_property
    def compiled(self) -> Mapping[str, CompiledSchema]:
        """The schemas of whole manifests by kind."""
        from provisioner.manifest.compiled import CompiledSchema  # noqa: PLC0415 - see there

        return {name: CompiledSchema(info.schema) for name, info in self.kinds.items()}
