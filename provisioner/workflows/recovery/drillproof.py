"""What drills have proven: whether the newest one brought a plan's machines up.

Called by the service layer for ``dr check``. Pure: journals tell it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error, warning
from provisioner.workflows.recovery.report import Ended, Recovered, Report, report
from provisioner.workflows.refusals import moment
from provisioner.workflows.runs import Outcome, Run, RunRecord

_TELLS_NOTHING = (Ended.NOT_BEGUN, Ended.GIVEN_UP, Ended.UNDER_WAY)
"""What a drill that was cancelled says of a machine that it did not come to."""
_AGAIN = "Mend what kept it, clear the drill away, and run 'provisioner dr test' again."
_DRILL = "Run 'provisioner dr test': nobody has seen yet that it comes up at the other site."
_WRONG = frozenset({Ended.FAILED, Ended.GIVEN_UP, Ended.PASSED_OVER})
_NAMED = 5
"""Steps that are named in one detail."""


class OtherWay(NamedTuple):
    """No drill led to the site ``there``, where the plan leads; the last one led to ``led``."""

    there: str
    led: str

    @property
    def detail(self) -> str:
        """What that means."""
        return (
            f"The last drill led to {self.led}, when the machines ran at {self.there}: it has not "
            f"seen what {self.there} has of them, nor its networks."
        )


def proof_problems(
    plan: Address,
    machines: Collection[Address],
    drills: Iterable[Run],
    *,
    demanded: bool,
    other_way: OtherWay | None = None,
) -> Iterator[Diagnostic]:
    """What the newest drill does not prove. ``drills``: those of the plan that have ended and led
    the way that it leads, the newest first, of which no more are read than are needed: one that was
    cancelled tells only of what it came to. ``demanded``: the plan says how often there has to be
    one, so that whatever was never in one is an error. ``other_way``: there is none, but others.
    """
    left = set(machines)
    tried = False
    for run in drills:
        tried = True
        found = report(run)
        unfinished = run.record.outcome is Outcome.CANCELLED
        told = set[str]()
        for machine in found.machines:
            address = Address.of(machine.address)
            if address not in left:
                told.add(machine.address)  # a newer one tells of it
            if address not in left or (unfinished and machine.ended in _TELLS_NOTHING):
                continue
            left.remove(address)
            if machine.ended is not Ended.DONE:
                told.add(machine.address)
                yield _not_up(run.record, machine)
        yield from _of_the_whole(
            plan, found, told, _WRONG - {Ended.GIVEN_UP} if unfinished else _WRONG
        )
        if not unfinished:
            break
    if not tried:
        to = f" to {other_way.there}" if other_way is not None else ""
        if not demanded:  # else it is said how often one has to be
            yield warning(
                "PRV7119",
                f"there was no drill of {plan}{to} yet",
                detail=other_way.detail if other_way is not None else "",
                hint="Run 'provisioner dr test': nobody has seen yet that its machines come up at "
                "the other site.",
                address=str(plan),
            )
        return
    say = error if demanded else warning
    for address in sorted(left):
        yield say(
            "PRV7119",
            f"{address} was not in the last drill of {plan}",
            hint=_DRILL,
            address=str(address),
        )


def _not_up(record: RunRecord, machine: Recovered) -> Diagnostic:
    why = {
        Ended.NOT_BEGUN: "the drill ended before its start",
        Ended.UNDER_WAY: "the drill ended while it was started",
        Ended.GIVEN_UP: "it was given up",
    }.get(machine.ended, "")
    return error(
        "PRV7119",
        f"the last drill did not bring {machine.address} up: {machine.why or why}",
        detail=_which(record),
        hint=_AGAIN,
        address=machine.address,
    )


def _of_the_whole(
    plan: Address, found: Report, told: Collection[str], ends: Collection[Ended]
) -> Iterator[Diagnostic]:
    """What ended like one of ``ends`` in a drill, and is not about one of the machines that are
    ``told`` of.
    """
    wrong = [step for step in found.steps if step.task.subject not in told and step.ended in ends]
    if not wrong:
        return
    lines = [f"{step.task.title}: {step.why}" for step in wrong]
    more = [f"and {len(lines) - _NAMED:,} more"] if len(lines) > _NAMED else []
    yield error(
        "PRV7120",
        f"the last drill of {plan} did not succeed",
        detail="\n".join([_which(found.record), *lines[:_NAMED], *more]),
        hint="Mend that, clear the drill away, and run 'provisioner dr test' again.",
        address=str(plan),
    )


def _which(record: RunRecord) -> str:
    return f"It is the run {record.id}, begun at {moment(record.started)}."


def is_proof(run: Run) -> bool:
    """Whether a drill succeeded by itself: nobody has said that something of it counts as done."""
    return run.record.outcome is Outcome.SUCCEEDED and not run.passed_over
