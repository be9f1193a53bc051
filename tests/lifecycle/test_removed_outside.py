"""What somebody removed is made again."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import LAN


def test_a_removed_object_is_created_again(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    plan = scenario.plan()
    assert (["create Network/lan"], "it was removed outside") == (
        outline(plan),
        plan.steps[0].reason,
    )
    scenario.apply(plan)
    assert ["Network/lan"] == scenario.objects()


def test_one_that_nothing_declares_any_more_is_forgotten(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    scenario.declare()
    plan = scenario.plan()
    assert (["forget Network/lan"], "it is already gone") == (outline(plan), plan.steps[0].reason)
    scenario.apply(plan)
    assert {} == dict(scenario.state().entries)
