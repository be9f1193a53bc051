"""The stores that tests/conformance/test_store.py proves, and values to put into them.

A store joins with a :class:`StoreUnderTest` in ``STORES``. What a place is depends on the store: a
folder of files, a database of a server. Whatever stacks and environments are opened in one place
are kept in it side by side.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch
from uuid import UUID, uuid5

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import Clock, SystemClock
from provisioner.core.diagnostics import ProvisionerError
from provisioner.state import schema
from provisioner.state.model import Entry
from provisioner.state.sqlite import SqliteStore
from provisioner.state.store import Store

LINEAGE = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
"""That of the stack ``shop`` without an environment; others have others."""

LEASE = timedelta(seconds=30)
WEB = Address("VirtualMachine", "web")


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
    """Opens a handle on the state of a stack in an environment, as another process would; handles
    on the same one see the same state.
    """

    def __call__(
        self, stack: str = "shop", clock: Clock | None = None, environment: str | None = None
    ) -> Store: ...


class StoreUnderTest(Protocol):
    """An implementation of the store, and what its tests need to be able to do with it."""

    @property
    def name(self) -> str:
        """What the tests call it."""
        ...

    def opener(self, folder: Path) -> OpenStore:
        """Where states are kept that belong to this folder alone; empty at first."""
        ...

    def damage(self, backup: Path) -> None:
        """Alter what a backup tells of an entry, so that it can be read all the same."""
        ...

    def next_layout(self, *, failing: bool = False) -> AbstractContextManager[None]:
        """A block in which the program is one that keeps its states in the layout after the present
        one, with the step that leads to it. ``failing``: that step breaks when half of it is done.
        """
        ...


class SqliteUnderTest:
    """Each state has a file of its own."""

    name = "sqlite"

    def opener(self, folder: Path) -> OpenStore:
        def open_store(
            stack: str = "shop", clock: Clock | None = None, environment: str | None = None
        ) -> Store:
            which = f"{stack}.{environment}" if environment else stack
            lineage = LINEAGE if which == "shop" else uuid5(LINEAGE, which)
            return SqliteStore(
                folder / "state" / which / "state.db",
                stack=stack,
                environment=environment,
                clock=clock or SystemClock(),
                new_lineage=lambda: lineage,
            )

        return open_store

    def damage(self, backup: Path) -> None:
        with closing(sqlite3.connect(backup)) as connection, connection:
            connection.execute("UPDATE entries SET body = replace(body, 'lab', 'lax')")

    @contextmanager
    def next_layout(self, *, failing: bool = False) -> Iterator[None]:
        def step(connection: sqlite3.Connection) -> None:
            connection.execute("CREATE TABLE sites (name TEXT PRIMARY KEY)")
            if failing:
                connection.execute("DELETE FROM entries")
                raise sqlite3.OperationalError("the step broke")

        upgrades = {**schema.UPGRADES, schema.VERSION: step}
        with (
            patch.object(schema, "UPGRADES", upgrades),
            patch.object(schema, "VERSION", schema.VERSION + 1),
        ):
            yield


STORES: tuple[StoreUnderTest, ...] = (SqliteUnderTest(),)


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


def code_of(call: Callable[[], object]) -> str:
    """The code with which a call is refused."""
    with pytest.raises(ProvisionerError) as caught:
        call()
    return caught.value.diagnostics[0].code
