"""The questions of a recovery plan, and what counts as an answer. Called by the check that waits
for one, and by whoever takes it from a person.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.workflows.runbook import Task

_MEANING = {"yes": True, "y": True, "no": False, "n": False}


def meaning(text: str) -> bool | None:
    """Whether a text says yes, in any case; None if it says neither yes nor no."""
    return _MEANING.get(text.strip().lower())


def question_of(task: Task) -> str:
    """The whole question that a task asks."""
    given = task.arguments.get("arguments")
    return str(given.get("text", task.title)) if isinstance(given, Mapping) else task.title
