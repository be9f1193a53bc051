"""A journal that several people use, each as a user of their own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.journalfile import unfinished
from provisioner.workflows.runs import Run, What
from tests.unit.workflows.acting import runbook, task

GROUP, ANOTHER_GROUP = 60_001, 60_002
ANN, BOB, EVE = 60_011, 60_012, 60_013

as_others = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as other users")


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that other users reach; pytest's own folders are their owner's alone."""
    made = Path(tempfile.mkdtemp(prefix="people-"))
    yield made
    shutil.rmtree(made)


def share(folder: Path) -> None:
    os.chown(folder, -1, GROUP if os.geteuid() == 0 else -1)
    folder.chmod(0o2770)


def as_user(user: int, group: int, work: Callable[[], object]) -> bool:
    """Do it in a process of this user, with the strictest umask; whether it could be done."""
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([group])
            os.setgid(user)
            os.setuid(user)
            os.umask(0o077)
            work()
        except ProvisionerError:
            os._exit(1)
        except BaseException:  # noqa: BLE001 - nothing of the tests may go on in this process
            os._exit(2)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 1)
    return code == 0


def test_in_a_shared_folder_a_journal_is_made_for_the_group(folder: Path) -> None:
    share(folder)
    before = os.umask(0o077)
    try:
        asks(Journal(folder / "recovery" / "runs.db"))
    finally:
        os.umask(before)
    made = (folder / "recovery", folder / "recovery" / "runs.db")
    assert [0o2770, 0o660] == [path.stat().st_mode & 0o7777 for path in made]
    assert {folder.stat().st_gid} == {path.stat().st_gid for path in made}


@as_others
def test_one_user_answers_what_the_run_of_another_asks(folder: Path) -> None:
    share(folder)
    path = folder / "runs.db"
    assert as_user(ANN, GROUP, lambda: asks(Journal(path)))
    assert not as_user(EVE, ANOTHER_GROUP, lambda: Journal(path).last())
    assert as_user(BOB, GROUP, lambda: answer(Journal(path)))
    assert ["bob"] == [entry.actor for entry in run_of(Journal(path)).answers]


@as_others
def test_a_write_that_one_user_left_unfinished_hinders_no_other(folder: Path) -> None:
    share(folder)
    path = folder / "runs.db"
    assert as_user(ANN, GROUP, lambda: asks(Journal(path)))
    assert as_user(ANN, GROUP, lambda: break_off(path))
    left = unfinished(path).stat()
    assert (0o660, GROUP) == (left.st_mode & 0o777, left.st_gid)
    assert as_user(BOB, GROUP, lambda: answer(Journal(path)))


@as_others
def test_who_may_not_read_a_journal_is_told_how_a_group_shares_it(folder: Path) -> None:
    folder.chmod(0o755)
    path = folder / "runs.db"
    asks(Journal(path))
    told = folder / "told"
    told.touch()
    told.chmod(0o666)

    def look() -> None:
        with pytest.raises(ProvisionerError) as refused:
            Journal(path).last()
        (found,) = refused.value.diagnostics
        told.write_text(f"{found.code} {found.hint}")

    assert as_user(BOB, GROUP, look)
    said = told.read_text()
    assert ("PRV7009", True) == (said.split()[0], f"chmod 2770 {folder}" in said)


def asks(journal: Journal) -> None:
    """A run with a question that nobody has answered."""
    run = journal.begin(runbook(task("a")), "ann").id
    journal.write(run, [Note(What.BEGUN, "a", "act"), Note(What.WAITING, "a", "act")])


def run_of(journal: Journal) -> Run:
    last = journal.last()
    assert last is not None
    return journal.run(last.id)


def answer(journal: Journal) -> None:
    journal.answer(run_of(journal).record.id, "a", "yes", "bob")


def break_off(path: Path) -> None:
    """What SQLite leaves when a process dies in the middle of a transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(100):
        connection.execute("INSERT INTO runbooks VALUES (?, ?)", (str(number), bytes(4096)))
    os._exit(0)
