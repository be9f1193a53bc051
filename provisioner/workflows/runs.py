"""What a journal tells of the runs of runbooks, as values.

Read by :mod:`provisioner.workflows.journal` from its file, and handed to whoever shows, reports or
predicts runs. All that is said of a run follows from the entries of its log, in their order.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic, Severity
from provisioner.core.values import Json
from provisioner.workflows.runbook import Runbook

PASSED_OVER = "passedOver"
"""In the result of a task that did not succeed, and counts as done because a person has said so."""


class Outcome(StrEnum):
    """How a run ended. One that was killed has no outcome until somebody goes on with it or cancels
    it.
    """

    SUCCEEDED = "succeeded"
    """Every task is done."""
    IN_PART = "in-part"
    """It went on to its end, but something failed."""
    STOPPED = "stopped"
    """Something failed after which nothing more was to be begun."""
    CANCELLED = "cancelled"
    """Somebody ended it."""


class What(StrEnum):
    """What an entry of the log says."""

    BEGUN = "begun"
    """Written before the first look at the world: from here on, anything may have happened."""
    RETRYING = "retrying"
    WAITING = "waiting"
    """For an answer to its question; said once after each beginning."""
    DONE = "done"
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The run was cancelled while the task only waited for something; what it had begun stays."""
    HELD = "held"
    """Something that it needs failed, or is held itself."""
    SKIPPED = "skipped"
    """The run ended before it was begun."""

    ANSWERED = "answered"
    """Somebody answered the question of a task."""
    CANCEL = "cancel"
    """Somebody asked the run to end."""
    CARRIED = "carried"
    """A process carries the run out from here on."""
    ENDED = "ended"


class Entry(NamedTuple):
    """One entry of a log. ``sequence`` counts over all runs of a journal. ``task`` is empty where
    the entry is about the run as a whole. ``actor``: who said or did it, where that is a person.

    ``detail`` depends on ``what``: ``result``, ``observed`` (it was done already) and ``again`` (it
    had been begun before) of what is done; ``diagnostic`` of what failed, and ``abandoned`` if it
    was not waited for any longer; ``diagnostic``,
    ``attempt`` and ``after`` seconds of a retry; ``cause`` of what is held, the id of the task that
    failed; ``text`` of an answer; ``outcome`` of the end.
    """

    sequence: int
    run: str
    what: What
    task: str
    at: datetime
    actor: str
    seconds: float | None
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Carrier:
    """The process that carries a run out, or did until it ended: ``actor`` on ``host``.
    ``notices``: what was to be known or consented to for it, in sentences: a stored plan older than
    allowed, a direction that the hosts told.
    """

    actor: str
    host: str
    pid: int
    since: datetime
    sequence: int = 0
    """Of the entry that says so."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecord:
    """A run without its tasks. ``undoes`` is the id of the run that it rolls back."""

    id: str
    name: str
    mode: str
    digest: str
    actor: str
    started: datetime
    ended: datetime | None
    outcome: Outcome | None
    undoes: str | None
    carrier: Carrier

    @property
    def is_open(self) -> bool:
        """Whether it has not ended: it is under way, or was killed."""
        return self.ended is None


@dataclass(frozen=True, slots=True)
class TaskState:
    """Where a task of a run is. ``what`` is None before it is begun.

    ``seconds`` is how long it took, from its last beginning to its end; ``attempts`` how often its
    action was tried since then, ``begun`` when that was; ``beginnings`` how often it was begun in
    all, by whoever went on with the run. ``held_by`` is the task that failed. ``asks``: it has a
    question that nobody has answered yet. ``abandoned``: its deadline passed and it was not waited
    for any longer, so that it may have ended in any way since. ``passed_over``: who has said that
    it counts as done though it did not succeed; ``diagnostic`` then says why it had not. ``former``
    are the earlier times that it was done, in order: whoever goes on with a run has some things
    done anew.
    """

    task: str
    what: What | None = None
    begun: datetime | None = None
    ended: datetime | None = None
    seconds: float | None = None
    attempts: int = 0
    observed: bool = False
    result: Mapping[str, Json] = field(default_factory=dict)
    diagnostic: Diagnostic | None = None
    held_by: str | None = None
    asks: bool = False
    sequence: int = 0
    """Of the entry that says so."""
    beginnings: int = 0
    abandoned: bool = False
    passed_over: str = ""
    former: tuple[TaskState, ...] = ()

    @property
    def times_done(self) -> tuple[TaskState, ...]:
        """Each time that it was done, in order."""
        return (*self.former, self) if self.is_done else self.former

    @property
    def is_done(self) -> bool:
        """Whether its work is done, or counts as done."""
        return self.what is What.DONE

    @property
    def is_under_way(self) -> bool:
        """Whether it was begun and nothing more is known: it runs, or its process was killed."""
        return self.what in (What.BEGUN, What.RETRYING, What.WAITING)


@dataclass(frozen=True, slots=True)
class Run:
    """A run with the state of each of its tasks, in the order of its runbook."""

    record: RunRecord
    runbook: Runbook
    tasks: Mapping[str, TaskState]
    carriers: tuple[Carrier, ...] = ()
    """All processes that carried it out, in order."""
    answers: tuple[Entry, ...] = ()
    """All that were given."""
    in_force: Mapping[str, str] = field(default_factory=dict)
    """By task, the answer that it gets; none where the task has failed with it, nor where its
    result does not last and somebody goes on with the run since.
    """
    cancellations: tuple[Entry, ...] = ()
    given_up: bool = False
    """Whether somebody has cancelled it after it had ended, and nobody has gone on since."""

    @classmethod
    def of(cls, record: RunRecord, runbook: Runbook, entries: Sequence[Entry]) -> Run:
        """The run that its entries, in their order, tell of."""
        return cls(
            record,
            runbook,
            states((task.id for task in runbook.tasks), entries),
            carriers=tuple(carrier_of(item) for item in entries if item.what is What.CARRIED),
            answers=tuple(item for item in entries if item.what is What.ANSWERED),
            in_force=_in_force(entries, {task.id for task in runbook.tasks if not task.lasting}),
            cancellations=tuple(item for item in entries if item.what is What.CANCEL),
            given_up=record.ended is not None and is_given_up(entries),
        )

    def tasks_that(self, *whats: What | None) -> tuple[TaskState, ...]:
        """The tasks of which the log says one of these last."""
        return tuple(state for state in self.tasks.values() if state.what in whats)

    @property
    def failed(self) -> tuple[TaskState, ...]:
        """What failed."""
        return self.tasks_that(What.FAILED)

    @property
    def passed_over(self) -> tuple[TaskState, ...]:
        """What counts as done because a person has said so."""
        return tuple(state for state in self.tasks.values() if state.passed_over)

    @property
    def held(self) -> tuple[TaskState, ...]:
        """What was held back."""
        return self.tasks_that(What.HELD)

    @property
    def seconds(self) -> float | None:
        """From the beginning of the run to its end; None while it has none."""
        if self.record.ended is None:
            return None
        return (self.record.ended - self.record.started).total_seconds()


_OF_TASKS = frozenset(
    {
        What.BEGUN,
        What.RETRYING,
        What.WAITING,
        What.DONE,
        What.FAILED,
        What.INTERRUPTED,
        What.HELD,
        What.SKIPPED,
    }
)
_NEVER_BEGUN = frozenset({What.HELD, What.SKIPPED})


def states(task_ids: Iterable[str], entries: Iterable[Entry]) -> dict[str, TaskState]:
    """What the entries of one run, in their order, say of its tasks. When somebody goes on with it,
    what was held or skipped is as if it had never come to its turn.
    """
    found = {task_id: TaskState(task_id) for task_id in task_ids}
    for entry in entries:
        if entry.what in _OF_TASKS:
            found[entry.task] = _after(found[entry.task], entry)
        elif entry.what is What.ANSWERED:
            found[entry.task] = replace(found[entry.task], asks=False)
        elif entry.what is What.CARRIED:
            for task_id, state in found.items():
                if state.what in _NEVER_BEGUN:
                    found[task_id] = TaskState(
                        task_id, beginnings=state.beginnings, former=state.former
                    )
    return found


def _after(before: TaskState, entry: Entry) -> TaskState:
    detail = entry.detail
    if entry.what is What.BEGUN:
        return TaskState(
            entry.task,
            What.BEGUN,
            begun=entry.at,
            attempts=1,
            sequence=entry.sequence,
            beginnings=before.beginnings + 1,
            former=(*before.former, replace(before, former=()))
            if before.is_done
            else before.former,
        )
    under_way = entry.what in (What.RETRYING, What.WAITING)
    never_begun = entry.what in _NEVER_BEGUN
    passed_over = bool(detail.get("result", {}).get(PASSED_OVER))
    diagnostic = before.diagnostic if passed_over else None
    return TaskState(
        entry.task,
        entry.what,
        begun=None if never_begun else before.begun,
        ended=None if under_way or never_begun else entry.at,
        seconds=entry.seconds,
        attempts=0 if never_begun else int(detail.get("attempt", before.attempts)),
        observed=bool(detail.get("observed")),
        result=detail.get("result", {}),
        diagnostic=diagnostic_of(detail["diagnostic"]) if "diagnostic" in detail else diagnostic,
        held_by=detail.get("cause"),
        asks=under_way and (before.asks or entry.what is What.WAITING),
        sequence=entry.sequence,
        beginnings=before.beginnings,
        abandoned=bool(detail.get("abandoned")),
        passed_over=entry.actor if passed_over else "",
        former=before.former,
    )


def _in_force(entries: Iterable[Entry], passing: Collection[str]) -> dict[str, str]:
    found = {}
    for entry in entries:
        if entry.what is What.ANSWERED:
            found[entry.task] = entry.detail["text"]
        elif entry.what is What.FAILED:
            found.pop(entry.task, None)
        elif entry.what is What.CARRIED:
            for task in passing:
                found.pop(task, None)
    return found


def is_given_up(entries: Iterable[Entry]) -> bool:
    """Whether a run that has ended was cancelled after that, by its entries in their order."""
    last = None
    for entry in entries:
        if entry.what in (What.CARRIED, What.CANCEL, What.ENDED):
            last = entry.what
    return last is What.CANCEL


def person(actor: str) -> str:
    """Who it is, whichever process of theirs acts: ``ann@desk`` of ``ann@desk (process 7)``."""
    return actor.partition(" (")[0]


def carrier_of(entry: Entry) -> Carrier:
    """Who carries a run out from an entry :attr:`What.CARRIED` on."""
    detail = entry.detail
    return Carrier(
        entry.actor,
        detail["host"],
        detail["pid"],
        entry.at,
        entry.sequence,
        tuple(detail.get("notices", ())),
    )


def diagnostic_of(data: Mapping[str, Any]) -> Diagnostic:
    """The diagnostic that ``as_json`` wrote, without its places in files: those are of the machine
    where it arose.
    """
    return Diagnostic(
        Severity(data["severity"]),
        data["code"],
        data["summary"],
        detail=data.get("detail", ""),
        hint=data.get("hint", ""),
        address=data.get("address"),
    )
