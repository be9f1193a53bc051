"""The memory provider: pure but for the endpoints that it keeps for as long as it lives."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.providers.api import (
    Assessment,
    Change,
    Context,
    Description,
    Endpoint,
    Present,
    Resource,
)
from provisioner_plugins.memory.access import Access
from provisioner_plugins.memory.description import describe
from provisioner_plugins.memory.faults import Faults
from provisioner_plugins.memory.inventory import Inventory
from provisioner_plugins.memory.objects import MACHINE
from provisioner_plugins.memory.session import MemorySession
from provisioner_plugins.memory.telling import Told

VERSION = "1.0"


class MemoryProvider:
    """Implements :class:`provisioner.providers.api.Provider`. Endpoints without a file live as long
    as the instance, and no other instance sees them.
    """

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._inventories: dict[tuple[str, Path | None], Inventory] = {}
        self._faults: dict[str, Faults] = {}
        self._calls: dict[str, Counter[str]] = {}

    def describe(self) -> Description:
        """Every kind; leases, power, snapshot-revert, usage, replication and standby."""
        return describe(VERSION)

    def normalise(self, resource: Resource) -> Mapping[str, Any]:
        """The spec as it is: whatever a kind has can be kept here."""
        return resource.spec

    def impact(
        self, resource: Resource, observed: Present, changes: Sequence[Change]
    ) -> Sequence[Assessment]:
        """The schema's impact, except that a stopped machine has nothing to restart, that a start
        interrupts nobody, and that a disk cannot shrink.
        """
        stopped = resource.kind == MACHINE and observed.facts.get("power") == "stopped"
        return [_assess(resource.kind, change, stopped=stopped) for change in changes]

    def connection_of(self, uri: str) -> Mapping[str, Any] | None:
        """See :class:`provisioner.providers.api.ConnectionUris`: ``memory:///PATH`` is a file,
        ``memory://`` is gone when the program ends.
        """
        parts = urlsplit(uri)
        if parts.scheme != "memory" or parts.netloc:
            return None
        return {"path": unquote(parts.path)} if parts.path else {}

    def open(self, endpoint: Endpoint, context: Context) -> MemorySession:
        """A session to the endpoint; nothing is read before the first call. Raises Terminal where
        the connection's password is not there.
        """
        inventory = self.inventory(endpoint, context.root)
        with self._mutex:
            faults = self._faults.setdefault(endpoint.name, Faults())
            if endpoint.name not in self._calls:
                # Once: what is left of a rule counts for all sessions of the endpoint together.
                self._calls[endpoint.name] = Counter()
                for rule in endpoint.connection.get("faults", ()):
                    faults.add(rule)
            calls = self._calls[endpoint.name]
        calls["open"] += 1
        told = Told(endpoint, context.secrets, context.memory)
        faults.before("open", Address("Host", endpoint.name), secrets=lambda: told.of({}))
        latency = endpoint.connection.get("latency", {})
        return MemorySession(
            Access(
                endpoint.name,
                inventory,
                faults,
                calls,
                context=context,
                told=told,
                latency=latency,
            )
        )

    def inventory(self, endpoint: Endpoint, root: Path) -> Inventory:
        """What the endpoint holds; the same for every session of this provider. A relative path
        counts from ``root``, the stack's folder.
        """
        path = endpoint.connection.get("path")
        file = root / path if path is not None else None
        with self._mutex:
            key = (endpoint.name, file)
            if key not in self._inventories:
                self._inventories[key] = Inventory(file)
            return self._inventories[key]

    def faults(self, endpoint: str) -> Faults:
        """What goes wrong on an endpoint: nothing, unless its connection or a caller says so."""
        with self._mutex:
            return self._faults.setdefault(endpoint, Faults())

    def calls(self, endpoint: str) -> Mapping[str, int]:
        """How often each call was made to an endpoint through this provider, by the call's name."""
        with self._mutex:
            return dict(self._calls.get(endpoint, {}))


def _assess(kind: str, change: Change, *, stopped: bool) -> Assessment:
    if kind == "Disk" and change.path == ("size",) and _shrinks(change):
        return Assessment(Impact.DATA_LOSS, "a disk cannot shrink")
    if kind == MACHINE and change.path == ("power",):
        if change.after in (None, "running"):
            return Assessment(Impact.LIVE, "the machine is started")
        if not stopped:
            return Assessment(change.impact, "the machine is shut down", deferrable=False)
    if stopped and change.impact is Impact.RESTART:
        return Assessment(Impact.LIVE, "the machine is stopped")
    return Assessment(change.impact, change.reason)


def _shrinks(change: Change) -> bool:
    return (
        isinstance(change.before, int)
        and isinstance(change.after, int)
        and change.after < change.before
    )
