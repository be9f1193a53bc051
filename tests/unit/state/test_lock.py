"""Locks that a process left behind, and telling processes apart."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from provisioner.state import process
from provisioner.state.lock import held
from provisioner.state.model import LockHolder
from provisioner.state.process import ProcessIdentity
from tests.conformance.stores import entry, record
from tests.unit.state.conftest import CodeOf, Open

HOLD = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from provisioner.state.sqlite import SqliteStore

store = SqliteStore(Path(sys.argv[1]), stack="shop")
store.lock("alice@desk (process 12)", "apply", timedelta(hours=1))
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(database: Path) -> subprocess.Popen[str]:
    """Another process that has the lock."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(database)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


def end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGKILL)
    process.communicate()


def test_the_lock_of_a_killed_process_is_taken_over_with_a_note(
    other: subprocess.Popen[str], open_store: Open, code_of: CodeOf
) -> None:
    store = open_store()
    lease = timedelta(minutes=1)
    assert "PRV4004" == code_of(lambda: store.lock("bob", "plan", lease))
    end(other)
    lock = store.lock("bob", "plan", lease)
    assert lock.note is not None
    assert "alice@desk (process 12)" in lock.note
    assert "for apply" in lock.note


def test_a_refused_lock_tells_its_times_as_the_commands_do() -> None:
    since = datetime(2026, 11, 29, 1, 26, 4, tzinfo=UTC)
    holder = LockHolder("ada@desk", "apply", since, since + timedelta(minutes=1), "a1b2c3")
    detail = held(holder, since + timedelta(hours=1)).detail
    assert "Held since 2026-11-29 01:26:04 (UTC) for apply." in detail
    assert "Its lease ran out at 2026-11-29 01:27:04 (UTC) without" in detail


def test_the_holder_is_known_to_have_ended(other: subprocess.Popen[str], open_store: Open) -> None:
    store = open_store()
    found = [store.lock_holder()]
    end(other)
    found.append(store.lock_holder())
    assert [False, True] == [holder.has_ended for holder in found if holder is not None]


def test_a_restore_takes_over_from_a_killed_process_with_a_note(
    other: subprocess.Popen[str], open_store: Open, tmp_path: Path, code_of: CodeOf
) -> None:
    store = open_store()
    store.backup(tmp_path / "copy.db")
    assert "PRV4004" == code_of(lambda: store.restore(tmp_path / "copy.db"))
    end(other)
    note = store.restore(tmp_path / "copy.db")
    assert note is not None
    assert "alice@desk (process 12)" in note
    assert store.lock_holder() is None


def test_what_was_replaced_stays_locked_for_those_who_have_it_open(
    open_store: Open, tmp_path: Path, code_of: CodeOf
) -> None:
    store, other = open_store(), open_store()
    record(store, entry("web"))
    assert 1 == len(other.read().entries)
    store.backup(tmp_path / "copy.db")
    store.restore(tmp_path / "copy.db", "bob")
    assert "PRV4004" == code_of(lambda: other.lock("alice", "apply", timedelta(minutes=1)))
    other.close()
    other.lock("alice", "apply", timedelta(minutes=1))


def test_a_restore_that_fails_leaves_no_lock(
    open_store: Open, tmp_path: Path, code_of: CodeOf
) -> None:
    store = open_store()
    record(store, entry("web"))
    assert "PRV4013" == code_of(lambda: store.restore(tmp_path / "none.db", "bob"))
    assert store.lock_holder() is None
    assert 1 == len(store.read().entries)


def test_a_lock_taken_in_the_ordinary_way_has_no_note(open_store: Open) -> None:
    assert open_store().lock("bob", "plan", timedelta(minutes=1)).note is None


def test_a_zombie_is_dead(other: subprocess.Popen[str]) -> None:
    here = ProcessIdentity.current()
    stat = Path(f"/proc/{other.pid}/stat").read_text().rpartition(")")[2].split()
    theirs = here._replace(pid=other.pid, started=int(stat[19]))
    assert (False, True) == (theirs.is_proven_dead(here), theirs.is_proven_alive(here))
    other.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
    assert (True, False) == (theirs.is_proven_dead(here), theirs.is_proven_alive(here))
    other.communicate()


HERE = ProcessIdentity.current()


@pytest.mark.parametrize(
    ("holder", "dead"),
    [
        (HERE, False),
        (HERE._replace(started=HERE.started - 1), True),
        (HERE._replace(pid=2**22 + 1), True),
        (HERE._replace(pid=2**22 + 1, namespace="pid:[1]"), False),
        (HERE._replace(boot="another-boot"), bool(HERE.machine)),
        (HERE._replace(boot="another-boot", host="another-host"), False),
        (HERE._replace(boot="another-boot", machine=""), False),
        (HERE._replace(boot=""), False),
        (HERE._replace(started=0), False),
    ],
)
def test_death_is_proven_or_not_assumed(holder: ProcessIdentity, dead: bool) -> None:
    assert dead == holder.is_proven_dead(HERE)
    assert (holder == HERE) == holder.is_proven_alive(HERE)


def test_a_process_of_another_user_that_proc_hides_is_not_dead(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def refused(_pid: int, _signal: int) -> None:
        raise PermissionError

    monkeypatch.setattr(process, "_PROC", tmp_path)
    monkeypatch.setattr(os, "kill", refused)
    assert not HERE.is_proven_dead(HERE)


def test_a_killed_writer_leaves_whole_transitions(database: Path, open_store: Open) -> None:
    """SIGKILL in the middle of writing: every intent has its outcome with its entry, or is open."""
    code = (
        "import sys; from pathlib import Path\n"
        "from provisioner.state.sqlite import SqliteStore\n"
        "from tests.conformance.stores import entry\n"
        "store = SqliteStore(Path(sys.argv[1]), stack='shop')\n"
        "operation = store.begin('apply', 'alice', None)\n"
        "for number in range(100000):\n"
        "    item = entry(f'vm-{number}')\n"
        "    intent = store.intend(operation, 's', 'create', item.address, {})\n"
        "    print(number, flush=True)\n"
        "    store.settle(intent, put=[item])\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(database)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if line == "60\n":
            break
    process.send_signal(signal.SIGKILL)
    process.communicate()
    store = open_store()
    assert [] == store.verify()
    state = store.read()
    assert 60 <= len(state.entries)
    assert len(state.open_intents) <= 1
    outcomes = [item for item in store.journal() if item.phase != "intent"]
    assert {item.address for item in outcomes} == set(state.entries)
    record(store, replace(entry("next"), serial=0))


def test_the_lock_is_released_even_after_the_lease_ran_out(open_store: Open) -> None:
    store = open_store()
    lock = store.lock("bob", "plan", timedelta(microseconds=3))
    lock.release()
    assert store.lock_holder() is None
