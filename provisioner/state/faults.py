"""What can be wrong with a state database, as diagnostics; SQLite's errors are turned into them
here.

Called by the modules of the SQLite store. The codes stand in docs/diagnostics.md, section State.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from enum import Enum, auto
from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error

RESTORE_HINT = (
    "Nothing was changed. Restore a backup: provisioner state restore FILE."
    " The damaged file is kept beside it."
)


DATABASE_ERRORS = (sqlite3.Error, UnicodeDecodeError)
"""What using a database raises; the second where SQLite's own message quotes damaged text."""

FINDINGS = frozenset({"PRV4001", "PRV4003"})
"""What a check of a database can find. Anything else keeps the check from being made."""

UNTRUSTED = FINDINGS | {"PRV4002", "PRV4010"}
"""What says that a database is not one that this program works with: nobody's lock in it counts."""

_STRUCTURAL = (
    0,  # Python's own: a text that is not UTF-8
    sqlite3.SQLITE_ERROR,  # a statement does not fit the tables
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_MISMATCH,
    sqlite3.SQLITE_NOTADB,
)
"""Result codes (sqlite.org/rescode.html) that say that the content is not what was written."""


def damaged(path: Path, problems: Iterable[str]) -> ProvisionerError:
    """PRV4001: the content cannot be trusted."""
    return ProvisionerError(
        error(
            "PRV4001",
            f"the state database {path} is damaged",
            detail="\n".join(problems),
            hint=RESTORE_HINT,
        )
    )


def newer(path: Path, found: int, known: int) -> ProvisionerError:
    """PRV4002: written by a later program."""
    return ProvisionerError(
        error(
            "PRV4002",
            f"the state database {path} was written by a newer version of this program",
            detail=f"Its layout has version {found}; this program knows versions up to {known}.",
            hint="Install the newer version. To go back to the time before it was used:"
            " provisioner state restore FILE, with a backup from then.",
        )
    )


def outdated(path: Path, detail: str) -> ProvisionerError:
    """PRV4003: not the state that this program wrote last."""
    return ProvisionerError(
        error(
            "PRV4003",
            f"the state database {path} is not the one that was written last",
            detail=detail,
            hint="Put the newest file back. If you really want an older state, bring it in with"
            f" provisioner state restore FILE. To start with an empty state, remove {path}-mark.",
        )
    )


def unusable(path: Path, detail: str) -> ProvisionerError:
    """PRV4009: the file or its folder cannot be used."""
    return ProvisionerError(
        error(
            "PRV4009",
            f"the state database {path} cannot be opened or written",
            detail=detail,
            hint=f"State needs a local folder that this user may write to: {path.parent}.",
        )
    )


def read_only(path: Path, detail: str = "") -> ProvisionerError:
    """PRV4009: something was to be written, and may not be."""
    return ProvisionerError(
        error(
            "PRV4009",
            f"the state database {path} is read-only",
            detail=f"This user may not write to it, or to its folder. {detail}".rstrip(),
            hint="Nothing was changed. Commands that only read work; to change something, make"
            f" {path.parent} and the files in it writable.",
        )
    )


def unreadable(path: Path) -> ProvisionerError:
    """PRV4009: this user may not even read it."""
    return ProvisionerError(
        error(
            "PRV4009",
            f"the state database {path} cannot be read: permission denied",
            hint="Run the command as the user to whom it belongs, or give this user access to"
            f" {path.parent} and the files in it.",
        )
    )


def no_room(path: Path, detail: str) -> ProvisionerError:
    """PRV4008: the disk is full."""
    return ProvisionerError(
        error(
            "PRV4008",
            f"no space is left on the disk of the state database {path}",
            detail=f"{detail}. What was recorded before is safe; this write was not.",
            hint="Free some space and run the command again:"
            " it finds out what was done but not recorded.",
        )
    )


def busy(path: Path, detail: str) -> ProvisionerError:
    """PRV4007: another process kept it locked for too long."""
    return ProvisionerError(
        error(
            "PRV4007",
            f"the state database {path} is in use by another process",
            detail=detail,
            hint="Run the command again.",
        )
    )


def findings(problem: ProvisionerError) -> list[str]:
    """What a check found, in sentences; raises ``problem`` where it kept the check from being
    made.
    """
    if not FINDINGS.issuperset(item.code for item in problem.diagnostics):
        raise problem
    return [
        f"{item.summary}: {item.detail}" if item.detail else item.summary
        for item in problem.diagnostics
    ]


class Trouble(Enum):
    """What keeps any SQLite database of ours from being used."""

    FORBIDDEN = auto()
    DAMAGED = auto()
    BUSY = auto()
    FULL = auto()
    UNUSABLE = auto()


def trouble_of(
    path: Path, problem: sqlite3.Error | UnicodeDecodeError | OSError
) -> tuple[Trouble, str]:
    """What an error of SQLite or of the operating system means, and its own words."""
    text = (problem.strerror or str(problem)) if isinstance(problem, OSError) else str(problem)
    # The lower byte is the primary result code (sqlite.org/rescode.html).
    code = getattr(problem, "sqlite_errorcode", 0) & 0xFF
    trouble = Trouble.UNUSABLE
    if _is_forbidden(path):
        trouble = Trouble.FORBIDDEN
    elif not isinstance(problem, OSError) and code in _STRUCTURAL:
        trouble = Trouble.DAMAGED
    elif code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        trouble = Trouble.BUSY
    elif code == sqlite3.SQLITE_FULL or _is_full(path):
        trouble = Trouble.FULL
    return trouble, text


def translate(
    path: Path, problem: sqlite3.Error | UnicodeDecodeError | OSError
) -> ProvisionerError:
    """The diagnostic of an error of SQLite or of the operating system."""
    trouble, text = trouble_of(path, problem)
    match trouble:
        case Trouble.FORBIDDEN:
            return unreadable(path)
        case Trouble.DAMAGED:
            return damaged(path, [text])
        case Trouble.BUSY:
            return busy(path, text)
        case Trouble.FULL:
            return no_room(path, text)
        case Trouble.UNUSABLE:
            return unusable(path, text)


def _is_forbidden(path: Path) -> bool:
    """Whether it is there and may not be read."""
    try:
        return path.is_file() and not os.access(path, os.R_OK, effective_ids=True)
    except PermissionError:
        return True


def _is_full(path: Path) -> bool:
    try:
        return os.statvfs(path.parent).f_bavail == 0
    except OSError:
        return False
