"""Sections that only a provider understands: ``Host.spec.connection`` and ``native``.

Called by :mod:`provisioner.manifest.loader` when it is given a way to ask providers for their
descriptions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from provisioner.core.diagnostics import ProvisionerError
from provisioner.manifest.canonical import Findings
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.compiled import CompiledSchema
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft
from provisioner.providers.api import Description

_CONNECTION = ("spec", "connection")


def check_host(
    host: Draft, describe: Callable[[str], Description], catalog: SchemaCatalog
) -> Description | None:
    """Check a Host against its provider and bring its connection into canonical form; what is
    wrong is added to its problems.
    """
    try:
        description = describe(str(host.spec["provider"]))
    except ProvisionerError as problem:
        for found in problem.diagnostics:
            host.problems.append(
                Problem(("spec", "provider"), found.code, found.summary, found.hint, found.detail)
            )
        return None
    schema = CompiledSchema(catalog.standalone(description.connection_schema))
    connection = host.spec.get("connection", {})
    problems = section_problems(schema, connection, _CONNECTION)
    if not problems:
        findings = Findings()
        connection = schema.canonicalise(connection, findings)
        problems = [item._replace(path=(*_CONNECTION, *item.path)) for item in findings.problems]
        if "connection" in host.spec:
            host.spec["connection"] = connection
    host.problems += problems
    return description


def check_native(draft: Draft, description: Description) -> None:
    """Check that the provider serves the kind, and its part of the ``native`` section."""
    kind = draft.address.kind
    if kind not in description.naming:
        draft.problems.append(
            Problem(
                ("kind",),
                "PRV1320",
                f"the provider {description.name!r} of Host/{draft.host} does not serve {kind}",
                "Let it live on another host, or remove it.",
                f"It serves {', '.join(sorted(description.naming))}.",
            )
        )
    native = draft.spec.get("native")
    part: Any = native.get(description.name) if isinstance(native, Mapping) else None
    if part is not None:
        schema = CompiledSchema(description.native_schema)
        draft.problems += section_problems(schema, part, ("spec", "native", description.name))


def section_problems(schema: CompiledSchema, value: Any, path: tuple[str, ...]) -> list[Problem]:
    """What is wrong with a section by a provider's schema; paths start at the top of the
    document.
    """
    return [item._replace(path=(*path, *item.path)) for item in schema.problems(value)]
