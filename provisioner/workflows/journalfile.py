"""The file of a journal: making it, opening it, its layout, and what can be wrong with it.

Called by :mod:`provisioner.workflows.journal`. The file is whole by itself after each transaction
(docs/decisions/0054): whoever goes on at another machine takes this one file along. The codes stand
in docs/diagnostics.md, section Runbooks.
"""

from __future__ import annotations

import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.state import faults, schema
from provisioner.state.database import sync_folder
from provisioner.state.faults import Trouble
from provisioner.state.integrity import quick_problems
from provisioner.state.reading import connect_reading, has_log, is_read_only

APPLICATION_ID = 0x50525652
"""``PRVR`` in the header of the file."""

VERSION = 1
"""The layout that this program writes."""

SAID = "what IN ('answered', 'cancel', 'carried', 'ended')"
"""What others may say and do while a run is carried out; looked for twice a second, so it has an
index, which SQLite only uses for these very words.
"""

_TABLES = (
    "CREATE TABLE runbooks (digest TEXT PRIMARY KEY, document BLOB NOT NULL)",
    "CREATE TABLE runs (number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL,"
    " mode TEXT NOT NULL, digest TEXT NOT NULL REFERENCES runbooks, actor TEXT NOT NULL,"
    " started TEXT NOT NULL, ended TEXT, outcome TEXT, undoes TEXT REFERENCES runs (id),"
    " token TEXT NOT NULL, process TEXT)",
    "CREATE TABLE log (sequence INTEGER PRIMARY KEY, run TEXT NOT NULL REFERENCES runs (id),"
    " what TEXT NOT NULL, task TEXT NOT NULL, action TEXT NOT NULL, at TEXT NOT NULL,"
    " actor TEXT NOT NULL, seconds REAL, detail TEXT NOT NULL)",
    "CREATE INDEX log_of_run ON log (run, sequence)",
    f"CREATE INDEX log_of_others ON log (run, sequence) WHERE {SAID}",
    "CREATE INDEX log_of_task ON log (run, task, sequence)",
)


class DamagedRowError(Exception):
    """A row does not hold what this program writes; says which."""


def open_writing(path: Path, patience: float) -> sqlite3.Connection:
    """A connection that may write; makes the file (0600), and its folder (0700), if there is none;
    in a folder that several people share, for its group (0660, 2770).

    Raises ProvisionerError (PRV7007, PRV7008, PRV7009).
    """
    with translated(path):
        if path.exists() and is_read_only(path):
            raise _forbidden(path, "This user may not write to it, or to its folder.")
        if not path.exists():
            _make(path)
        connection = _connect(path, patience)
        try:
            _create_if_blank(connection)
            _check(connection, path)
            if problems := quick_problems(connection):
                raise _damaged(path, "\n".join(problems))
        except BaseException:
            connection.close()
            raise
        return connection


def _make(path: Path) -> None:
    """Modes are set and not only asked for: they are not to depend on the user's umask."""
    folder = path.parent
    if not folder.exists():
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if _is_shared(folder.parent):
            with suppress(PermissionError):  # another one has made it meanwhile
                folder.chmod(0o2770)
    # Only a new file is given to the group: not what somebody has put there meanwhile.
    with suppress(FileExistsError):
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            if _is_shared(folder):
                os.fchmod(file, 0o660)
        finally:
            os.close(file)
        sync_folder(folder)


def _is_shared(folder: Path) -> bool:
    """Whether what is made in a folder is its group's, who may write there. SQLite gives what it
    writes beside a database the mode of that (sqlite3 os_unix.c, findCreateFileMode).
    """
    wanted = stat.S_ISGID | stat.S_IWGRP
    return folder.stat().st_mode & wanted == wanted


@contextmanager
def opened_reading(path: Path, patience: float) -> Iterator[sqlite3.Connection | None]:
    """A connection that only reads, while others may write; None where there is no journal yet.

    Raises ProvisionerError (PRV7007, PRV7008, PRV7009).
    """
    with translated(path):
        if not path.exists():
            yield None
            return
        connection = _connect_reading(path, patience)
        try:
            if schema.is_blank(connection):
                yield None  # another process is about to make it
                return
            _check(connection, path)
            yield connection
        finally:
            connection.close()


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """Errors of SQLite and of the operating system become diagnostics."""
    try:
        yield
    except DamagedRowError as problem:
        raise _damaged(path, str(problem)) from problem
    except (*faults.DATABASE_ERRORS, OSError) as problem:
        raise _of_trouble(path, *faults.trouble_of(path, problem)) from problem


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written within is written, or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def unfinished(path: Path) -> Path:
    """What lies beside a journal while a transaction is written, and after a process was killed in
    the middle of one: then it belongs to the journal wherever that is taken.
    """
    return path.with_name(path.name + "-journal")


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    """A connection that waits for the disk at each commit, and leaves one whole file."""
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    try:
        if connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            _fold(connection)
        # EXTRA: the folder, too, so that a power failure does not bring the old pages back.
        connection.execute("PRAGMA synchronous = EXTRA")
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def _fold(connection: sqlite3.Connection) -> None:
    """A journal of an earlier version becomes one file. Where a process of that version has it
    open it stays as it is, and is as safe.
    """
    try:
        connection.execute("PRAGMA journal_mode = DELETE").fetchone()
    except sqlite3.OperationalError as problem:
        if problem.sqlite_errorcode not in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise


def _connect_reading(path: Path, patience: float) -> sqlite3.Connection:
    """A connection through which nothing is written but what a killed process began and did not
    end: that is taken back, if this user may, for it cannot be read before.
    """
    if has_log(path) or is_read_only(path) or not unfinished(path).exists():
        return connect_reading(path, patience)
    connection = sqlite3.connect(
        path, timeout=patience, isolation_level=None, check_same_thread=False
    )
    connection.execute("PRAGMA query_only = ON")
    return connection


def _create_if_blank(connection: sqlite3.Connection) -> None:
    if not schema.is_blank(connection):
        return
    with transaction(connection):
        # Another process may have been first.
        if schema.is_blank(connection):
            for statement in _TABLES:
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {VERSION}")


def _check(connection: sqlite3.Connection, path: Path) -> None:
    if schema.application_id(connection) != APPLICATION_ID:
        raise _damaged(path, "The file is no journal of runs.")
    version = schema.user_version(connection)
    if version > VERSION:
        raise ProvisionerError(
            error(
                "PRV7008",
                f"the journal {path} was written by a newer version of this program",
                detail=f"Its layout has version {version}; this program knows versions up to"
                f" {VERSION}.",
                hint="Install the newer version; nothing was changed.",
            )
        )


def _of_trouble(path: Path, trouble: Trouble, text: str) -> ProvisionerError:
    match trouble:
        case Trouble.DAMAGED:
            return _damaged(path, text)
        case Trouble.FORBIDDEN:
            return _forbidden(path, "This user may not read it.")
        case Trouble.BUSY:
            return _unusable(path, f"Another process keeps it locked for too long: {text}.")
        case Trouble.FULL:
            return _unusable(path, f"No space is left on its disk: {text}.")
        case Trouble.UNUSABLE:
            return _unusable(path, text)


def _damaged(path: Path, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7007",
            f"the journal {path} is damaged",
            detail=detail,
            hint="Move it aside and run the command again: it begins a new journal, and looks at"
            " the world before each task, so that nothing is done twice. What was answered and"
            " what tasks had found out has to be given again.",
        )
    )


def _forbidden(path: Path, detail: str) -> ProvisionerError:
    folder, file = shlex.quote(str(path.parent)), shlex.quote(str(path))
    return ProvisionerError(
        error(
            "PRV7009",
            f"the journal {path} cannot be opened or written",
            detail=f"{detail} What was written before is safe.",
            hint="Whoever begins, answers or looks at runs reads and writes the journal, and its"
            f" folder. For several people, its owner lets a group have both: 'chgrp GROUP {folder}"
            f" {file}', 'chmod 2770 {folder}', 'chmod 660 {file}'. Journals that are made in such a"
            " folder are the group's from the beginning.",
        )
    )


def _unusable(path: Path, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV7009",
            f"the journal {path} cannot be opened or written",
            detail=detail,
            hint="A journal needs a local folder with free space that this user may write to:"
            f" {path.parent}. What was written before is safe.",
        )
    )
