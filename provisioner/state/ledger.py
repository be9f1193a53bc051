"""Seals over the rows of a state database, and the transaction that keeps them right.

SQLite has no checksum over its pages, so every row carries a digest over its content, and the
ledger holds, for each table, the number of its rows and the exclusive-or of their digests. A
flipped bit, a row that is gone and a row that came back are all found by adding up what is there.
The exclusive-or can be kept up to date without reading any other row, which is what makes a durable
write cost the same with ten resources as with ten thousand.

The seals guard against accidents, not against somebody who computes new ones.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, field

from provisioner.state.codec import row_digest
from provisioner.state.schema import SEALED

# Table and column names are constants of the schema module; values are always bound.
_INSERT = {
    table: f"INSERT INTO {table} VALUES ({','.join('?' * (len(columns) + 1))})"  # noqa: S608
    for table, columns in SEALED.items()
}
_DELETE = {
    table: f"DELETE FROM {table} WHERE {columns[0]} = ? RETURNING digest"  # noqa: S608
    for table, columns in SEALED.items()
}


class DamagedLedgerError(Exception):
    """The ledger is missing or does not fit its own digest."""


@dataclass(slots=True)
class Seal:
    """Number of rows of one table, and the exclusive-or of their digests as an integer."""

    count: int = 0
    total: int = 0

    def add(self, digest: bytes) -> None:
        """One row more."""
        self.count += 1
        self.total ^= int.from_bytes(digest, "big")

    def drop(self, digest: bytes) -> None:
        """One row less."""
        self.count -= 1
        self.total ^= int.from_bytes(digest, "big")

    @classmethod
    def over(cls, digests: Iterable[bytes]) -> Seal:
        """The seal of a table with these rows."""
        seal = cls()
        for digest in digests:
            seal.add(digest)
        return seal


@dataclass(slots=True)
class Ledger:
    """Where the state has arrived: one row, written by every transaction that changes anything.

    ``serial`` counts transactions and ``sequence`` journal records; neither ever goes back.
    ``open_intents`` are the sequence numbers of intents without an outcome, as many as there are
    steps under way.
    """

    serial: int = 0
    sequence: int = 0
    open_intents: list[int] = field(default_factory=list)
    seals: dict[str, Seal] = field(default_factory=lambda: {table: Seal() for table in SEALED})
    digest: bytes = b""
    """Of the row as it was last read or written."""

    @classmethod
    def load(cls, connection: sqlite3.Connection) -> Ledger:
        """Read it; raises :class:`DamagedLedgerError` if it cannot be trusted."""
        row = connection.execute("SELECT serial, content, digest FROM ledger").fetchone()
        if row is None:
            raise DamagedLedgerError("the ledger is missing")
        serial, content, digest = row
        if row_digest("ledger", serial, content) != digest:
            raise DamagedLedgerError("the ledger does not fit its digest")
        sequence, intents, *words = content.split(" ")
        seals = {}
        for word in words:
            table, count, total = word.split(":")
            seals[table] = Seal(int(count), int(total, 16))
        return cls(serial, int(sequence), json.loads(intents), seals, digest)

    def is_current(self, connection: sqlite3.Connection) -> bool:
        """Whether the row in the database is the one that this was read from or written to."""
        row = connection.execute("SELECT digest FROM ledger").fetchone()
        return row is not None and row[0] == self.digest

    def save(self, connection: sqlite3.Connection) -> None:
        """Write it, in the transaction that changed the rows."""
        intents = ",".join(map(str, self.open_intents))
        words = [f"{table}:{seal.count}:{seal.total:x}" for table, seal in self.seals.items()]
        content = f"{self.sequence} [{intents}] {' '.join(words)}"
        self.digest = row_digest("ledger", self.serial, content)
        connection.execute(
            "INSERT OR REPLACE INTO ledger VALUES (1, ?, ?, ?)",
            (self.serial, content, self.digest),
        )


class Transaction:
    """Changes to sealed tables within one database transaction, which the caller begins and
    commits.

    ``serial`` is the number that this transaction has if it changes anything.
    """

    __slots__ = ("_ledger", "connection", "dirty", "serial")

    def __init__(self, connection: sqlite3.Connection, ledger: Ledger) -> None:
        self.connection = connection
        self.serial = ledger.serial + 1
        self.dirty = False
        self._ledger = ledger

    def insert(self, table: str, *values: object) -> None:
        """Add a row; ``values`` are its columns without the digest."""
        digest = row_digest(table, *values)
        self.connection.execute(_INSERT[table], (*values, digest))
        self._ledger.seals[table].add(digest)
        self.dirty = True

    def drop(self, table: str, key: object) -> bool:
        """Remove the row with this key; whether there was one."""
        row = self.connection.execute(_DELETE[table], (key,)).fetchone()
        if row is None:
            return False
        self._ledger.seals[table].drop(row[0])
        self.dirty = True
        return True

    def put(self, table: str, *values: object) -> None:
        """Write a row, whether or not there is one with its key (the first of ``values``)."""
        self.drop(table, values[0])
        self.insert(table, *values)

    def append(self, *record: object, opens: bool = False) -> int:
        """Add a journal record; returns its sequence number. ``opens``: an outcome is to follow."""
        ledger = self._ledger
        ledger.sequence += 1
        self.insert("journal", ledger.sequence, *record)
        if opens:
            ledger.open_intents.append(ledger.sequence)
        return ledger.sequence

    def close_intent(self, sequence: int) -> bool:
        """Note that an intent has its outcome; whether it was open."""
        if sequence not in self._ledger.open_intents:
            return False
        self._ledger.open_intents.remove(sequence)
        return True

    def prune_journal(self, keep: int) -> None:
        """Drop all but the last ``keep`` records, but never an intent without its outcome."""
        rows = self.connection.execute(
            "DELETE FROM journal WHERE sequence <= ?"
            " AND sequence NOT IN (SELECT value FROM json_each(?)) RETURNING digest",
            (self._ledger.sequence - keep, json.dumps(self._ledger.open_intents)),
        ).fetchall()
        for (digest,) in rows:
            self._ledger.seals["journal"].drop(digest)
        self.dirty = self.dirty or bool(rows)

    def seal(self) -> int:
        """Write the ledger if anything changed; returns the serial of the state after this
        transaction.
        """
        if not self.dirty:
            return self._ledger.serial
        self._ledger.serial = self.serial
        self._ledger.save(self.connection)
        return self.serial
