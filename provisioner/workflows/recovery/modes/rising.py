"""How machines come up at a site, for drills and in earnest alike: tier by tier, each after what it
needs has passed its gates, with the author's steps around them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.workflows.recovery.model import Check, Mode, Moment, PlannedMachine
from provisioner.workflows.recovery.modes.order import tiers
from provisioner.workflows.recovery.modes.tasks import (
    FINISH,
    STARTS,
    Draft,
    about,
    check,
    milestone,
    of_machine,
    own_steps,
    run_steps,
)
from provisioner.workflows.runbook import OnFailure


class Rise(NamedTuple):
    """How machines come up in one mode. ``site``: where. ``every``: what comes before each start;
    ``ready``: by machine, what else does. ``action`` starts a machine, and where ``look``,
    the other site is alive, so that it is waited for when it is asked once more whether the machine
    runs there.
    """

    mode: Mode | None
    site: str
    every: Sequence[str]
    ready: Mapping[Address, Sequence[str]]
    action: str
    drill: bool = False
    look: bool = False


def rise(draft: Draft, how: Rise) -> list[str]:
    """Add the starts with all that is around them; returns the ids of what ends the last, so that
    whatever comes behind waits for it.
    """
    ended: list[str] = []
    well: dict[Address, list[str]] = {}
    opened: list[str] = []
    for number, machines in tiers(draft.plan).items():
        stage = f"tier {number}"
        serves = _starts(draft, number)
        opening = draft.add(
            milestone(
                f"tier/{number}",
                f"begin tier {number}",
                [*how.every, *opened],
                after=ended,
                stage=stage,
            )
        )
        before = _steps(draft, how, Moment.BEFORE, [opening], stage, tier=number, serves=serves)
        ended = []
        for machine in machines:
            needed = [task_id for address in machine.needs for task_id in well.get(address, ())]
            if machine.address in draft.without:
                well[machine.address] = needed  # what needs it comes after what it needs
                continue
            ready = before[-1:] or [opening]
            edges = _edges(draft, how, machine, ready, well, stage=stage)
            needs = [*ready, *needed, *edges]
            well[machine.address], all_of_it = _machine(draft, how, machine, needs, stage)
            ended += [*edges, *all_of_it]
        after = _steps(
            draft, how, Moment.AFTER, [opening], stage, tier=number, ended=ended, serves=serves
        )
        opened = [opening, *after[-1:]]
        ended = [*ended, *after]
    all_tiers = opened or how.every
    last = _steps(draft, how, Moment.AFTER, all_tiers, FINISH, ended=ended, serves=_starts(draft))
    return [*opened, *ended, *last]


def _machine(
    draft: Draft,
    how: Rise,
    machine: PlannedMachine,
    needs: Sequence[str],
    stage: str,
) -> tuple[list[str], list[str]]:
    """The tasks of one machine: those that it is well after, and all."""
    ready = [*needs, *how.every, *how.ready.get(machine.address, ())]
    before = _steps(draft, how, Moment.BEFORE, ready, stage, machine=machine.address)
    endpoint = draft.plan.objects[how.site][machine.address].endpoint
    start = draft.add(
        of_machine(
            "start",
            machine,
            f"start {machine.address.name} at {how.site}",
            [*ready, *before[-1:]],
            lane=f"{STARTS}/{endpoint}",
            on_failure=OnFailure.HOLD,
            stage=stage,
            action=how.action,
            site=how.site,
            look=how.look,
        )
    )
    passed = [start, *_gates(draft, how, machine.address, machine.gates, [start], stage=stage)]
    after = _steps(draft, how, Moment.AFTER, passed, stage, machine=machine.address)
    return [*passed, *after], [*before, *passed, *after]


def _edges(
    draft: Draft,
    how: Rise,
    machine: PlannedMachine,
    needs: Sequence[str],
    well: Mapping[Address, Sequence[str]],
    *,
    stage: str,
) -> list[str]:
    """What a machine asks, for itself alone, of those that it needs. They are asked once the
    machine's own tier has begun and they are ``well``; of one that is left out nothing is asked.
    """
    return [
        task_id
        for needed, gates in sorted(machine.edges.items())
        if needed in well and needed not in draft.without
        for task_id in _gates(
            draft,
            how,
            needed,
            gates,
            [*needs, *well[needed]],
            stage=stage,
            dependent=machine.address,
        )
    ]


def _gates(
    draft: Draft,
    how: Rise,
    machine: Address,
    gates: Sequence[Check],
    needs: Sequence[str],
    *,
    stage: str,
    dependent: Address | None = None,
) -> list[str]:
    """The gates of a machine, or those that count for one ``dependent`` alone."""
    task_id, name = about("gate", machine), machine.name
    if dependent is not None:
        task_id, name = f"{task_id}/for/{dependent.name}", f"{name}, for {dependent.name}"
    return [
        draft.add(
            check(
                f"{task_id}/{number}",
                f"{name}: {_GATES.get(gate.kind, _other)(gate)}",
                gate,
                needs,
                machine=machine,
                dependent=dependent,
                site=how.site,
                drill=how.drill,
                repeat=True,
                stage=stage,
            )
        )
        for number, gate in enumerate(gates, 1)
    ]


def _steps(
    draft: Draft,
    how: Rise,
    moment: Moment,
    needs: Sequence[str],
    stage: str,
    *,
    tier: int | None = None,
    machine: Address | None = None,
    ended: Sequence[str] = (),
    serves: Sequence[str] = (),
) -> list[str]:
    if how.mode is None:
        return []
    steps = own_steps(draft.plan, how.mode, moment, tier=tier, machine=machine)
    return run_steps(
        draft,
        steps,
        needs,
        after=ended,
        site=how.site,
        drill=how.drill,
        stage=stage,
        serves=serves,
    )


def _starts(draft: Draft, tier: int = 0) -> list[str]:
    """The starts of a tier and of those behind it, which come after the answer of a person; none
    where nobody is asked.
    """
    if not any(step.check.kind == "prompt" for step in draft.plan.steps):
        return []
    return [
        about("start", machine)
        for number, machines in tiers(draft.plan).items()
        for machine in machines
        if number >= tier and machine.address not in draft.without
    ]


def _other(gate: Check) -> str:
    return f"check {gate.kind}"


_GATES: Mapping[str, Callable[[Check], str]] = {
    "serial": lambda gate: f"wait for {gate.arguments.get('text')!r} on its console",
    "tcp": lambda gate: f"wait for port {gate.arguments.get('port')}",
    "agent": lambda _: "wait for its guest agent",
    "command": lambda _: "check it with a command",
    "guest-command": lambda _: "check it from inside",
    "prompt": lambda _: "ask whether it is well",
}
