"""How many tasks of a run go on at once, and how long they are waited for. Called by the runner."""

from __future__ import annotations

from dataclasses import dataclass

from provisioner.workflows.schedule import PARALLEL


@dataclass(frozen=True, slots=True)
class Limits:
    """``parallel`` tasks at once, over all lanes. ``poll_seconds``: how often the journal is asked
    what others have said. ``grace_seconds``: how long beyond its deadline a task is waited for, so
    that it can say itself what it has been waiting for.
    """

    parallel: int = PARALLEL
    poll_seconds: float = 0.5
    grace_seconds: float = 5.0
