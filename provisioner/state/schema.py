"""The layout of a SQLite state database: its tables, its version and how older ones are brought up.

Every table but ``lock`` is sealed (see :mod:`provisioner.state.ledger`): its last column is the
digest of the others, and its first column is its key. Called by the SQLite store, backup and
verification.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping

APPLICATION_ID = 0x50525653
"""``PRVS`` in the header of the file, as SQLite's ``application_id`` (sqlite.org/fileformat2.html,
1.3).
"""

VERSION = 1
"""The layout that this program writes; ``user_version`` in the header of the file."""

SEALED: Mapping[str, tuple[str, ...]] = {
    "meta": ("key", "value"),
    "entries": ("address", "serial", "body"),
    "endpoints": ("name", "body"),
    "operations": (
        "number",
        "id",
        "kind",
        "actor",
        "started_at",
        "ended_at",
        "outcome",
        "summary",
        "plan_digest",
    ),
    "journal": ("sequence", "operation", "step", "phase", "action", "address", "at", "detail"),
}
"""The columns of each sealed table, without its digest."""

_TABLES = (
    "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, digest BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE entries (address TEXT PRIMARY KEY, serial INTEGER NOT NULL, body TEXT NOT NULL,"
    " digest BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE endpoints (name TEXT PRIMARY KEY, body TEXT NOT NULL, digest BLOB NOT NULL)"
    " WITHOUT ROWID",
    "CREATE TABLE operations (number INTEGER PRIMARY KEY, id TEXT NOT NULL, kind TEXT NOT NULL,"
    " actor TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, outcome TEXT,"
    " summary TEXT NOT NULL, plan_digest TEXT, digest BLOB NOT NULL)",
    "CREATE TABLE journal (sequence INTEGER PRIMARY KEY, operation TEXT NOT NULL,"
    " step TEXT NOT NULL, phase TEXT NOT NULL, action TEXT NOT NULL, address TEXT NOT NULL,"
    " at TEXT NOT NULL, detail TEXT NOT NULL, digest BLOB NOT NULL)",
    "CREATE TABLE ledger (slot INTEGER PRIMARY KEY CHECK (slot = 1), serial INTEGER NOT NULL,"
    " content TEXT NOT NULL, digest BLOB NOT NULL)",
    "CREATE TABLE lock (slot INTEGER PRIMARY KEY CHECK (slot = 1), owner TEXT NOT NULL,"
    " purpose TEXT NOT NULL, since TEXT NOT NULL, expires TEXT NOT NULL, token TEXT NOT NULL,"
    " process TEXT NOT NULL)",
)

Upgrade = Callable[[sqlite3.Connection], None]
"""Brings a database from one version to the next, inside a transaction that the caller holds."""

UPGRADES: Mapping[int, Upgrade] = {}
"""By the version that they start from. Version 1 is the first there is."""


def create_tables(connection: sqlite3.Connection) -> None:
    """Lay out an empty database, inside a transaction that the caller holds."""
    for statement in _TABLES:
        connection.execute(statement)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")


def application_id(connection: sqlite3.Connection) -> int:
    """The mark in the header that says whose file this is; 0 in a new one."""
    return int(connection.execute("PRAGMA application_id").fetchone()[0])


def user_version(connection: sqlite3.Connection) -> int:
    """The version of the layout; 0 in a new file."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def is_blank(connection: sqlite3.Connection) -> bool:
    """Whether the database has no table at all."""
    row = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    return int(row[0]) == 0


def upgrade(
    connection: sqlite3.Connection,
    upgrades: Mapping[int, Upgrade],
    target: int,
) -> None:
    """Bring an older database to ``target`` in one transaction.

    Raises KeyError if a step of the way is missing.
    """
    connection.execute("BEGIN IMMEDIATE")
    try:
        for version in range(user_version(connection), target):
            upgrades[version](connection)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
