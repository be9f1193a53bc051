"""Connections to daemons, as a provider opens them for a Host."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from provisioner.core.clock import SystemClock
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.values import Secret
from provisioner.providers.api import Context, Endpoint
from provisioner_plugins._libvirt.connection import Connection


class Secrets:
    """Secrets by reference."""

    def __init__(self, **known: str) -> None:
        self._known = known

    def resolve(self, reference: str) -> Secret:
        name = reference.removeprefix("env://")
        if name not in self._known:
            raise ProvisionerError(error("PRV1501", f"there is no secret {reference}"))
        return Secret(self._known[name], reference)


def connect(root: Path = Path("/"), secrets: Any = None, **connection: Any) -> Any:
    """A connection for a Host's ``connection`` section; what it warns of is in ``warnings``."""
    warnings: list[Diagnostic] = []
    context = Context(
        root,
        SystemClock(),
        secrets or Secrets(),
        lambda *_: None,
        warn=warnings.append,
    )
    made: Any = Connection(Endpoint("lab", "kvm", connection), context)
    made.warnings = warnings
    return made


def hostname(connection: Any) -> str:
    name: str = connection.read("ask for the name", lambda handle: handle.getHostname())
    return name
