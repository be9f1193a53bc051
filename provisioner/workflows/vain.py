"""What can no longer succeed in a run, and which questions are in vain then. Called by
:mod:`provisioner.workflows.runner`, in its one thread.
"""

from __future__ import annotations

from provisioner.workflows.runbook import Task


class Hopeless:
    """The tasks that have failed or are held in a run, each by the task that failed."""

    def __init__(self) -> None:
        self._causes: dict[str, str] = {}

    def note(self, task_id: str, cause: str) -> None:
        """A task will not succeed; ``cause`` is the one that failed."""
        self._causes.setdefault(task_id, cause)

    def cause_for(self, task: Task) -> str | None:
        """The task whose failure leaves nothing of what this one serves; None if something may
        still succeed, or it serves nothing in particular.
        """
        if task.serves and all(item in self._causes for item in task.serves):
            return self._causes[task.serves[0]]
        return None
