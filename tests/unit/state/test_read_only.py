"""A state that this user may read and not write: everything recorded is read, nothing is touched,
and no message takes it for damaged."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.state.sqlite import SqliteStore
from tests.conformance.stores import entry, record

READER = """
import json, os, sqlite3, sys
from pathlib import Path
from provisioner.core.diagnostics import ProvisionerError
from provisioner.state import backup
from provisioner.state.sqlite import SqliteStore
if os.geteuid() == 0:
    # Root is bound by no mode.
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
store = SqliteStore(Path(sys.argv[1]), stack="shop")
calls = {
    "read": lambda: sorted(str(address) for address in store.read().entries),
    "history": lambda: len(store.history()),
    "verify": store.verify,
    "write": lambda: store.begin("apply", "somebody", None),
}
found = {}
for name, call in calls.items():
    try:
        found[name] = call()
    except ProvisionerError as problem:
        found[name] = [problem.diagnostics[0].code, problem.diagnostics[0].summary]
print(json.dumps(found))
"""

FIRST, SECOND = str(entry("first").address), str(entry("second").address)


def read_only_for_somebody(folder: Path) -> None:
    folder.chmod(0o555)
    for path in folder.iterdir():
        path.chmod(0o444)


def what_somebody_finds(folder: Path) -> dict[str, Any]:
    for parent in folder.parents[:4]:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    before = contents(folder)
    done = subprocess.run(
        [sys.executable, "-c", READER, str(folder / "state.db")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert before == contents(folder)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def contents(folder: Path) -> dict[str, bytes]:
    # The lock file of readers beside a log changes while they read.
    return {
        path.name: path.read_bytes()
        for path in folder.iterdir()
        if os.access(path, os.R_OK) and not path.name.endswith("-shm")
    }


def closed(folder: Path) -> None:
    """As a command leaves it."""
    store = SqliteStore(folder / "state.db", stack="shop")
    record(store, entry("first"))
    record(store, entry("second"))
    store.close()


def died(folder: Path, *left: str) -> None:
    """As a process leaves it that was killed after its last write: what came last is in the log."""
    source = folder.with_name("source")
    store = SqliteStore(source / "state.db", stack="shop")
    record(store, entry("first"))
    record(store, entry("second"))
    folder.mkdir()
    for name in ("state.db", "state.db-mark", *left):
        shutil.copy(source / name, folder / name)
    store.close()


def died_here(folder: Path) -> None:
    died(folder, "state.db-wal", "state.db-shm")


def copied_without_its_index(folder: Path) -> None:
    died(folder, "state.db-wal")


@pytest.mark.parametrize("leave", [closed, died_here, copied_without_its_index])
def test_it_is_read(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    folder = tmp_path / "state"
    leave(folder)
    read_only_for_somebody(folder)
    found = what_somebody_finds(folder)
    assert [FIRST, SECOND] == found["read"]
    assert 2 == found["history"]
    assert [] == found["verify"]
    assert ["PRV4009", f"the state database {folder}/state.db is read-only"] == found["write"]


@pytest.mark.parametrize("mode", ["file", "folder"])
def test_it_cannot_even_be_read(tmp_path: Path, mode: str) -> None:
    folder = tmp_path / "state"
    closed(folder)
    read_only_for_somebody(folder)
    (folder if mode == "folder" else folder / "state.db").chmod(0)
    denied = ["PRV4009", f"the state database {folder}/state.db cannot be read: permission denied"]
    try:
        assert dict.fromkeys(("read", "history", "verify", "write"), denied) == (
            what_somebody_finds(folder)
        )
    finally:
        folder.chmod(0o700)


def test_damage_is_found_all_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "state"
    closed(folder)
    path = folder / "state.db"
    path.write_bytes(path.read_bytes()[:5000])
    read_only_for_somebody(folder)
    found = what_somebody_finds(folder)
    assert "PRV4001" == found["read"][0]
    assert found["verify"]
