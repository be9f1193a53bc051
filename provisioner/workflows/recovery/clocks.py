"""Moments that different machines have written down, each by its own clock: whether two of them can
be compared.

A recovery point is dated by whoever copies, the fencing by whoever carries a failover out, a stored
plan by whoever compiled it.
"""

from __future__ import annotations

from datetime import datetime

TOLERATED = 2.0
"""Seconds by which clocks that are kept right may differ."""
TOLERATED_OF_DAYS = 300.0
"""The same where days are counted, so that nothing depends on minutes."""


def ahead(moment: datetime, than: datetime, tolerated: float = TOLERATED) -> float | None:
    """By how many seconds a moment lies behind one that it cannot lie behind, unless clocks differ;
    None if that is within what is tolerated.
    """
    seconds = (moment - than).total_seconds()
    return seconds if seconds > tolerated else None
