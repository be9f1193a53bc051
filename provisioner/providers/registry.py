"""Finds provider plugins by entry point and shakes hands over the API version.

Called by the service layer. A plugin is loaded only when a stack names it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from importlib.metadata import (
    Distribution,
    EntryPoint,
    PackageNotFoundError,
    distribution,
    entry_points,
)

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

    def missing(self, name: str) -> tuple[str, ...]:
        """What the provider needs to reach an endpoint and is not installed: the requirements of
        the extra that is called like it, as its distribution says (``libvirt-python>=9.0``).
        """
        point = self._installed().get(name)
        if point is None or point.dist is None:
            return ()
        return tuple(
            requirement
            for requirement in _requirements(point.dist, name)
            if not _is_installed(requirement)
        )

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
            owner = point.dist.name if point.dist is not None else "the package it comes from"
            raise ProvisionerError(
                error(
                    "PRV5002",
                    f"the provider {name!r} cannot be loaded",
                    detail=str(problem),
                    hint=how_to_install(self.missing(name)) or f"Install {owner} again.",
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


def how_to_install(requirements: tuple[str, ...]) -> str:
    """The sentence that says it; empty if there is nothing to install.

    The libraries are named and not an extra of ours: whether this came from a checkout, a wheel or
    an index, the command installs what it says (docs/decisions/0024).
    """
    if not requirements:
        return ""
    quoted = " ".join(f"'{requirement}'" for requirement in requirements)
    return f"Install what it needs into the same Python environment: pip install {quoted}"


def _requirements(owner: Distribution, extra: str) -> Iterator[str]:
    """Those of one extra, without their conditions (PEP 508)."""
    for text in owner.requires or ():
        requirement, _, condition = text.partition(";")
        if re.search(rf"extra\s*==\s*[\"']{re.escape(extra)}[\"']", condition):
            yield requirement.strip()


def _is_installed(requirement: str) -> bool:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    try:
        return name is not None and bool(distribution(name[0]))
    except PackageNotFoundError:
        return False
