"""A schema ready for use: what it accepts, what is wrong with what it does not, and the canonical
form.

Apart from :mod:`provisioner.manifest.catalog`, because validation libraries are needed only where
manifests are loaded.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import cached_property
from typing import Any

from provisioner.manifest.canonical import Canonicaliser
from provisioner.manifest.fields import Field, field_tree
from provisioner.manifest.placeholders import has_output, is_output, unresolved
from provisioner.manifest.problems import Problem
from provisioner.manifest.validation import Validator, Violation
from provisioner.manifest.violations import problems


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

    def problems(
        self, value: object, kinds: Set[str] = frozenset(), prefix: tuple[str, ...] = ()
    ) -> list[Problem]:
        """What is wrong with a value that stands at ``prefix`` in its document. Texts that wait for
        an output of one of ``kinds`` are right.
        """
        if self.validator.accepts(value):
            return []
        found = [item for item in self.validator.violations(value) if not _awaits(item, kinds)]
        return problems(found, self.fields, prefix)


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
