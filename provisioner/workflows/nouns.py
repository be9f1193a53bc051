"""What runs are called in sentences, and how they ended: ``mode`` and ``outcome`` of a run are keys
for programs. Used by every message and view of a run.
"""

from __future__ import annotations

from provisioner.workflows.runs import Outcome

FAILBACK = "failback"
"""A migration back home, as people call it."""

NOUNS = {
    "test": "drill",
    "cleanup": "clean-up",
    "migrate": "migration",
    "failover": "failover",
    "reprotect": "reprotection",
    FAILBACK: "failback",
    "rollback": "rollback",
}
"""What a run of a mode is called."""


def noun(mode: str) -> str:
    """``migration`` for ``migrate``; what has no name of its own is called as it is."""
    return NOUNS.get(mode, mode)


def ended(outcome: Outcome | None) -> str:
    """``in part`` for ``in-part``."""
    return "not ended" if outcome is None else outcome.replace("-", " ")
