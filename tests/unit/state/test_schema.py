"""Versions of the layout, and keeping the journal short."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.state import schema, sqlite
from tests.conformance.stores import entry, record
from tests.unit.state.conftest import Open


def test_an_older_layout_is_brought_up_step_by_step(filled: Path) -> None:
    steps = {
        1: lambda connection: connection.execute("ALTER TABLE lock ADD COLUMN site TEXT"),
        2: lambda connection: connection.execute("ALTER TABLE lock ADD COLUMN room TEXT"),
    }
    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        schema.upgrade(connection, steps, 3)
        assert 3 == schema.user_version(connection)
        columns = [row[1] for row in connection.execute("PRAGMA table_info(lock)")]
    assert ["site", "room"] == columns[-2:]


def test_a_failing_upgrade_changes_nothing(filled: Path) -> None:
    def fail(connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM entries")
        raise sqlite3.OperationalError("no")

    with closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        with pytest.raises(sqlite3.OperationalError):
            schema.upgrade(connection, {1: lambda _connection: None, 2: fail}, 3)
        assert 1 == schema.user_version(connection)
        assert (40,) == connection.execute("SELECT count(*) FROM entries").fetchone()


def test_an_old_journal_goes_when_an_operation_begins(
    open_store: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "JOURNAL_LENGTH", 10)
    store = open_store()
    record(store, *(entry(f"vm-{number}") for number in range(20)))
    store.begin("apply", "alice", None)
    assert [f"vm-{number}" for number in range(15, 20) for _ in range(2)] == [
        item.address.name for item in store.journal()
    ]
    assert [] == store.verify()


def test_an_open_intent_is_never_pruned(open_store: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite, "JOURNAL_LENGTH", 10)
    store = open_store()
    operation = store.begin("apply", "alice", None)
    intent = store.intend(operation, "s", "create", entry("stuck").address, {})
    record(store, *(entry(f"vm-{number}") for number in range(20)))
    store.begin("apply", "alice", None)
    assert [intent] == [item.sequence for item in store.read().open_intents]
    # What is newer goes all the same.
    assert 11 == len(store.journal())
    assert [] == store.verify()
