"""Finds provider plugins by entry point and shakes hands over the API version.

Called by the service layer. A plugin is loaded only when a stack names it.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from difflib import get_close_matches
from importlib.metadata import EntryPoint, entry_points

from provisioner.core.diagnostics import ProvisionerError, error, quoted
from provisioner.providers.api import API_VERSION, Provider

GROUP = "provisioner.providers"


class Registry:
    """Providers by name; each is loaded once, at its first use. For several threads."""

    def __init__(self, known: Mapping[str, Provider] | None = None) -> None:
        """``known`` providers are used as they are; the others come from the entry points of the
        installation.
        """
        self._loaded: dict[str, Provider] = dict(known or {})
        self._entry_points: dict[str, EntryPoint] | None = None
        self._loading = threading.Lock()

    def names(self) -> list[str]:
        """All provider names that can be asked for, sorted."""
        return sorted({*self._loaded, *self._installed()})

    def get(self, name: str) -> Provider:
        """The provider called ``name``; raises ProvisionerError (PRV5001..5003) if there is none
        that fits.
        """
        with self._loading:
            if name not in self._loaded:
                self._loaded[name] = self._load(name)
            return self._loaded[name]

    def _installed(self) -> dict[str, EntryPoint]:
        if self._entry_points is None:
            self._entry_points = {point.name: point for point in entry_points(group=GROUP)}
        return self._entry_points

    def _load(self, name: str) -> Provider:
        point = self._installed().get(name)
        if point is None:
            near = get_close_matches(name, self.names(), n=1)
            raise ProvisionerError(
                error(
                    "PRV5001",
                    f"there is no provider {quoted(name)}",
                    detail="Installed providers: " + (", ".join(self.names()) or "none") + ".",
                    hint=f"Did you mean {near[0]!r}?"
                    if near
                    else "Install the plugin that serves it.",
                )
            )
        try:
            provider: Provider = point.load()()
        except (ImportError, AttributeError) as problem:
            raise ProvisionerError(
                error(
                    "PRV5002",
                    f"the provider {name!r} cannot be loaded",
                    detail=str(problem),
                    hint=f"Install it with its dependencies: pip install 'provisioner[{name}]'.",
                )
            ) from problem
        major, minor = provider.describe().api_version
        if major != API_VERSION[0] or minor > API_VERSION[1]:
            raise ProvisionerError(
                error(
                    "PRV5003",
                    f"the provider {name!r} speaks version {major}.{minor} of the provider API",
                    detail=f"This installation speaks {API_VERSION[0]}.{API_VERSION[1]}.",
                    hint="Install versions of provisioner and of the plugin that fit together.",
                )
            )
        return provider
