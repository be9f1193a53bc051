"""Whether a single value may stand in a field: values that are known only after the manifest was
checked.

Used by :class:`provisioner.manifest.annotations.KindInfo` for outputs of other resources: for their
examples when a stack is loaded, for the values themselves when a plan is made or applied.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.values import Json, Path
from provisioner.manifest.canonical import Findings
from provisioner.manifest.compiled import CompiledSchema
from provisioner.manifest.fields import Field
from provisioner.manifest.placeholders import shielded, unshielded


class Fit:
    """The fields of one kind, each with the part of the schema that describes it."""

    def __init__(self, top: Field, definitions: Mapping[str, Any]) -> None:
        """``definitions`` are the ``$defs`` that the schemas of fields refer to."""
        self._top = top
        self._definitions = definitions
        # By identity: the tree lives as long as this does.
        self._compiled: dict[int, CompiledSchema] = {}

    def __call__(self, path: Path, value: Json) -> Json:
        """The canonical form of ``value`` in the field at a canonical path; raises ValueError with
        what was found and what is expected. A field that the schema does not know (inside of a
        provider's own section) takes every value.
        """
        field: Field | None = self._top
        for part in path:
            field = None if field is None else field.child(part)
        if field is None:
            return value
        schema = self._schema(field)
        # A ${...} in a value is text: the patterns, which let it pass for the sake of editors, must
        # not.
        problems = [unshielded(item) for item in schema.problems(shielded(value, frozenset()))]
        if problems:
            raise ValueError(problems[0].summary)
        findings = Findings()
        canonical: Json = schema.canonicalise(value, findings)
        if findings.problems:
            raise ValueError(findings.problems[0].summary)
        return canonical

    def _schema(self, field: Field) -> CompiledSchema:
        if id(field) not in self._compiled:
            schema = CompiledSchema({**field.schema, "$defs": self._definitions})
            self._compiled[id(field)] = schema
        return self._compiled[id(field)]
