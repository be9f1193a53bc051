"""The stores that tests/conformance/test_store.py proves, and values to put into them.

A store joins by a factory: given a folder it returns a function that opens one more handle on the
same state, as another process would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple, Protocol
from uuid import UUID, uuid5

from provisioner.core.address import Address
from provisioner.core.clock import Clock, SystemClock
from provisioner.state.model import Entry
from provisioner.state.sqlite import SqliteStore
from provisioner.state.store import Store

LINEAGE = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self._now = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def move(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        self._monotonic += seconds


class OpenStore(Protocol):
    """Opens a handle on the state under test; every handle sees the same state."""

    def __call__(self, stack: str = "shop", clock: Clock | None = None) -> Store: ...


class StoreUnderTest(NamedTuple):
    name: str
    opener: Callable[[Path], OpenStore]


def sqlite_opener(folder: Path) -> OpenStore:
    def open_store(stack: str = "shop", clock: Clock | None = None) -> Store:
        return SqliteStore(
            folder / "state" / "state.db",
            stack=stack,
            clock=clock or SystemClock(),
            new_lineage=lambda: LINEAGE,
        )

    return open_store


STORES = (StoreUnderTest("sqlite", sqlite_opener),)


def entry(name: str = "web", spec: Mapping[str, Any] | None = None, **rest: Any) -> Entry:
    """An entry with something in every field."""
    address = Address("VirtualMachine", name)
    values: dict[str, Any] = {
        "address": address,
        "provider": "memory",
        "endpoint": "lab",
        "name": name,
        "uid": uuid5(LINEAGE, str(address)),
        "external_id": f"id-of-{name}",
        "spec": spec if spec is not None else {"memory": {"size": 2**31}, "labels": {"ä": "ö"}},
        "outputs": {"addresses": ["10.0.0.5"]},
        "dependencies": (Address("Network", "front"), Address("Disk", f"{name}-root")),
        "generation": 2,
        "protect": True,
        "pending": ("cpu.max",),
        "applied_at": "2026-03-01T12:00:00+00:00",
    }
    return Entry(**(values | rest))


def record(store: Store, *entries: Entry) -> None:
    """Apply entries as the engine does: an operation, and an intent and its outcome for each."""
    operation = store.begin("apply", "alice", None)
    for item in entries:
        intent = store.intend(operation, str(item.address), "create", item.address, {})
        store.settle(intent, put=[item])
    store.finish(operation, "done", {})
