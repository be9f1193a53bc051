"""Whether a reprotection would give up what machines write that still run at the former site, and
whether somebody has consented to that.

Called by ``dr reprotect`` before it asks anything, with what the hosts told when the plan was
opened.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import partial

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.recovery.leftbehind import left_out_now
from provisioner.service.recovery.model import Beside, Mode, Run
from provisioner.service.recovery.opening import Opened, has_turned, last_turn
from provisioner.workflows.recovery import beside


def discarded(
    opened: Opened,
    without: Collection[Address],
    included: Collection[Address],
    allowed: Collection[Address],
) -> tuple[Beside, ...]:
    """The machines that run at both sites, of which a reprotection would keep one and give up what
    the other one has written. ``allowed``: whose loss somebody has consented to.

    Raises ProvisionerError (PRV7126) for those of which nobody has.
    """
    out = left_out_now(opened, Mode.REPROTECT, without, included)
    unseen = sorted(
        item.address
        for item in opened.plan.machines
        if item.address not in out
        and item.address not in allowed
        and opened.plan.there not in opened.seen.get(item.address, {})
    )
    if opened.seen and unseen:
        raise ProvisionerError(
            error(
                "PRV7126",
                f"whether {', '.join(map(str, unseen))} still run at {opened.plan.there} cannot be "
                "seen: their hosts gave no answer",
                detail="A reprotection stops what runs there, and what it wrote would be lost. "
                "Nothing was changed.",
                hint="Repeat it when they answer; or leave those machines out: --without NAME.",
            )
        )
    found = tuple(
        item
        for item in beside.all_beside(opened.plan, opened.seen)
        if item.is_twice and item.machine not in out
    )
    refused = [item for item in found if item.machine not in allowed]
    if refused:
        given = [
            word
            for option, machines in (
                ("--without", without),
                ("--with", included),
                (beside.ALLOW_DATA_LOSS, allowed),
            )
            for machine in machines
            for word in (option, machine.name)
        ]
        again = partial(opened.commands, "reprotect", *given)
        raise ProvisionerError(beside.refusal(opened.plan, refused, since(opened), again))
    return found


def since(opened: Opened) -> str:
    """`` since the failover of ...``: from when on nothing of it was copied; empty where the
    journal does not tell.
    """
    run = turned_by(opened)
    return beside.since_told(run.record.mode, run.record.started) if run is not None else ""


def turned_by(opened: Opened) -> Run | None:
    """The run that led the machines to where they are; None if the journal knows of none."""
    turn = last_turn(opened.journal)
    if turn is None or turn[0] != opened.plan.here or not has_turned(turn[1]):
        return None
    return turn[1]
