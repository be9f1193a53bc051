"""The schemas of all kinds, compiled once: :class:`SchemaCatalog`.

The service layer makes one catalog and hands it to the loader and to the engine, which asks it for
:class:`KindInfo`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from functools import cached_property
from importlib.resources import files
from typing import Any

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import digest
from provisioner.manifest.annotations import KindInfo
from provisioner.manifest.canonical import Canonicaliser
from provisioner.manifest.fields import Field, bundled, field_tree
from provisioner.manifest.placeholders import has_output, is_output, unresolved
from provisioner.manifest.places import Problem
from provisioner.manifest.validation import Validator, Violation
from provisioner.manifest.violations import problems

PACKAGE = "provisioner_schemas"
_DEFINITIONS = "definitions.v1.json"
API_VERSION = "provisioner/v1"


class CompiledSchema:
    """A schema ready for use: what it accepts, and the fields that it describes. Each is made at
    its first use.
    """

    def __init__(self, schema: Mapping[str, Any]) -> None:
        """``schema`` has to stand alone."""
        self.schema = schema

    @cached_property
    def validator(self) -> Validator:
        """Accepts or refuses documents."""
        return Validator(self.schema)

    @cached_property
    def fields(self) -> Field:
        """What its annotations say."""
        return field_tree(self.schema)

    @cached_property
    def canonicalise(self) -> Canonicaliser:
        """Brings a value into canonical form."""
        return Canonicaliser(self.fields)

    def problems(self, value: object, kinds: Set[str] = frozenset()) -> list[Problem]:
        """What is wrong with a value; paths start at the value. Texts that wait for an output of
        one of ``kinds`` are right.
        """
        if self.validator.accepts(value):
            return []
        found = [item for item in self.validator.violations(value) if not _awaits(item, kinds)]
        return problems(found, self.fields)


def _awaits(violation: Violation, kinds: Set[str]) -> bool:
    """Whether the rule is broken only because the value is another resource's output, which is
    known later, or because a placeholder has no value, which has been reported.
    """
    text = violation.instance
    if not isinstance(text, str) or "${" not in text or violation.of_name:
        return False
    if unresolved(text):
        return True
    if violation.keyword != "type":
        return has_output(text, kinds)
    types = {violation.limit} if isinstance(violation.limit, str) else set(violation.limit)
    return is_output(text, kinds) and not types <= {"object", "array"}


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
    def digest(self) -> str:
        """SHA-256 over all schemas: changes when, and only when, one of them does."""
        return digest({name: info.schema for name, info in self.kinds.items()})

    @cached_property
    def compiled(self) -> Mapping[str, CompiledSchema]:
        """The schemas of whole manifests by kind."""
        return {name: CompiledSchema(info.schema) for name, info in self.kinds.items()}
