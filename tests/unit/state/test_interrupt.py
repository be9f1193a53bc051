"""An interrupt (Ctrl-C) in the middle of a write: nothing is half there, nothing is done twice."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.state.sqlite import SqliteStore
from tests.conformance.stores import entry, record
from tests.unit.state.conftest import Open


class Interrupting:
    """A connection that raises KeyboardInterrupt before or right after a statement."""

    def __init__(self, connection: Any, statement: str, *, after: bool) -> None:
        self._connection = connection
        self._statement = statement
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, statement: str, *arguments: Any) -> Any:
        if statement != self._statement:
            return self._connection.execute(statement, *arguments)
        self._statement = ""
        if self._after:
            self._connection.execute(statement, *arguments)
        raise KeyboardInterrupt


def interrupted(store: SqliteStore, statement: str, *, after: bool) -> None:
    assert store._opened is not None
    connection: Any = Interrupting(store._opened.connection, statement, after=after)
    store._opened = store._opened._replace(connection=connection)
    with pytest.raises(KeyboardInterrupt):
        store.begin("apply", "alice", None)


@pytest.mark.parametrize(
    ("statement", "after", "operations"),
    [
        ("BEGIN IMMEDIATE", False, 0),
        ("BEGIN IMMEDIATE", True, 0),
        ("COMMIT", False, 0),
        ("COMMIT", True, 1),
    ],
)
def test_a_write_is_there_or_it_is_not(
    open_store: Open, statement: str, after: bool, operations: int
) -> None:
    store = open_store()
    store.read()
    interrupted(store, statement, after=after)
    assert operations == len(store.history())
    record(store, entry())
    assert operations + 1 == len(store.history())
    assert [] == store.verify()
    assert [entry().address] == list(open_store().read().entries)
