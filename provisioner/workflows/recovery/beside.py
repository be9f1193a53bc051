"""Machines that run at the site that a recovery plan has left, beside those that took their place,
and what a reprotection gives up of them.

Called by whoever tells of hosts (:mod:`.readiness`, :mod:`provisioner.service.recovery.places`), by
what asks for consent before a reprotection, and by what shows or reports one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error, warning
from provisioner.core.values import Json
from provisioner.workflows.nouns import noun
from provisioner.workflows.recovery.actions.estate import OFF
from provisioner.workflows.recovery.actions.sighting import Sighting
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes.tasks import BEGIN, FORMER, SINCE
from provisioner.workflows.refusals import moment
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import Run

ALLOW_DATA_LOSS = "--allow-data-loss"
"""The option that consents to what a reprotection gives up."""
NAMED = 5
"""Machines that a hint names at most."""


class Beside(NamedTuple):
    """A machine that is not off on ``host`` at the site ``plan.there``. ``power``: what it is on
    its host at the site ``plan.here``; None: not known.
    """

    machine: Address
    host: str
    other_host: str
    power: str | None

    @property
    def is_twice(self) -> bool:
        """Whether it is seen to be on at both sites."""
        return self.power is not None and self.power not in OFF

    def told(self, plan: RecoveryPlan) -> str:
        """Where it runs, in one line."""
        if self.is_twice:
            return (
                f"{self.machine} runs at both sites: on Host/{self.other_host} at {plan.here}, and "
                f"on Host/{self.host} at {plan.there}, where it has to stay off"
            )
        here = f"is {self.power}" if self.power is not None else "is not seen"
        return (
            f"{self.machine} runs on Host/{self.host} at {plan.there}, where it has to stay off; "
            f"at {plan.here}, where {plan.name} has its machines as far as is known, it {here}"
        )


def runs_beside(
    plan: RecoveryPlan,
    machine: Address,
    there: str | None,
    here: str | None,
    apart: Collection[Address] = (),
) -> Beside | None:
    """A machine that is on at ``plan.there``, where it should not be; None if it is not. ``there``
    and ``here``: its power at both sites, None where that is not known. ``apart``: machines that
    earlier runs have left out, which may run there, if they do not run at ``plan.here``, too.
    """
    if there is None or there in OFF:
        return None
    found = Beside(
        machine,
        plan.objects[plan.there][machine].endpoint,
        plan.objects[plan.here][machine].endpoint,
        here,
    )
    return None if machine in apart and not found.is_twice else found


def all_beside(
    plan: RecoveryPlan,
    seen: Mapping[Address, Mapping[str, Sighting]],
    apart: Collection[Address] = (),
) -> tuple[Beside, ...]:
    """The machines that :func:`runs_beside` finds among what was ``seen``, by machine and site."""
    found = []
    for machine, sightings in sorted(seen.items()):
        there, here = sightings.get(plan.there), sightings.get(plan.here)
        found.append(
            runs_beside(
                plan,
                machine,
                there.power if there is not None else None,
                here.power if here is not None else None,
                apart,
            )
        )
    return tuple(item for item in found if item is not None)


def problem(plan: RecoveryPlan, found: Beside) -> Diagnostic:
    """What is said of a machine that runs where it has to stay off (PRV7125)."""
    name = found.machine.name
    hint = (
        f"Shut it down on Host/{found.host}, with that host's own tools. 'provisioner dr "
        f"reprotect --allow-data-loss {name}' does that, too, and gives up what it has "
        f"written at {plan.there}: look at it first if that may be wanted."
    )
    if not found.is_twice:
        hint = (
            f"Find out which of the two holds the newest data. If it is the one at {plan.here}: "
            f"shut it down at {plan.there} and start it at {plan.here}, with the hosts' own tools. "
            f"If it is the one at {plan.there}, once the others run there, too: "
            f"'provisioner dr reprotect --running-at {plan.there}'."
        )
    return error(
        "PRV7125",
        found.told(plan),
        detail="Each writes to its own disks, and neither has what the other one writes.",
        hint=hint,
        address=str(found.machine),
    )


# What a reprotection gives up


def refusal(
    plan: RecoveryPlan, found: Sequence[Beside], since: str, command: Callable[..., str]
) -> Diagnostic:
    """Why a reprotection does not begin (PRV7126). ``since``: see :func:`since_told`; ``command``:
    the one that was given, with more options.
    """
    options = [word for item in found[:NAMED] for word in (ALLOW_DATA_LOSS, item.machine.name)]
    more = f", and {ALLOW_DATA_LOSS} for the others" if len(found) > NAMED else ""
    one = len(found) == 1
    return error(
        "PRV7126",
        f"{', '.join(str(item.machine) for item in found)} still "
        f"{'runs' if one else 'run'} at {plan.there}, and what {'it' if one else 'they'} wrote "
        f"there{since} would be lost",
        detail="\n".join(item.told(plan) for item in found)
        + f"\nA reprotection stops what runs at {plan.there}, and its disks become copies of "
        f"those at {plan.here}. Nothing was changed.",
        hint="Save what is wanted of it first. Then, or if nothing is: "
        f"'{command(*options)}'{more}.",
        address=str(found[0].machine),
    )


def with_since(runbook: Runbook, turned: Run | None) -> Runbook:
    """A reprotection that notes the run that turned its plan before: from then on nobody copied
    what is written at the former site.
    """
    if turned is None:
        return runbook
    told: dict[str, Json] = {"mode": turned.record.mode, "at": turned.record.started.isoformat()}
    return replace(
        runbook,
        tasks=tuple(
            replace(task, arguments={**task.arguments, SINCE: told}) if task.id == BEGIN else task
            for task in runbook.tasks
        ),
    )


class GivenUp(NamedTuple):
    """A machine that was on at the former site when a reprotection took it over: what it had
    written there is no more. ``seen``: when it was seen to be on. ``mode`` and ``since``: the run
    that had led its plan away, and when that began; empty and None if that is not known.
    """

    machine: Address
    host: str
    site: str
    seen: datetime
    mode: str
    since: datetime | None

    def told(self) -> str:
        """In one line, without the machine."""
        return (
            f"ran on Host/{self.host} at {self.site} still at {moment(self.seen)}; what it wrote "
            f"there{since_told(self.mode, self.since)} is given up"
        )


def since_told(mode: str, since: datetime | None) -> str:
    """`` since the failover of 2026-03-01 02:59:07 UTC``; empty where that is not known."""
    return f" since the {noun(mode)} of {moment(since)}" if since is not None else ""


def given_up(run: Run) -> tuple[GivenUp, ...]:
    """What a reprotection has stopped at the former site. Empty for runs of other modes."""
    if run.record.mode != Mode.REPROTECT:
        return ()
    return tuple(_given_up(run))


def _given_up(run: Run) -> Iterator[GivenUp]:
    begin = run.runbook.by_id.get(BEGIN)
    turned = begin.arguments.get(SINCE) if begin is not None else None
    mode, since = "", None
    if isinstance(turned, Mapping):
        mode, since = str(turned["mode"]), datetime.fromisoformat(str(turned["at"]))
    looked = run.tasks[FORMER].result.get("on", {}) if FORMER in run.tasks else {}
    before = looked if isinstance(looked, Mapping) else {}
    for task in run.runbook.tasks:
        state = run.tasks[task.id]
        if task.action != "yield" or not state.is_done:
            continue
        # One that was gone on with finds off what it has stopped before.
        seen = before.get(task.subject) or state.result.get("on")
        if isinstance(seen, Mapping):
            yield GivenUp(
                Address.of(task.subject),
                str(seen["host"]),
                str(task.arguments["site"]),
                datetime.fromisoformat(str(seen["at"])),
                mode,
                since,
            )


def warning_of(run: Run) -> list[Diagnostic]:
    """What somebody has to hear of that (PRV7127)."""
    found = given_up(run)
    if not found:
        return []
    names = ", ".join(str(item.machine) for item in found)
    one = len(found) == 1
    return [
        warning(
            "PRV7127",
            f"{names} still ran at {found[0].site}, and {'was' if one else 'were'} stopped: what "
            f"{'it' if one else 'they'} wrote there"
            f"{since_told(found[0].mode, found[0].since)} is given up",
            detail="\n".join(f"{item.machine} {item.told()}." for item in found),
            hint="'provisioner dr report' keeps that as evidence.",
            address=str(found[0].machine),
        )
    ]
