"""Where the journals of recovery plans lie, and what they tell about drills."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from provisioner.service.layout import state_path
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.runs import Outcome

_FOLDER = "recovery"
_RUNS = 200
"""Runs that are looked through for the last drill."""


def journal_path(workspace: Workspace, plan: str) -> Path:
    """The journal of the runs of a plan: beside the state of its stack."""
    state = state_path(workspace.root, workspace.environment, workspace.states)
    return state.parent / _FOLDER / f"{plan}.db"


def last_drill(journal: Journal) -> datetime | None:
    """When the last drill that succeeded had ended; None if there was none. Raises ProvisionerError
    for a journal that cannot be read.
    """
    ended = (
        run.ended
        for run in journal.runs(_RUNS)
        if run.mode == Mode.TEST and run.outcome is Outcome.SUCCEEDED
    )
    return next((moment for moment in ended if moment is not None), None)
