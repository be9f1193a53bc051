"""What is decided about changes that come into force with a restart."""

from typing import Any

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.engine.decide import Decision, Policy
from provisioner.engine.plan import RestartPending
from tests.unit.engine.deciding import LIVE, about
from tests.unit.engine.made import declared, ours, recorded


def restart(policy: Policy, running: str | None = None, **observed: Any) -> Decision:
    """The decision about firmware b, which comes into force with a restart only."""
    values = {} if running is None else {("firmware",): running}
    return about(
        ours("Vm/v", {"cpu": 1, **observed}, running=values),
        want=declared("Vm/v", {"cpu": 1, "firmware": "b"}),
        entry=recorded("Vm/v", {"cpu": 1, "firmware": "b"}),
        policy=policy,
    )


def test_a_restart_that_is_not_allowed_is_deferred() -> None:
    decision = restart(LIVE, firmware="a")
    assert (Action.UPDATE, Impact.LIVE, False, (("firmware",),), ()) == (
        decision.action,
        decision.impact,
        decision.restart,
        decision.deferred,
        decision.pending,
    )


def test_a_restart_that_is_allowed_is_carried_out() -> None:
    decision = restart(Policy(Impact.RESTART), firmware="a")
    assert (Impact.RESTART, True, ()) == (decision.impact, decision.restart, decision.deferred)


def test_what_is_configured_and_waits_is_told_and_needs_no_step() -> None:
    note = RestartPending(Address("Vm", "v"), ("firmware",), "a", "b", "firmware changes")
    assert Decision(pending=(note,)) == restart(LIVE, running="a", firmware="b")


def test_what_is_configured_and_waits_is_carried_out_when_that_is_allowed() -> None:
    decision = restart(Policy(Impact.REPLACE), running="a", firmware="b")
    assert (Action.UPDATE, Impact.RESTART, True, ()) == (
        decision.action,
        decision.impact,
        decision.restart,
        decision.pending,
    )


def test_one_change_waits_and_another_does_not() -> None:
    decision = about(
        ours("Vm/v", {"cpu": 1, "firmware": "a"}),
        want=declared("Vm/v", {"cpu": 2, "firmware": "b"}),
        entry=recorded("Vm/v"),
    )
    assert (Impact.LIVE, (("firmware",),), [("cpu",), ("firmware",)]) == (
        decision.impact,
        decision.deferred,
        [change.path for change in decision.changes],
    )
