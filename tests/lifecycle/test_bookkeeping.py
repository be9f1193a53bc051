"""What the author writes down about things that are as they should be is recorded all the same."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB


def test_a_field_set_to_what_it_is_goes_back_to_its_default_when_removed(
    scenario: Scenario,
) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("autostart",), value=True)
    scenario.declare(LAN, POOL, DISK, WEB + "autostart: true\n")
    assert [] == outline(scenario.plan())
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB)
    (step,) = scenario.plan().steps
    assert [("autostart",)] == [change.path for change in step.changes]
