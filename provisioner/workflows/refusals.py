"""Why a journal refuses what is asked of it: who is at the run, since when, and what can be done.

Called by :mod:`provisioner.workflows.journal`, and by the runner. The codes stand in
docs/diagnostics.md, section Runbooks.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from provisioner.core.diagnostics import ProvisionerError, error, quoted
from provisioner.workflows.nouns import ended, noun
from provisioner.workflows.runs import Entry, Outcome, RunRecord, What


class Ways(NamedTuple):
    """How a person goes on with a run and ends it: commands, for messages."""

    resume: str = "resume it"
    cancel: str = "cancel it"
    take_over: str = "take it over"
    status: str = "look at its status"
    clear: str = "clear it away"
    end_unseen: str = "end it, though it cannot be seen"
    clear_unseen: str = "clear it away, though it cannot be seen"
    fail_over: str = "fail over, though it cannot be seen"


_DRILLS = ("test", "cleanup")


def another_run(
    open_run: RunRecord, ways: Ways, *, orphaned: bool, out_of_sight: bool = False
) -> ProvisionerError:
    """PRV7001: a run has not ended, so no other may begin. ``orphaned``: its process has ended;
    ``out_of_sight``: whether that lives cannot be seen from here.
    """
    is_drill = open_run.mode in _DRILLS
    detail = f"Run {open_run.id}. {_carried(open_run)}"
    if orphaned:
        summary = "was interrupted and has not ended"
        hint = f"To go on with it: {ways.resume}. To end it where it is: {ways.cancel}."
        if is_drill:
            hint += f" To clear away what it has made: {ways.clear}."
    elif out_of_sight:
        summary = "may be under way"
        detail += " Whether that lives cannot be seen from here."
        hint = (
            f"Wait until it has ended, or ask it to end: {ways.cancel}. If its process is gone for"
            f" sure, go on with it: {ways.take_over}; or end it where it is: {ways.end_unseen}."
        )
        if is_drill:
            hint += (
                f" Or clear away what it has made: {ways.clear_unseen}; or fail over, which ends"
                f" it: {ways.fail_over}."
            )
    else:
        summary = "is under way"
        hint = (
            f"Wait until it has ended, or end it: {ways.cancel}. If its process is gone, go on"
            f" with it: {ways.resume}."
        )
    return ProvisionerError(
        error(
            "PRV7001",
            f"the {noun(open_run.mode)} of {open_run.name} that {open_run.actor} began at"
            f" {moment(open_run.started)} {summary}",
            detail=detail,
            hint=hint,
        )
    )


def under_way(run: RunRecord, ways: Ways, journal: Path) -> ProvisionerError:
    """PRV7002: another process may carry the run out. ``journal``: the file that says so."""
    return ProvisionerError(
        error(
            "PRV7002",
            f"the run {run.id} may be under way in another process",
            detail=f"{_carried(run)} It cannot be proven from here that this process has ended. If"
            f" the journal was brought from there: it is the file {journal}, and {journal}-journal"
            " beside it if there is one (a write that was cut short).",
            hint="Make sure that it is no longer running, then take the run over with your explicit"
            f" consent: {ways.take_over}; or end it: {ways.cancel}.",
        )
    )


def alive(run: RunRecord, ways: Ways) -> ProvisionerError:
    """PRV7002: another process of this machine carries the run out, and lives."""
    return ProvisionerError(
        error(
            "PRV7002",
            f"the run {run.id} is under way in process {run.carrier.pid} on this machine",
            detail=f"{_carried(run)} It lives, so that nobody's consent takes the run over.",
            hint=f"Follow it: {ways.status}. Ask it to end: {ways.cancel}. If it hangs, kill"
            f" process {run.carrier.pid}, and go on with the run: {ways.resume}.",
        )
    )


def no_such_run(run: str) -> ProvisionerError:
    """PRV7003: the journal has no such run."""
    return ProvisionerError(
        error(
            "PRV7003",
            f"the journal has no run {quoted(run)}",
            hint="The history lists the runs that there are.",
        )
    )


def nothing_to_resume(last: RunRecord | None) -> ProvisionerError:
    """PRV7003: there is no run to go on with."""
    return ProvisionerError(
        error(
            "PRV7003",
            "there is no run to go on with",
            detail="No run was begun yet."
            if last is None
            else f"The last one, {last.id}, has succeeded.",
            hint="Begin a new run.",
        )
    )


def nothing_to_cancel(last: RunRecord | None) -> ProvisionerError:
    """PRV7004: no run is open."""
    detail = "No run was begun yet."
    if last is not None and last.ended is not None:
        detail = f"The last one, {last.id}, ended at {moment(last.ended)} ({ended(last.outcome)})."
    return ProvisionerError(
        error("PRV7004", "there is no run to cancel", detail=detail, hint="Nothing was changed.")
    )


def not_asked(task: str, found: Entry | None) -> ProvisionerError:
    """PRV7005: nobody waits for this answer."""
    if found is None:
        detail = "It was not begun."
    elif found.what is What.ANSWERED:
        detail = (
            f"{found.actor} answered {quoted(found.detail['text'])} at {moment(found.at)}; the"
            " first answer counts."
        )
    else:
        detail = f"What is known of it last: {found.what}, at {moment(found.at)}."
    return ProvisionerError(
        error(
            "PRV7005",
            f"the task {quoted(task)} does not wait for an answer",
            detail=detail,
            hint="The status of the run lists the questions that are open.",
        )
    )


def taken_over(run: RunRecord) -> ProvisionerError:
    """PRV7006: this process does not carry the run out any more."""
    ended = run.outcome is Outcome.CANCELLED
    return ProvisionerError(
        error(
            "PRV7006",
            f"the run {run.id} was {'ended' if ended else 'taken over'} by somebody else",
            detail="It was cancelled." if ended else _carried(run),
            hint="This process begins nothing more. Look at the status of the run.",
        )
    )


def unknown_actions(name: str, unknown: Sequence[str]) -> ProvisionerError:
    """PRV7010: the runbook of the plan called ``name`` was made by another version."""
    return ProvisionerError(
        error(
            "PRV7010",
            f"the runbook of {name} has tasks that this program cannot carry out",
            detail=f"Unknown actions: {', '.join(unknown)}.",
            hint="Use the version of the program that made it, or a newer one. Nothing was begun.",
        )
    )


def moment(time: datetime) -> str:
    """A point in time as messages show it."""
    return f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} (UTC)"


def _carried(run: RunRecord) -> str:
    carrier = run.carrier
    return (
        f"Carried out by {carrier.actor} on {carrier.host} (process {carrier.pid}) since"
        f" {moment(carrier.since)}."
    )
