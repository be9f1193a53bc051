"""What all forms of a report say in the same words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from provisioner.cli.render.runs import OUTCOMES, duration, moment
from provisioner.cli.render.text import count
from provisioner.service.recovery.reporting import Ended, Evidence, Recovered, Report, Step

STATES = {
    Ended.DONE: "done",
    Ended.FAILED: "FAILED",
    Ended.HELD: "held back",
    Ended.NOT_BEGUN: "not begun",
    Ended.UNDER_WAY: "under way",
    Ended.GIVEN_UP: "given up",
    Ended.PASSED_OVER: "PASSED OVER",
}
SIGNS = {
    Ended.DONE: "",
    Ended.FAILED: "\u2717",
    Ended.HELD: "\u2016",
    Ended.NOT_BEGUN: "\u2013",
    Ended.UNDER_WAY: "\u2026",
    Ended.GIVEN_UP: "\u2717",
    Ended.PASSED_OVER: "\u2717",
}
CRITICAL = "\u25c6"
_NAMED = 5
"""Steps that are named in one line."""


class Fact(NamedTuple):
    """Something that is told of a run. ``good`` is None where it is neither good nor bad."""

    name: str
    text: str
    good: bool | None = None


def title(report: Report) -> str:
    """``Failover of shop``."""
    noun = report.called
    return f"{noun[0].upper()}{noun[1:]} of {report.record.name}"


def verdict(report: Report) -> Fact:
    """How it went, in one sentence."""
    record = report.record
    text = "It " + (OUTCOMES[record.outcome] if record.outcome is not None else "has not ended")
    done = len(report.that(Ended.DONE))
    text += f": {done:,} of {count(len(report.steps), 'step')} done"
    if report.seconds is not None:
        text += f" in {duration(report.seconds)}"
    return Fact("Outcome", f"{text}.", good=record.outcome == "succeeded")


def achieved(report: Report) -> Iterator[Fact]:
    """What was achieved against the objectives, and what was left behind."""
    if report.recovers:
        yield _time(report)
    if report.has_points:
        yield _point(report)
    if report.record.mode in ("test", "cleanup"):
        yield _left(report)
    if report.suspended:
        text = f"{count(len(report.suspended), 'machine')} of others made room and still "
        yield Fact("Suspended", text + f"{'does' if len(report.suspended) == 1 else 'do'}")
    if report.left_out:
        yield Fact("Left out", f"{', '.join(report.left_out)}, knowingly", good=False)
    for item in report.given_up:
        yield Fact("Given up", f"{item.machine} {item.told()}", good=False)
    passed_over = report.that(Ended.PASSED_OVER)
    if passed_over:
        people = ", ".join(sorted({step.passed_over for step in passed_over}))
        text = f"{count(len(passed_over), 'check')} by {people}, and did not succeed"
        yield Fact("Passed over", text, good=False)
    if report.unheard:
        known = "the fencing speaks" if report.fenced else "an earlier look and their marks speak"
        text = f"{', '.join(report.unheard)} gave no answer: only {known} for them"
        yield Fact("Silent hosts", text, good=False)


def _time(report: Report) -> Fact:
    up = sum(1 for item in report.machines if item.ended is Ended.DONE)
    text = f"{up:,} of {count(len(report.machines), 'machine')} recovered"
    if report.achieved is not None:
        text += f", the last after {duration(report.achieved)}"
    if report.objective is None:
        return Fact("Recovery time", f"{text}; no objective", None if up else False)
    kept = "within" if report.is_within else "MISSES"
    return Fact(
        "Recovery time",
        f"{text}; {kept} the objective of {duration(report.objective)}",
        report.is_within,
    )


def _point(report: Report) -> Fact:
    known = [item for item in report.machines if item.loss is not None]
    beyond = [item for item in report.machines if item.is_within is False]
    in_step = sum(1 for item in report.machines if item.in_step)
    unknown = sum(1 for item in report.machines if item.loss is None and not item.in_step)
    parts = []
    if known:
        worst = max(known, key=lambda item: item.loss or 0.0)
        lost = "nothing is lost" if worst.loss == 0 else f"at most {duration(worst.loss or 0.0)}"
        parts.append(lost if worst.loss == 0 else f"{lost} of writes ({worst.address})")
    if in_step:
        parts.append(f"{count(in_step, 'machine')} in step with every write")
    if unknown:
        text = f"{count(unknown, 'machine')} of which it is not known"
        late = max((item.ahead or 0.0 for item in report.machines), default=0.0)
        parts.append(text + (f", for clocks differ by at least {duration(late)}" if late else ""))
    if beyond:
        parts.append(f"{count(len(beyond), 'machine')} BEYOND the objective")
    elif any(item.objective is not None for item in known):
        parts.append("the others within the objectives" if unknown else "within the objectives")
    return Fact("Recovery point", "; ".join(parts), False if beyond else not unknown or None)


def _left(report: Report) -> Fact:
    left = report.left
    if left is None:
        text = "the drill was not cleared away yet: 'provisioner dr cleanup' does, and counts"
        return Fact("Left behind", text, good=False)
    if left.things is None:
        return Fact("Left behind", f"could not be counted (run {left.run})", good=False)
    looked = f" of {left.looked:,} looked for" if left.looked is not None else ""
    text = f"{len(left.things):,}{looked} (run {left.run})"
    return Fact("Left behind", text, good=not left.things)


def facts(evidence: Evidence) -> Iterator[Fact]:
    """Who, when, and which plan."""
    report = evidence.report
    record = report.record
    yield Fact("Run", record.id)
    yield Fact("Begun", f"{moment(record.started)} by {record.actor}")
    if record.ended is not None:
        yield Fact("Ended", moment(record.ended))
    if record.undoes is not None:
        yield Fact("Rolls back", record.undoes)
    yield Fact("Sites", f"from {report.here} to {report.there}")
    for carrier in report.carriers:
        yield Fact("Carried out", f"process {carrier.pid} on {carrier.host}, for {carrier.actor}")
        for notice in carrier.notices:
            yield Fact("Knowingly", notice, good=False)
    if report.fenced is not None:
        since = (report.fenced - record.started).total_seconds()
        yield Fact("Fenced", f"{moment(report.fenced)}, {duration(since)} after the beginning")
    if report.repeated:
        yield Fact("Begun again", _again(report.repeated))
    yield Fact("Plan", report.plan_digest or "not known")
    yield Fact("Steps", record.digest)
    yield Fact("Report", evidence.digest)
    yield Fact("Signed by", evidence.key or "NOBODY: it proves nothing")


def _again(steps: Sequence[Step]) -> str:
    """What was begun more than once, a few of them by name."""
    named = [f"{step.task.title} ({step.beginnings} times)" for step in steps[:_NAMED]]
    more = f" and {len(steps) - _NAMED:,} more" if len(steps) > _NAMED else ""
    return f"{count(len(steps), 'step')}, of which the last time is told: {', '.join(named)}{more}"


def became(report: Report, machine: Recovered) -> str:
    """What became of a machine."""
    if machine.ended is not Ended.DONE:
        return STATES[machine.ended]
    return "recovered" if report.recovers else "replicated"


def lost(report: Report, machine: Recovered) -> str:
    """What was lost of a machine."""
    if machine.in_step:
        return "in step"
    if machine.ahead is not None:
        return f"not known: its point is dated {duration(machine.ahead)} too late"
    if machine.loss is None:
        return "not known" if report.has_points and machine.ended is Ended.DONE else ""
    return "nothing" if machine.loss == 0 else duration(machine.loss)


def kept(machine: Recovered) -> str:
    """Its objective, and whether that was kept."""
    if machine.objective is None:
        return ""
    sign = {True: "within", False: "BEYOND", None: "of"}[machine.is_within]
    return f"{sign} {duration(machine.objective)}"


def ranked(machines: Iterable[Recovered]) -> list[Recovered]:
    """What went wrong first, then in the order of the run."""
    return sorted(
        machines, key=lambda item: (item.ended is Ended.DONE, item.is_within is not False)
    )


def spread(machines: Iterable[Recovered]) -> str:
    """How long machines took, of many."""
    times = sorted(item.seconds for item in machines if item.seconds is not None)
    if not times:
        return ""
    middle, most = times[len(times) // 2], times[-1]
    slow = times[-(-95 * len(times) // 100) - 1]
    return (
        f"half within {duration(middle)}, 95 of 100 within {duration(slow)}, all within "
        f"{duration(most)}"
    )


def summed(steps: Iterable[Step]) -> list[tuple[str, str, int, int, float | None, float | None]]:
    """Of many steps: stage, action, how many there are and are done, when the first began and the
    last ended.
    """
    groups: dict[tuple[str, str], list[Step]] = {}
    for step in steps:
        groups.setdefault((step.task.stage, step.task.action), []).append(step)
    found = []
    for (stage, action), group in groups.items():
        states = Counter(step.ended for step in group)
        starts = [step.start for step in group if step.start is not None]
        ends = [step.end for step in group if step.end is not None]
        row = (min(starts, default=None), max(ends, default=None))
        found.append((stage, action, len(group), states[Ended.DONE], *row))
    return found
