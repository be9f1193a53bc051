"""What runs were made from, kept with their journal: a document for each digest, once however many
runs began with it; and the signed files that such documents were read from, as they were.

Called by :mod:`provisioner.service.recovery`, for when what a run began with is not what it would
be made from now. A document is as much believed as the runbooks beside it; a signed file proves
itself, wherever it lies.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import zlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from provisioner.core.values import canonical_json
from provisioner.workflows.journalfile import (
    DamagedRowError,
    open_writing,
    opened_reading,
    transaction,
    translated,
)

PATIENCE = 10.0
"""Seconds to wait for another process that is in the middle of a write."""

# Journals of earlier versions have none.
_TABLE = "CREATE TABLE IF NOT EXISTS bases (digest TEXT PRIMARY KEY, document BLOB NOT NULL)"
_SIGNED_TABLE = (
    "CREATE TABLE IF NOT EXISTS signed_bases (digest TEXT NOT NULL, of_content TEXT NOT NULL,"
    " content BLOB NOT NULL, PRIMARY KEY (digest, of_content))"
)
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?"


def keep(
    journal: Path, digest: str, document: Mapping[str, Any], signed: bytes | None = None
) -> None:
    """Keep a document in the file of a journal, and the content of the ``signed`` file that it was
    read from, if it was. Raises ProvisionerError (PRV7007 to PRV7009).
    """
    packed = zlib.compress(canonical_json(document).encode())
    with (
        translated(journal),
        closing(open_writing(journal, PATIENCE)) as connection,
        transaction(connection),
    ):
        connection.execute(_TABLE)
        connection.execute("INSERT OR REPLACE INTO bases VALUES (?, ?)", (digest, packed))
        connection.execute(_SIGNED_TABLE)
        if signed is not None:
            connection.execute(
                "INSERT OR REPLACE INTO signed_bases VALUES (?, ?, ?)",
                (digest, hashlib.sha256(signed).hexdigest(), zlib.compress(signed)),
            )


def kept(journal: Path, digest: str) -> Mapping[str, Any] | None:
    """The document; None where the journal has none of this digest. Raises like :func:`keep`."""
    with translated(journal), opened_reading(journal, PATIENCE) as connection:
        if connection is None or not _has(connection, "bases"):
            return None
        row = connection.execute("SELECT document FROM bases WHERE digest = ?", (digest,))
        found = row.fetchone()
        if found is None:
            return None
        try:
            document = json.loads(zlib.decompress(found[0]))
        except (TypeError, ValueError, zlib.error) as problem:
            raise DamagedRowError(f"The document {digest} cannot be read: {problem}.") from problem
    if not isinstance(document, dict):
        raise DamagedRowError(f"The document {digest} is not what was written.")
    return document


def signed(journal: Path, digest: str) -> list[bytes]:
    """The signed files that were kept for this digest, the last first: of two that say the same,
    but for their programs, a run is gone on with by the one that it began with. Raises like
    :func:`keep`.
    """
    with translated(journal), opened_reading(journal, PATIENCE) as connection:
        if connection is None or not _has(connection, "signed_bases"):
            return []
        rows = connection.execute(
            "SELECT content FROM signed_bases WHERE digest = ? ORDER BY rowid DESC", (digest,)
        ).fetchall()
        try:
            return [zlib.decompress(content) for (content,) in rows]
        except (TypeError, zlib.error) as problem:
            raise DamagedRowError(f"A signed file of {digest} cannot be read.") from problem


def _has(connection: sqlite3.Connection, table: str) -> bool:
    return connection.execute(_HAS_TABLE, (table,)).fetchone() is not None
