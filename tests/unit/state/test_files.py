"""The files of a state database: modes, folders that cannot be used, a disk that is full."""

from __future__ import annotations

import ctypes
import os
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.state.sqlite import SqliteStore
from tests.conformance.stores import entry, record
from tests.unit.state.conftest import CodeOf, Open

FULL = 2
"""https://sqlite.org/pragma.html#pragma_synchronous"""


def test_only_the_owner_can_read_it(database: Path, open_store: Open, tmp_path: Path) -> None:
    store = open_store()
    record(store, entry())
    store.backup(tmp_path / "copy.db")
    files = [*database.parent.iterdir(), tmp_path / "copy.db"]
    assert {"state.db", "state.db-wal", "state.db-shm", "state.db-mark", "copy.db"} == {
        path.name for path in files
    }
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert 0o700 == stat.S_IMODE(database.parent.stat().st_mode)


@pytest.mark.parametrize(("setting", "value"), [("journal_mode", "wal"), ("synchronous", FULL)])
def test_a_commit_survives_a_power_failure(
    open_store: Open, setting: str, value: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[sqlite3.Connection] = []
    connect = sqlite3.connect

    def connected(*arguments: Any, **options: Any) -> sqlite3.Connection:
        made.append(connect(*arguments, **options))
        return made[-1]

    monkeypatch.setattr(sqlite3, "connect", connected)
    record(open_store(), entry())
    assert [(value,)] == made[-1].execute(f"PRAGMA {setting}").fetchall()


def test_nothing_is_made_before_the_first_use(database: Path, open_store: Open) -> None:
    open_store().close()
    assert not database.parent.exists()


def test_a_folder_that_is_a_file(tmp_path: Path, code_of: CodeOf) -> None:
    (tmp_path / "state").write_text("in the way")
    assert "PRV4009" == code_of(SqliteStore(tmp_path / "state" / "state.db", stack="shop").read)


def test_a_database_that_is_a_folder(tmp_path: Path, code_of: CodeOf) -> None:
    (tmp_path / "state.db").mkdir()
    assert "PRV4009" == code_of(SqliteStore(tmp_path / "state.db", stack="shop").read)


# mount(2): <sys/mount.h>
MS_RDONLY, MS_NOSUID, MS_NODEV, MS_REMOUNT = 1, 2, 4, 32
_libc = ctypes.CDLL(None, use_errno=True)


def mount(target: Path, flags: int, options: str) -> None:
    if _libc.mount(b"none", os.fsencode(target), b"tmpfs", flags, options.encode()):
        raise OSError(ctypes.get_errno(), "mount")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB; needs the right to mount."""
    target = tmp_path / "disk"
    target.mkdir()
    try:
        mount(target, MS_NOSUID | MS_NODEV, "size=1m,mode=0700")
    except OSError as problem:
        pytest.skip(f"needs the right to mount a file system: {os.strerror(problem.errno or 0)}")
    yield target
    # MNT_DETACH: a handle that a failed test left open must not keep it.
    _libc.umount2(os.fsencode(target), 2)


def test_a_read_only_file_system(small_disk: Path, code_of: CodeOf) -> None:
    path = small_disk / "state.db"
    store = SqliteStore(path, stack="shop")
    record(store, entry())
    store.close()
    mount(small_disk, MS_REMOUNT | MS_RDONLY | MS_NOSUID | MS_NODEV, "size=1m,mode=0700")
    assert [entry().address] == list(store.read().entries)
    assert "PRV4009" == code_of(lambda: record(store, entry()))
    store.close()
    assert "PRV4009" == code_of(SqliteStore(small_disk / "new" / "state.db", stack="shop").read)


def test_an_unwritable_folder(tmp_path: Path) -> None:
    """As an ordinary user, whom the mode of the folder binds."""
    if os.geteuid() != 0:
        pytest.skip("needs root, to become another user")
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    for parent in (tmp_path, *tmp_path.parents[:2]):
        parent.chmod(parent.stat().st_mode | 0o011)
    code = (
        "import sys, os; from pathlib import Path\n"
        "from provisioner.state.sqlite import SqliteStore\n"
        "from provisioner.core.diagnostics import ProvisionerError\n"
        "import sqlite3, json, uuid, provisioner.state.backup\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: SqliteStore(Path(sys.argv[1]) / 'state.db', stack='shop').read()\n"
        "except ProvisionerError as problem: print(problem.diagnostics[0].code)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True
    )
    assert "PRV4009\n" == done.stdout


def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk: Path, code_of: CodeOf) -> None:
    store = SqliteStore(small_disk / "state.db", stack="shop")
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 300_000)
    acknowledged: list[Address] = []

    def go_on() -> None:
        for number in range(2000):
            item = entry(f"vm-{number}", spec={"note": "x" * 2000})
            record(store, item)
            acknowledged.append(item.address)

    assert "PRV4008" == code_of(go_on)
    assert acknowledged
    assert "PRV4008" == code_of(lambda: record(store, entry(spec={"note": "x" * 2000})))
    # The same handle can still read, and writes again once there is room.
    assert acknowledged == sorted(store.read().entries, key=acknowledged.index)
    ballast.unlink()
    record(store, entry("after"))
    store.close()
    again = SqliteStore(small_disk / "state.db", stack="shop")
    assert {*acknowledged, entry("after").address} == set(again.read().entries)
    assert [] == again.verify()
    again.close()


def test_a_full_disk_from_the_start(small_disk: Path, code_of: CodeOf) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(b"x" * 1024 * 1020)
    store = SqliteStore(small_disk / "state.db", stack="shop")
    assert "PRV4008" == code_of(store.read)
    ballast.unlink()
    assert {} == store.read().entries
    store.close()


def test_a_full_disk_during_a_backup(small_disk: Path, tmp_path: Path, code_of: CodeOf) -> None:
    store = SqliteStore(tmp_path / "state.db", stack="shop")
    record(store, *(entry(f"vm-{number}", spec={"note": "x" * 20_000}) for number in range(80)))
    target = small_disk / "copy.db"
    assert "PRV4011" == code_of(lambda: store.backup(target))
    assert not target.exists()
    store.close()


def test_the_file_of_another_stack_is_refused(filled: Path, code_of: CodeOf) -> None:
    with closing(SqliteStore(filled, stack="office")) as office:
        assert "PRV4010" == code_of(office.read)
    with closing(SqliteStore(filled, stack="shop", environment="prod")) as prod:
        assert "PRV4010" == code_of(prod.read)
