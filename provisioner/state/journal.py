"""The journal's rows as values, and what they tell: which steps did not succeed when they were last
tried.

Called by :class:`provisioner.state.sqlite.SqliteStore`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from provisioner.state.codec import split_address
from provisioner.state.model import FailedAttempt, JournalPhase, JournalRecord

UNSUCCESSFUL = """
WITH last AS (
    SELECT step,
        max(CASE phase WHEN 'intent' THEN sequence END) AS intent,
        max(CASE phase WHEN 'done' THEN sequence END) AS done
    FROM journal GROUP BY step
)
SELECT journal.* FROM journal JOIN last ON journal.step = last.step
WHERE last.intent > coalesce(last.done, 0) AND (
    journal.sequence = last.intent
    OR (journal.phase = 'failed' AND journal.sequence > last.intent)
)
ORDER BY journal.sequence
"""
"""Of each step whose last intent has no success behind it: that intent, and failures behind it."""


def record_of(row: Sequence[Any]) -> JournalRecord:
    """The record of a row of the table ``journal``."""
    sequence, operation, step, phase, action, address, at, detail = row[:8]
    return JournalRecord(
        sequence=sequence,
        operation=operation,
        step=step,
        phase=JournalPhase(phase),
        action=action,
        address=split_address(address),
        at=at,
        detail=json.loads(detail),
    )


def attempts_of(records: Iterable[JournalRecord]) -> dict[str, FailedAttempt]:
    """What :data:`UNSUCCESSFUL` found, by step."""
    found: dict[str, FailedAttempt] = {}
    for record in records:
        if record.phase is JournalPhase.INTENT:
            found[record.step] = FailedAttempt(record)
        else:
            found[record.step] = FailedAttempt(found[record.step].intent, record)
    return found
