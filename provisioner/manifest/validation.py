"""JSON Schema validation (2020-12); the only module that imports jsonschema and jsonschema_rs.

jsonschema_rs says quickly that a document is valid; what it does not accept goes to jsonschema,
which is the authority and reports. jsonschema is imported only then: most runs need it never.
:mod:`provisioner.manifest.violations` turns the reports into diagnostics.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import jsonschema_rs

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator as JsonSchemaValidator

_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\$", re.DOTALL)
"""Escapes and character classes, in which ``$`` is not an anchor, and the anchor itself."""


class Violation(NamedTuple):
    """One broken rule of a schema. ``keyword`` is its JSON Schema keyword, ``limit`` that keyword's
    value.

    ``path`` leads to ``instance``. ``schema`` is the subschema that holds the keyword. ``of_name``:
    the instance is the name of a property. ``branches`` holds, for ``anyOf`` and ``oneOf``, what is
    wrong by each alternative.
    """

    keyword: str
    limit: Any
    instance: Any
    path: tuple[str | int, ...]
    schema: Mapping[str, Any]
    message: str
    of_name: bool = False
    branches: tuple[tuple[Violation, ...], ...] = ()


class Validator:
    """One schema, compiled. The schema has to stand alone (references into itself only)."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._schema = dict(schema)
        self._accepts = jsonschema_rs.Draft202012Validator(
            self._schema, validate_formats=False
        ).is_valid
        self._authority: JsonSchemaValidator | None = None

    def accepts(self, document: Any) -> bool:
        """The quick answer. False may still turn out to be valid; True never turns out to be
        invalid.
        """
        return self._accepts(document)

    def violations(self, document: Any) -> list[Violation]:
        """Every broken rule by the authority, in the order of the document."""
        if self._authority is None:
            self._authority = _authority(self._schema)
        found = [_violation(problem) for problem in self._authority.iter_errors(document)]
        return sorted(found, key=lambda violation: [str(part) for part in violation.path])


def _authority(schema: Mapping[str, Any]) -> JsonSchemaValidator:
    from jsonschema import Draft202012Validator  # noqa: PLC0415 - slow to import, and seldom needed
    from jsonschema.validators import extend  # noqa: PLC0415 - as above

    dialect: Any = extend  # the typeshed stubs leave it untyped
    validator: JsonSchemaValidator = dialect(Draft202012Validator, {"pattern": _pattern})(schema)
    return validator


def _pattern(
    validator: Any, pattern: str, instance: object, _schema: object
) -> Iterator[ValidationError]:
    """``pattern`` as ECMA 262 has it: ``$`` is the very end of the text, not the place before a
    last line end.
    """
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415 - as above

    if validator.is_type(instance, "string") and not _compiled(pattern).search(str(instance)):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@lru_cache(1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(_TOKEN.sub(lambda match: r"\Z" if match[0] == "$" else match[0], pattern))


def _violation(problem: ValidationError) -> Violation:
    path = tuple(problem.absolute_path)
    steps = list(problem.absolute_schema_path)
    branches: dict[int, list[Violation]] = {}
    if problem.validator in {"anyOf", "oneOf"}:
        for below in problem.context or ():
            branches.setdefault(int(below.schema_path[0]), []).append(_violation(below))
    return Violation(
        str(problem.validator),
        problem.validator_value,
        problem.instance,
        path,
        problem.schema if isinstance(problem.schema, Mapping) else {},
        problem.message,
        any(
            step == "propertyNames" and (number == 0 or steps[number - 1] != "properties")
            for number, step in enumerate(steps)
        ),
        tuple(tuple(branch) for branch in branches.values()),
    )
