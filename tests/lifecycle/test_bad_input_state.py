"""State that cannot be trusted: no command works with it, none touches it, and a backup brings
everything back.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tests.lifecycle.commandline import OBJECTS, CommandLine
from tests.lifecycle.refused import diagnostics
from tests.lifecycle.unharmed import evidence, unharmed

WITH_STATE = (
    ("plan",),
    ("apply", "--yes"),
    ("destroy", "--yes"),
    ("drift",),
    ("show",),
    ("state", "list"),
    ("state", "forget", "*/*", "--yes"),
)
RESTORE = "provisioner state restore FILE"


def flipped(path: Path) -> None:
    """One bit in the recorded size of the disk."""
    data = bytearray(path.read_bytes())
    place = data.index(b'"size":1073741824')
    data[place + 8] ^= 1
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def overwritten(path: Path) -> None:
    path.write_bytes(b"this was a database once\n" * 1000)


def short_of_a_row(path: Path) -> None:
    with_sql(path, "DELETE FROM entries WHERE address = 'Disk/web-root'")


def newer(path: Path) -> None:
    with_sql(path, "PRAGMA user_version = 99")


def gone(path: Path) -> None:
    path.unlink()


def put_back(path: Path) -> None:
    """A copy from before the last operation."""
    shutil.copy(path.with_name("older.db"), path)


def with_sql(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(statement)


REFUSALS: Mapping[Callable[[Path], None], tuple[str, str, str]] = {
    flipped: ("PRV4001", "is damaged", RESTORE),
    truncated: ("PRV4001", "is damaged", RESTORE),
    emptied: ("PRV4001", "is damaged", RESTORE),
    overwritten: ("PRV4001", "is damaged", RESTORE),
    short_of_a_row: ("PRV4001", "is damaged", RESTORE),
    newer: ("PRV4002", "was written by a newer version", "Install the newer version"),
    gone: ("PRV4003", "is not the one that was written last", RESTORE),
    put_back: ("PRV4003", "is not the one that was written last", "Put the newest file back"),
}


@pytest.mark.parametrize("spoil", REFUSALS, ids=lambda spoil: spoil.__name__)
def test_it_is_refused_and_can_be_restored(
    applied: CommandLine, tmp_path_factory: pytest.TempPathFactory, spoil: Callable[[Path], None]
) -> None:
    code, summary, hint = REFUSALS[spoil]
    path = applied.root / ".provisioner" / "default" / "state.db"
    copy = tmp_path_factory.mktemp("backup") / "saved.db"
    shutil.copy(path, path.with_name("older.db"))
    applied.outside.change("VirtualMachine", "web", ("memory", "size"), 2**30)
    assert 0 == applied("apply", "--yes").code
    assert 0 == applied("state", "backup", copy).code
    recorded, objects = evidence(applied)["records"], evidence(applied)["objects"]

    spoil(path)
    spoiled = path.read_bytes() if path.exists() else None
    for command in WITH_STATE:
        refused = applied(*command, "--json")
        (problem,) = [item for item in diagnostics(refused) if item["severity"] == "error"]
        assert (1, code) == (refused.code, problem["code"])
        assert summary in problem["summary"]
        assert hint in problem["hint"]
        assert spoiled == (path.read_bytes() if path.exists() else None)
    assert objects == (applied.root / OBJECTS).read_bytes()

    assert 0 == applied("state", "restore", copy, "--yes").code
    after = evidence(applied)["records"]
    assert recorded["resources"] == after["resources"]
    assert recorded["lineage"] == after["lineage"]
    assert 0 == applied("state", "verify").code
    assert 0 == applied("plan", "--detailed-exitcode").code


def test_it_cannot_be_written(applied: CommandLine) -> None:
    """A folder in its place: nothing is done that could not be recorded."""
    path = applied.root / ".provisioner" / "default" / "state.db"
    with unharmed(applied):
        path.rename(path.with_name("aside.db"))
        path.mkdir()
        for command in (("plan",), ("apply", "--yes")):
            refused = applied(*command, "--json")
            assert (1, ["PRV4009"]) == (refused.code, refused.codes)
        path.rmdir()
        path.with_name("aside.db").rename(path)


def test_the_state_of_another_stack(applied: CommandLine) -> None:
    """A folder that was copied to begin another stack with: its state is not taken along."""
    with unharmed(applied):
        applied.write(
            "stack.yaml",
            "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: other}\nspec: {}\n",
        )
        for command in (("plan",), ("apply", "--yes")):
            refused = applied(*command, "--json")
            assert (1, ["PRV4010"]) == (refused.code, refused.codes)
