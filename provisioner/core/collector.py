"""The garbage collector at rest while much is read; called where documents come in by thousands."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """A block in which only data without cycles is made: looking for cycles in thousands of
    documents again and again takes longer than reading them.

    Threads may overlap: the collector is on again, at the latest, when the first of them has ended.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
