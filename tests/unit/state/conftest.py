"""A state database in a folder of its own, and ways to harm it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.state.sqlite import SqliteStore
from tests.conformance.stores import entry, record

Open = Callable[[], SqliteStore]
CodeOf = Callable[[Callable[[], object]], str]


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """Where the database is; it is made at the first use."""
    return tmp_path / "state" / "state.db"


@pytest.fixture
def open_store(database: Path) -> Iterator[Open]:
    handles: list[SqliteStore] = []

    def opened() -> SqliteStore:
        handles.append(SqliteStore(database, stack="shop"))
        return handles[-1]

    yield opened
    for handle in handles:
        handle.close()


@pytest.fixture
def filled(database: Path, open_store: Open) -> Path:
    """The path of a closed database with 40 entries."""
    store = open_store()
    record(store, *(entry(f"vm-{number:02}") for number in range(40)))
    store.close()
    return database


@pytest.fixture
def code_of() -> CodeOf:
    def code(call: Callable[[], object]) -> str:
        with pytest.raises(ProvisionerError) as caught:
            call()
        return caught.value.diagnostics[0].code

    return code
