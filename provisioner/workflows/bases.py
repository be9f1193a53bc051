"""What runs were made from, kept with their journal: a document for each digest, once however many
runs began with it.

Called by :mod:`provisioner.service.recovery`, for when what a run began with is not what it would
be made from now. Such a document is as much believed as the runbooks beside it.
"""

from __future__ import annotations

import json
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
_HAS_TABLE = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'bases'"


def keep(journal: Path, digest: str, document: Mapping[str, Any]) -> None:
    """Keep a document in the file of a journal. Raises ProvisionerError (PRV7007 to PRV7009)."""
    packed = zlib.compress(canonical_json(document).encode())
    with (
        translated(journal),
        closing(open_writing(journal, PATIENCE)) as connection,
        transaction(connection),
    ):
        connection.execute(_TABLE)
        connection.execute(
            "INSERT INTO bases VALUES (?, ?) ON CONFLICT DO NOTHING", (digest, packed)
        )


def kept(journal: Path, digest: str) -> Mapping[str, Any] | None:
    """The document; None where the journal has none of this digest. Raises like :func:`keep`."""
    with translated(journal), opened_reading(journal, PATIENCE) as connection:
        if connection is None or connection.execute(_HAS_TABLE).fetchone() is None:
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
