"""What the endpoint withholds is planned as held, and keeps nothing else back."""

from __future__ import annotations

from typing import Any

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.engine.decide import Decision
from tests.unit.engine.deciding import about
from tests.unit.engine.made import declared, intent, ours, recorded

WHY = "it stands by: it runs at the other site"
WITHHELD = {("power",): WHY, ("start",): WHY}
RUNNING = {"power": "running", "cpu": 2}


def found(**spec: Any) -> Any:
    return ours("Vm/v", {**RUNNING, **spec}, withheld=WITHHELD)


def decided(observed: Any, **more: Any) -> Decision:
    return about(observed, want=declared("Vm/v", RUNNING), entry=recorded("Vm/v", RUNNING), **more)


def paths(decision: Decision) -> list[tuple[str, ...]]:
    return [change.path for change in decision.changes]


def test_a_change_to_what_is_withheld_is_held() -> None:
    decision = decided(found(power="stopped"))
    assert (Action.UPDATE, [("power",)], WHY) == (
        decision.action,
        paths(decision),
        decision.held,
    )


def test_nothing_is_held_where_nothing_differs() -> None:
    assert Decision() == decided(found())


def test_other_changes_are_made_without_it() -> None:
    decision = decided(found(power="stopped", cpu=1))
    assert (Action.UPDATE, [("cpu",)], None, f"without power: {WHY}") == (
        decision.action,
        paths(decision),
        decision.held,
        decision.reason,
    )


def test_a_rename_is_made_without_it() -> None:
    decision = about(
        ours("Vm/old", {"power": "stopped"}, withheld=WITHHELD),
        want=declared("Vm/v", {"power": "running"}, renamed_from="old"),
        entry=recorded("Vm/old", {"power": "running"}),
    )
    assert (Action.RENAME, (), None, f"it was Vm/old; without power: {WHY}") == (
        decision.action,
        decision.changes,
        decision.held,
        decision.reason,
    )


def test_it_is_not_replaced() -> None:
    decision = decided(found(cpu=1), impacts={("cpu",): Impact.REPLACE})
    assert (Action.REPLACE, WHY) == (decision.action, decision.held)


@pytest.mark.parametrize(("power", "held"), [("stopped", WHY), ("running", None)])
def test_its_creation_is_completed_only_without_it(power: str, held: str | None) -> None:
    decision = about(found(power=power), want=declared("Vm/v", RUNNING), left=(intent("Vm/v"),))
    assert (Action.CREATE, held) == (decision.action, decision.held)


def test_it_can_be_deleted() -> None:
    decision = about(found(), entry=recorded("Vm/v", RUNNING))
    assert (Action.DELETE, None) == (decision.action, decision.held)
