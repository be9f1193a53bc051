"""What somebody removed is made again."""

from provisioner.core.address import Address
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL


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


def test_who_chooses_names_is_told_what_was_lost(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK)
    scenario.apply()
    recorded = scenario.state().entries[Address("Disk", "web-root")].external_id
    scenario.outside.remove("Network", "lan")
    scenario.outside.remove("Disk", "web-root")
    steps = {step.id: step for step in scenario.plan().steps}
    assert {"Network/lan": None, "Disk/web-root": recorded} == {
        step_id: step.known.external_id for step_id, step in steps.items()
    }
    scenario.apply()
    assert [] == outline(scenario.plan())


def test_one_that_nothing_declares_any_more_is_forgotten(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    scenario.declare()
    plan = scenario.plan()
    assert (["forget Network/lan"], "it is already gone") == (outline(plan), plan.steps[0].reason)
    scenario.apply(plan)
    assert {} == dict(scenario.state().entries)
