"""Whose runs a journal has: those of one plan of one estate, noted before the first of them begins.

Called by :mod:`provisioner.service.recovery`. This keeps journals apart that are taken for one
another; it proves nothing against whoever can write the file (docs/decisions/0056).
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from provisioner.workflows.journalfile import (
    open_writing,
    opened_reading,
    transaction,
    translated,
)

PATIENCE = 10.0
"""Seconds to wait for another process that is in the middle of a write."""

# Journals of earlier versions have none.
_TABLE = (
    "CREATE TABLE IF NOT EXISTS owner (only INTEGER PRIMARY KEY CHECK (only = 1),"
    " name TEXT NOT NULL, stack TEXT NOT NULL, lineage TEXT NOT NULL)"
)
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'owner'"


class Owner(NamedTuple):
    """The plan called ``name`` of a ``stack``, of whose state ``lineage`` is the identity."""

    name: str
    stack: str
    lineage: str


def claim(journal: Path, owner: Owner) -> Owner:
    """Note whose the journal in a file is, unless that stands there already; returns whose it is.
    Raises ProvisionerError (PRV7007 to PRV7009).
    """
    with (
        translated(journal),
        closing(open_writing(journal, PATIENCE)) as connection,
        transaction(connection),
    ):
        connection.execute(_TABLE)
        connection.execute("INSERT INTO owner VALUES (1, ?, ?, ?) ON CONFLICT DO NOTHING", owner)
        return _read(connection) or owner


def owner_of(journal: Path) -> Owner | None:
    """Whose the journal in a file is; None where there is no journal, or it does not say. Raises
    like :func:`claim`.
    """
    with translated(journal), opened_reading(journal, PATIENCE) as connection:
        if connection is None or connection.execute(_HAS_TABLE).fetchone() is None:
            return None
        return _read(connection)


def _read(connection: sqlite3.Connection) -> Owner | None:
    row = connection.execute("SELECT name, stack, lineage FROM owner").fetchone()
    return None if row is None else Owner(*map(str, row))
