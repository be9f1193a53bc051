"""Which provider plugins are installed, and what each of them serves."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.providers.api import API_VERSION
from provisioner.providers.registry import Registry, how_to_install

__all__ = ["API_VERSION", "InstalledProvider", "how_to_install", "list_providers"]


@dataclass(frozen=True, slots=True)
class InstalledProvider:
    """One plugin. ``problem`` says why it cannot be used; the fields between are empty then.

    ``missing`` are packages without which it reads manifests and reaches no endpoint.
    """

    name: str
    version: str = ""
    api_version: tuple[int, int] | None = None
    kinds: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    problem: Diagnostic | None = None


def list_providers(registry: Registry | None = None) -> list[InstalledProvider]:
    """Every plugin of this installation by name, those that cannot be loaded included."""
    registry = registry or Registry()
    return [_describe(registry, name) for name in registry.names()]


def _describe(registry: Registry, name: str) -> InstalledProvider:
    try:
        description = registry.get(name).describe()
    except ProvisionerError as failure:
        return InstalledProvider(name, problem=failure.diagnostics[0])
    return InstalledProvider(
        name=name,
        version=description.version,
        api_version=description.api_version,
        kinds=tuple(sorted(description.kinds)),
        capabilities=tuple(sorted(description.capabilities)),
        missing=registry.missing(name),
    )
