"""What the next apply would do about drift, read off a plan of the present manifests. Pure.

Called by :mod:`provisioner.service.drift`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from provisioner.core.actions import Action, worst
from provisioner.core.address import Address
from provisioner.core.values import Path, get_path, is_marker
from provisioner.engine.drift import (
    Difference,
    Effect,
    NextChange,
    NextStep,
    ResourceDrift,
)
from provisioner.engine.plan import Plan, Step
from provisioner.manifest.model import Stack
from provisioner.providers.api import Change

_SETTING = (Action.UPDATE, Action.RENAME)


class Outlook:
    """A plan, asked about resources as they are recorded."""

    def __init__(
        self,
        plan: Plan,
        stack: Stack,
        covered: Collection[Address],
        moved: Mapping[Address, Address],
    ) -> None:
        """``covered`` are the addresses that the plan is about; ``moved`` those that are declared
        under another address than they are recorded.
        """
        self._plan = plan
        self._stack = stack
        self._covered = covered
        self._moved = moved
        self._held = {step.address for step in plan.held}
        self._steps = {step.address: step for step in _acting((*plan.held, *plan.steps))}
        self._waiting = {(note.address, note.path) for note in plan.pending}
        self._undetermined = {item.address: item.summary for item in plan.undetermined}

    def of(self, drift: ResourceDrift) -> ResourceDrift:
        """The resource with what would be done about it. One that failed, and of which nothing is
        left to be done or to be seen, has failed no longer.
        """
        address = self._moved.get(drift.address, drift.address)
        step = self._steps.get(address)
        unknown = self._undetermined.get(str(address))
        if step is None and drift.serial is not None and address not in self._covered:
            unknown = unknown or "the plan leaves it out"
        if unknown is not None:
            return without_outlook(drift, unknown)
        is_left = step is not None or any(not item.waits for item in drift.open_differences)
        failure = drift.failure if is_left else None
        return replace(
            drift,
            failure=failure,
            next=self._step(step),
            differences=tuple(
                item if item.ignored else replace(item, next=self._change(address, step, item))
                for item in drift.differences
            ),
        )

    def _step(self, step: Step | None) -> NextStep:
        if step is None:
            return NextStep()
        held = step.held if step.address in self._held else None
        refused = held is None and not self._plan.allows(step)
        return NextStep(step.action, step.impact, step.reason, held, refused)

    def _change(self, address: Address, step: Step | None, item: Difference) -> NextChange:
        if (address, item.path) in self._waiting:
            return NextChange(Effect.WAIT)
        changes = (
            [change for change in step.changes if _meets(change.path, item.path)] if step else []
        )
        if step is not None and step.action in _SETTING and changes:
            return _setting(step, item.path, changes)
        if not item.path or (step is not None and step.action not in _SETTING):
            return NextChange(Effect.OBJECT)
        declaration = self._stack.declarations.get(address)
        wanted = get_path(declaration.spec, item.path) if declaration is not None else None
        if wanted is None:
            return NextChange(Effect.LEAVE)
        # A step that leaves a difference as it is was not allowed to make that change.
        is_left = step is not None and wanted not in (item.observed, item.running)
        return NextChange(Effect.HOLD if is_left and not is_marker(wanted) else Effect.ACCEPT)


def without_outlook(drift: ResourceDrift, why: str) -> ResourceDrift:
    """The resource where it cannot be told what would be done about it."""
    return replace(
        drift,
        next=NextStep(unknown=why),
        differences=tuple(
            item if item.ignored else replace(item, next=NextChange(Effect.UNKNOWN))
            for item in drift.differences
        ),
    )


def _acting(steps: Iterable[Step]) -> Iterable[Step]:
    """Without those about predecessors."""
    return (step for step in steps if not step.is_of_predecessor)


def _setting(step: Step, path: Path, changes: list[Change]) -> NextChange:
    exact = [change for change in changes if change.path == path]
    value = exact[0].after if exact else get_path(step.known.spec, path)
    later = any(change.path in step.deferred for change in changes)
    reason = next((change.reason for change in changes if change.reason), "")
    impact = worst([change.impact for change in changes])
    return NextChange(Effect.SET_LATER if later else Effect.SET, value, impact, reason)


def _meets(one: Path, other: Path) -> bool:
    """Whether one path leads to the other, or below it."""
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]
