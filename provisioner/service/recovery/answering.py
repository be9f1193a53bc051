"""Answers to the questions of a run, from any terminal: which question is meant, and who may answer
it.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from provisioner.core.diagnostics import ProvisionerError, error, quoted
from provisioner.service.recovery.model import Run, meaning, person, question_of
from provisioner.service.recovery.naming import PREFIX, named_plans, only_plan
from provisioner.service.recovery.opening import Source, commands_for, named_journal
from provisioner.service.recovery.running import APPROVE
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal


@dataclass(frozen=True, slots=True)
class Question:
    """An open question: the task of the run that asks ``text``."""

    run: Run
    task: str
    text: str
    journal: Journal


def open_question(workspace: Workspace, source: Source, words: Sequence[str]) -> Question:
    """The question that is meant by what a person has typed before the answer: a plan and a task,
    one of them, or nothing. A plan may be left out where a file or a journal is named, or there is
    only one; a task, where only one asks. The name of a task may be a part of its id, or its title.

    Raises ProvisionerError: PRV7088 if it cannot be told which plan is meant, PRV7094 if it cannot
    be told which question.
    """
    source, name = _meant(workspace, source, words)
    journal = named_journal(workspace, source)
    last = journal.last()
    run = journal.run(last.id) if last is not None else None
    asking = [item.task for item in run.tasks.values() if item.asks] if run is not None else []
    if run is None or (name is None and len(asking) != 1):
        found = ", ".join(asking) or "no task"
        raise ProvisionerError(
            error(
                "PRV7094",
                f"which question is answered cannot be told: {found} asks",
                hint=f"Name the task; '{commands_for(workspace, source)('status')}' lists the "
                "questions that are open.",
            )
        )
    task = asking[0] if name is None else _task(run, asking, name)
    return Question(run, task, question_of(run.runbook.by_id[task]), journal)


def answer(workspace: Workspace, question: Question, text: str) -> str:
    """Answer a question; returns ``yes`` or ``no``.

    Raises ProvisionerError: PRV7005 if it is not open, PRV7129 for what is neither yes nor no,
    PRV7095 if the same person has answered for a consent of the run before.
    """
    meant = meaning(text)
    if meant is None:
        raise neither(text)
    _check_second_person(question.run, question.task, workspace.actor)
    said = "yes" if meant else "no"
    question.journal.answer(question.run.record.id, question.task, said, workspace.actor)
    return said


def neither(text: str) -> ProvisionerError:
    """PRV7129: an answer that cannot be understood."""
    return ProvisionerError(
        error(
            "PRV7129",
            f"found {quoted(text)} as the answer, expected yes or no",
            hint="Nothing was answered: the question stays open. Answer it again.",
        )
    )


def _meant(workspace: Workspace, source: Source, words: Sequence[str]) -> tuple[Source, str | None]:
    if len(words) == 2:
        return replace(source, name=words[0].removeprefix(PREFIX)), words[1]
    if not words:
        return only_plan(workspace, source), None
    (word,) = words
    plain = word.removeprefix(PREFIX)
    if source.file is not None or source.journal is not None:
        last = named_journal(workspace, source).last()
        known = [last.name] if last is not None else [plain]
    else:
        known = named_plans(workspace) or [plain]
    if plain in known or word != plain:
        return replace(source, name=plain), None
    return only_plan(workspace, source), word


def _task(run: Run, asking: Sequence[str], name: str) -> str:
    """A task by its id, by the end of that, or by its title, of those that ask."""
    if name in run.tasks:
        return name
    found = [
        task
        for task in asking
        if task.endswith(f"/{name}") or run.runbook.by_id[task].title == name
    ]
    if len(found) == 1:
        return found[0]
    close = found or difflib.get_close_matches(name, asking, n=3, cutoff=0.4) or list(asking)
    raise ProvisionerError(
        error(
            "PRV7094",
            f"{run.record.name} has no task {quoted(name)} that asks"
            if not found
            else f"{quoted(name)} may be any of {len(found)} tasks that ask",
            hint=f"Do you mean {' or '.join(close)}?" if close else "No question is open.",
        )
    )


def _check_second_person(run: Run, task: str, actor: str) -> None:
    if not task.startswith(APPROVE):
        return
    who = person(actor)
    in_force = {entry.task: entry for entry in run.answers if entry.task in run.in_force}
    for entry in in_force.values():
        consents = entry.task.startswith(APPROVE) and entry.task != task
        if consents and person(entry.actor) == who:
            role = entry.task.removeprefix(APPROVE).rpartition("/")[0]
            raise ProvisionerError(
                error(
                    "PRV7095",
                    f"{who} has answered as {role} already",
                    detail="Each consent of a run has to come from another person, in whichever "
                    "role.",
                    hint="Somebody else has to answer, as a user of their own.",
                )
            )
