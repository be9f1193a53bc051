"""Checks of a state database: every page, every row's digest, every table's seal.

Called by the SQLite store for what it reads, and for the whole by ``verify`` and on both ends of
backup and restore.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Any

from provisioner.state.codec import decode_endpoint, decode_entries, row_digest
from provisioner.state.ledger import DamagedLedgerError, Ledger, Seal
from provisioner.state.schema import SEALED

_MOST_NAMED = 5
"""Damaged rows named one by one in a table; the rest is counted."""


def quick_problems(connection: sqlite3.Connection) -> list[str]:
    """The checks that opening can afford: 4 ms of CPU with 10,000 entries."""
    rows = connection.execute("PRAGMA quick_check(5)").fetchall()
    return [str(row[0]) for row in rows if row[0] != "ok"]


def all_problems(connection: sqlite3.Connection) -> list[str]:
    """Everything that is wrong, in sentences; empty if nothing is. Raises sqlite3.Error where a
    page cannot be read.
    """
    problems = [
        f"The file's structure is broken: {row[0]}."
        for row in connection.execute("PRAGMA integrity_check(20)")
        if row[0] != "ok"
    ]
    try:
        ledger = Ledger.load(connection)
    except DamagedLedgerError as problem:
        return [*problems, f"{str(problem).capitalize()}."]
    for table, columns in SEALED.items():
        problems += _table_problems(connection, table, columns, ledger.seals.get(table, Seal()))
    return problems or _content_problems(connection, ledger)


def row_problems(table: str, rows: Sequence[tuple[Any, ...]], expected: Seal) -> list[str]:
    """What is wrong with all rows of a table, their digest last in each."""
    problems = damaged_rows(table, rows)
    found = Seal.over(row[-1] for row in rows)
    if not problems and found != expected:
        problems.append(_table_problem(table, found, expected))
    return problems


def damaged_rows(table: str, rows: Sequence[tuple[Any, ...]]) -> list[str]:
    """What is wrong with some rows of a table, their digest last in each."""
    return [
        f"The row {row[0]} of the table {table} is damaged."
        for row in rows
        if row_digest(table, *row[:-1]) != row[-1]
    ]


def _table_problem(table: str, found: Seal, expected: Seal) -> str:
    """The sentence for a table whose rows do not add up to its seal."""
    if found.count != expected.count:
        return f"The table {table} has {found.count} rows; {expected.count} were written."
    return f"The rows of the table {table} are not those that were written."


def _table_problems(
    connection: sqlite3.Connection, table: str, columns: tuple[str, ...], expected: Seal
) -> list[str]:
    # The names are this module's own constants, never input.
    rows = connection.execute(f"SELECT {', '.join(columns)}, digest FROM {table}").fetchall()  # noqa: S608
    broken = [str(row[0]) for row in rows if row_digest(table, *row[:-1]) != row[-1]]
    problems = [f"The row {key} of the table {table} is damaged." for key in broken[:_MOST_NAMED]]
    if len(broken) > _MOST_NAMED:
        problems.append(f"{len(broken) - _MOST_NAMED} more rows of {table} are damaged.")
    found = Seal.over(row[-1] for row in rows)
    if found != expected:
        problems.append(_table_problem(table, found, expected))
    return problems


def _content_problems(connection: sqlite3.Connection, ledger: Ledger) -> list[str]:
    problems: list[str] = []
    try:
        decode_entries(connection.execute("SELECT address, serial, body FROM entries"))
    except ValueError as problem:
        problems.append(f"An entry cannot be read: {problem}.")
    try:
        for name, body in connection.execute("SELECT name, body FROM endpoints"):
            decode_endpoint(name, body)
    except (ValueError, KeyError) as problem:
        problems.append(f"An endpoint record cannot be read: {problem}.")
    for sequence in ledger.open_intents:
        row = connection.execute("SELECT phase FROM journal WHERE sequence = ?", (sequence,))
        if row.fetchone() != ("intent",):
            problems.append(f"The open intent {sequence} is not in the journal.")
    return problems
