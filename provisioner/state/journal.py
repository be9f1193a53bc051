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
    SELECT step, max(CASE phase WHEN 'done' THEN sequence END) AS done
    FROM journal GROUP BY step
)
SELECT journal.* FROM journal JOIN last ON journal.step = last.step
WHERE journal.sequence > coalesce(last.done, 0) AND journal.phase IN ('intent', 'failed')
ORDER BY journal.sequence
"""
"""Of each step what has no success behind it: intents and failures."""


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
    intents: dict[str, list[JournalRecord]] = {}
    failures: dict[str, JournalRecord] = {}
    for record in records:
        if record.phase is JournalPhase.INTENT:
            intents.setdefault(record.step, []).append(record)
            failures.pop(record.step, None)
        else:
            failures[record.step] = record
    return {
        step: FailedAttempt(found[-1], failures.get(step), tuple(found[:-1]))
        for step, found in intents.items()
    }
