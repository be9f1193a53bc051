"""A damaged, truncated, emptied, outdated or newer database is refused, with a way out."""

from __future__ import annotations

import errno
import os
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import TypeVar

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.state.model import JournalRecord, OperationRecord, State
from provisioner.state.sqlite import SqliteStore
from provisioner.state.store import Store
from tests.conformance.stores import entry, record
from tests.unit.state.conftest import CodeOf, Open

T = TypeVar("T")


def refused(store: SqliteStore) -> str:
    """The code with which reading is refused; also holds the message to what it has to say."""
    with pytest.raises(ProvisionerError) as caught:
        store.read()
    found = caught.value.diagnostics[0]
    assert "state restore" in found.hint
    assert attempt(store.verify)
    return found.code


def attempt(call: Callable[[], T]) -> T | ProvisionerError:
    try:
        return call()
    except ProvisionerError as problem:
        return problem


def with_sql(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            assert connection.execute(statement).rowcount in (-1, 1)


Content = tuple[State, list[OperationRecord], list[JournalRecord]]


@pytest.fixture
def with_flipped(filled: Path, open_store: Open) -> Callable[[int, int], str | None]:
    """Reads everything with a bit of the file flipped; returns the code of the refusal. What is
    read without one must be right.
    """
    store = open_store()
    expected = everything(store)
    store.close()
    good = filled.read_bytes()
    mark = filled.with_name("state.db-mark").read_bytes()

    def read(place: int, bit: int) -> str | None:
        for leftover in filled.parent.glob("state.db*"):
            leftover.unlink()
        filled.write_bytes(good[:place] + bytes([good[place] ^ 1 << bit]) + good[place + 1 :])
        filled.with_name("state.db-mark").write_bytes(mark)
        with closing(SqliteStore(filled, stack="shop", patience=0.1)) as store:
            found = attempt(lambda: everything(store))
        if isinstance(found, ProvisionerError):
            return found.diagnostics[0].code
        assert expected == found
        return None

    return read


def everything(store: SqliteStore) -> Content:
    return store.read(), store.history(), store.journal()


def test_no_flipped_bit_is_taken_for_good(
    filled: Path, with_flipped: Callable[[int, int], str | None]
) -> None:
    """Wherever a bit of the file flips: either reading is refused, or what is read is right."""
    chance = random.Random(4711)
    size = filled.stat().st_size
    codes = [with_flipped(chance.randrange(100, size), chance.randrange(8)) for _ in range(400)]
    refusals = [code for code in codes if code is not None]
    assert {"PRV4001"} == set(refusals) - {"PRV4003", "PRV4010"}
    assert len(refusals) > 30


def test_no_flipped_bit_of_the_header_is_taken_for_good(
    with_flipped: Callable[[int, int], str | None],
) -> None:
    """The first hundred bytes say what the file is: with other bits, that of a later program."""
    codes = {with_flipped(place, bit) for place in range(100) for bit in range(8)}
    assert codes == {None, "PRV4001", "PRV4002"}


def test_a_damaged_journal_record_is_found_by_verify_and_when_it_is_read(
    filled: Path, open_store: Open, code_of: CodeOf
) -> None:
    data = filled.read_bytes()
    filled.write_bytes(data.replace(b"createVirtualMachine/vm-07", b"creatfVirtualMachine/vm-07"))
    store = open_store()
    assert any("of the table journal is damaged" in item for item in store.verify())
    assert "PRV4001" == code_of(store.journal)
    assert 40 == len(store.read().entries)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.95])
def test_a_truncated_file(filled: Path, open_store: Open, share: float) -> None:
    data = filled.read_bytes()
    filled.write_bytes(data[: int(len(data) * share)])
    assert "PRV4001" == refused(open_store())


def test_an_emptied_file(filled: Path, open_store: Open) -> None:
    filled.write_bytes(b"")
    assert "PRV4001" == refused(open_store())


def test_a_file_that_is_no_database(filled: Path, open_store: Open) -> None:
    filled.write_bytes(b"#!/bin/sh\necho this is not a database at all\n" * 200)
    assert "PRV4001" == refused(open_store())


def test_a_database_of_another_program(filled: Path, open_store: Open) -> None:
    filled.unlink()
    with_sql(filled, "CREATE TABLE bookmarks (url TEXT)")
    assert "PRV4001" == refused(open_store())


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE address = 'VirtualMachine/vm-03'",
        "UPDATE entries SET body = replace(body, 'memory', 'kvm') WHERE address LIKE '%vm-03'",
        "UPDATE entries SET serial = serial - 1 WHERE address LIKE '%vm-03'",
        "UPDATE meta SET value = 'eeeeeeee-8b86-4d01-b42d-00c04fc964ff' WHERE key = 'lineage'",
        "DELETE FROM meta WHERE key = 'lineage'",
        "UPDATE ledger SET serial = serial + 1",
        "DELETE FROM ledger",
    ],
)
def test_a_row_changed_behind_the_store(filled: Path, open_store: Open, statement: str) -> None:
    with_sql(filled, statement)
    assert "PRV4001" == refused(open_store())


def test_a_row_put_back_as_it_once_was(filled: Path, open_store: Open) -> None:
    """A row with a right digest of its own that is not the last one written under its key."""
    with closing(sqlite3.connect(filled)) as connection:
        old = connection.execute("SELECT * FROM entries WHERE address LIKE '%vm-03'").fetchone()
    record(open_store(), entry("vm-03", spec={"memory": {"size": 1}}))
    open_store().close()
    with closing(sqlite3.connect(filled)) as connection, connection:
        connection.execute("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", old)
    assert "PRV4001" == refused(open_store())


@pytest.fixture
def older(filled: Path, open_store: Open, tmp_path: Path) -> Path:
    """Copies of all files of the state, made by hand while it was in use; it has gone on since."""
    store = open_store()
    record(store, entry("in-the-log"))
    kept = tmp_path / "older"
    shutil.copytree(filled.parent, kept)
    record(store, entry("new"))
    store.close()
    return kept


@pytest.mark.parametrize(
    "suffixes",
    [("",), ("", "-wal"), ("", "-wal", "-shm")],
    ids=["alone", "with its log", "with its log and index"],
)
def test_an_older_copy_put_in_its_place(
    filled: Path, older: Path, open_store: Open, suffixes: tuple[str, ...]
) -> None:
    for suffix in suffixes:
        shutil.copy(older / f"state.db{suffix}", filled.parent)
    assert "PRV4003" == refused(open_store())


def test_an_older_copy_with_its_mark_is_taken_for_the_newest(
    filled: Path, older: Path, open_store: Open
) -> None:
    """What nothing in the folder contradicts, nobody can tell (docs/promises.md)."""
    shutil.rmtree(filled.parent)
    shutil.copytree(older, filled.parent)
    assert 41 == len(open_store().read().entries)
    assert [] == open_store().verify()


def test_a_write_ahead_log_that_was_removed(filled: Path, open_store: Open, tmp_path: Path) -> None:
    """What a process that died had committed stands in the log alone."""
    store = open_store()
    record(store, entry("new"))
    for name in ("state.db", "state.db-mark"):
        shutil.copy(filled.with_name(name), tmp_path / name)
    store.close()
    copy: Store = SqliteStore(tmp_path / "state.db", stack="shop")
    with pytest.raises(ProvisionerError) as caught:
        copy.read()
    assert "PRV4003" == caught.value.diagnostics[0].code


def test_a_database_that_is_gone(filled: Path, open_store: Open) -> None:
    filled.unlink()
    assert "PRV4003" == refused(open_store())
    assert not filled.exists()


def test_a_database_of_another_lineage(filled: Path, open_store: Open, tmp_path: Path) -> None:
    other = SqliteStore(tmp_path / "other.db", stack="shop")
    record(other, *(entry(f"vm-{number:02}") for number in range(60)))
    other.close()
    shutil.copy(tmp_path / "other.db", filled)
    assert "PRV4003" == refused(open_store())


def test_a_torn_mark_guards_nothing_and_is_written_anew(filled: Path, open_store: Open) -> None:
    mark = filled.with_name("state.db-mark")
    mark.write_text("provisioner-state-mark 6f96")
    open_store().read()
    open_store().close()
    assert 4 == len(mark.read_text().split())


def test_a_newer_database(filled: Path, open_store: Open) -> None:
    with_sql(filled, "PRAGMA user_version = 99")
    assert "PRV4002" == refused(open_store())


def test_a_damaged_database_can_be_restored(
    filled: Path, open_store: Open, tmp_path: Path, code_of: CodeOf
) -> None:
    store = open_store()
    store.backup(tmp_path / "copy.db")
    store.close()
    damaged = filled.read_bytes()[:5000]
    filled.write_bytes(damaged)
    assert "PRV4001" == code_of(store.read)
    store.restore(tmp_path / "copy.db")
    assert 40 == len(store.read().entries)
    kept = list(filled.parent.glob("state.db.before-restore-*"))
    assert [damaged] == [path.read_bytes() for path in kept]


def test_a_database_that_is_gone_can_be_restored(
    filled: Path, open_store: Open, tmp_path: Path
) -> None:
    store = open_store()
    store.backup(tmp_path / "copy.db")
    store.close()
    filled.unlink()
    store.restore(tmp_path / "copy.db")
    assert 40 == len(store.read().entries)


def test_the_log_of_a_database_that_is_gone_does_not_come_back(
    filled: Path, open_store: Open, tmp_path: Path
) -> None:
    store = open_store()
    store.backup(tmp_path / "copy.db")
    log = filled.with_name("state.db-wal")
    record(store, entry("later"))
    left = log.read_bytes()
    store.close()
    filled.unlink()
    log.write_bytes(left)
    store.restore(tmp_path / "copy.db")
    assert 40 == len(store.read().entries)
    assert [] == store.verify()
    kept = list(filled.parent.glob("state.db.before-restore-*-wal"))
    assert [left] == [path.read_bytes() for path in kept]


def test_a_restore_that_fails_half_way_changes_nothing(
    filled: Path,
    open_store: Open,
    code_of: CodeOf,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store = open_store()
    store.backup(tmp_path / "copy.db")
    record(store, entry("later"))
    rename = Path.rename

    def failing(path: Path, target: Path) -> Path:
        if path.name.endswith(".restoring"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", failing)
    assert "PRV4013" == code_of(lambda: store.restore(tmp_path / "copy.db"))
    assert 41 == len(store.read().entries)
    assert [] == list(filled.parent.glob("state.db.before-restore-*"))
