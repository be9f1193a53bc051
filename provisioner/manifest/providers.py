"""Sections that only a provider understands: ``Host.spec.connection`` and ``native``.

Called by :mod:`provisioner.manifest.loader` when it is given a way to ask providers for their
descriptions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.manifest.canonical import Findings
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.compiled import CompiledSchema
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft
from provisioner.providers.api import Description

Describe = Callable[[str], Description]
"""What a provider says of itself, by its name; raises ProvisionerError if there is none."""

_CONNECTION = ("spec", "connection")


class _Provider(NamedTuple):
    description: Description
    connection: CompiledSchema
    native: CompiledSchema


@dataclass(slots=True)
class ProviderSections:
    """Checks what providers understand; each provider is asked once."""

    describe: Describe
    catalog: SchemaCatalog
    _asked: dict[str, _Provider | ProvisionerError] = field(default_factory=dict)
    _by_host: dict[str, _Provider] = field(default_factory=dict)

    def check_host(self, host: Draft) -> None:
        """Check a Host against its provider and bring its connection into canonical form."""
        name = host.spec.get("provider")
        if not isinstance(name, str):
            return
        provider = self._ask(name)
        if isinstance(provider, ProvisionerError):
            host.problems += [_of(item, ("spec", "provider")) for item in provider.diagnostics]
            return
        if host.named:
            self._by_host[host.address.name] = provider
        connection = host.spec.get("connection", {})
        problems = provider.connection.problems(connection, prefix=_CONNECTION)
        if not problems and "connection" in host.spec:
            findings = Findings()
            host.spec["connection"] = provider.connection.canonicalise(connection, findings)
            problems = [
                item._replace(path=(*_CONNECTION, *item.path)) for item in findings.problems
            ]
        host.problems += problems

    def check_resource(self, draft: Draft) -> None:
        """Check that the provider of its host serves the kind, and every part of ``native``."""
        provider = self._by_host.get(draft.host or "")
        if provider is not None and draft.address.kind not in provider.description.naming:
            draft.problems.append(_unserved(draft, provider.description))
        native = draft.spec.get("native")
        if isinstance(native, dict):
            for name, part in native.items():
                draft.problems += self._native(name, part)

    def _native(self, name: str, part: Any) -> list[Problem]:
        path = ("spec", "native", name)
        provider = self._ask(name)
        if isinstance(provider, ProvisionerError):
            return [_of(item, path)._replace(at_key=True) for item in provider.diagnostics]
        return provider.native.problems(part, prefix=path)

    def _ask(self, name: str) -> _Provider | ProvisionerError:
        if name not in self._asked:
            try:
                description = self.describe(name)
            except ProvisionerError as problem:
                self._asked[name] = problem
            else:
                self._asked[name] = _Provider(
                    description,
                    CompiledSchema(self.catalog.standalone(description.connection_schema)),
                    CompiledSchema(self.catalog.standalone(description.native_schema)),
                )
        return self._asked[name]


def _of(found: Diagnostic, path: tuple[str, ...]) -> Problem:
    return Problem(path, found.code, found.summary, found.hint, found.detail)


def _unserved(draft: Draft, description: Description) -> Problem:
    kind = draft.address.kind
    return Problem(
        ("kind",),
        "PRV1320",
        f"the provider {description.name!r} of Host/{draft.host} does not serve {kind}",
        "Let it live on another host, or remove it.",
        f"It serves {', '.join(sorted(description.naming))}.",
    )
