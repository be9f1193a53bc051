"""Parts of a recovery plan that its manifest says by itself: proofs, steps, fencing, approvals.

Called by :mod:`provisioner.workflows.recovery.compiling`. Specs are canonical: durations in
milliseconds, sets as mappings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.manifest.protection import MACHINE, section
from provisioner.workflows.recovery.model import Check, Fencing, Mode, Moment, OwnStep
from provisioner.workflows.runbook import OnFailure

_GATE_SECONDS = 300.0
_STEP_SECONDS = 600.0
_MODES = frozenset({Mode.TEST, Mode.MIGRATE, Mode.FAILOVER})
_KINDS = {
    "serial": "serial",
    "tcp": "tcp",
    "agent": "agent",
    "command": "command",
    "guestCommand": "guest-command",
    "prompt": "prompt",
}
"""What a check is called, by the field that describes it."""


def seconds(milliseconds: Any, default: float) -> float:
    """A duration in seconds."""
    return milliseconds / 1000 if isinstance(milliseconds, int) else default


def optional_seconds(milliseconds: Any) -> float | None:
    """A duration in seconds, None where there is none."""
    return milliseconds / 1000 if isinstance(milliseconds, int) else None


def gates(health: Mapping[str, Any]) -> tuple[Check, ...]:
    """The proofs that a machine is up, all of which have to succeed."""
    return tuple(_checks(health, _GATE_SECONDS, OnFailure.HOLD))


def edges(after: Mapping[str, Any]) -> dict[Address, tuple[Check, ...]]:
    """By machine that another one waits for, what it has to prove to that one."""
    return {
        Address(MACHINE, name): gates(section(own, "health"))
        for name, own in sorted(after.items())
        if "health" in own
    }


def steps(plan: Mapping[str, Any]) -> tuple[OwnStep, ...]:
    """The author's own steps, in order of their names."""
    return tuple(
        OwnStep(
            name=name,
            moment=Moment(step["when"]),
            check=next(_checks(step, _STEP_SECONDS, OnFailure.STOP)),
            modes=frozenset(map(Mode, step["modes"])) if "modes" in step else _MODES,
            tier=step.get("tier"),
            machine=Address(MACHINE, step["machine"]) if "machine" in step else None,
        )
        for name, step in sorted(section(plan, "steps").items())
    )


def fencing(plan: Mapping[str, Any]) -> Fencing | None:
    """How the old site is cut off; None where the plan does not say."""
    found = tuple(
        check
        for proof in plan.get("fencing", ())
        for check in _checks(proof, _STEP_SECONDS, OnFailure.STOP)
    )
    return Fencing(found) if found else None


def approvals(plan: Mapping[str, Any]) -> dict[str, int]:
    """How many people of each role have to consent."""
    found = sorted(section(plan, "approvals").items())
    return {role: int(own.get("count", 1)) for role, own in found}


def _checks(given: Mapping[str, Any], default: float, otherwise: OnFailure) -> Iterator[Check]:
    for name, kind in _KINDS.items():
        if name not in given:
            continue
        arguments = given[name]
        yield Check(
            kind,
            {"text": arguments} if isinstance(arguments, str) else dict(arguments),
            seconds(given.get("timeout"), default),
            OnFailure(given.get("onFailure", otherwise)),
        )
