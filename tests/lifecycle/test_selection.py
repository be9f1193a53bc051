"""--target and --exclude take along what has to come along."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, LAN


def test_a_target_takes_its_dependencies_along(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    assert ["create StoragePool/pool", "create Disk/web-root"] == outline(
        scenario.plan(target=["Disk"])
    )


def test_an_exclusion_takes_its_dependents_along(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    assert ["create StoragePool/pool", "create Disk/web-root"] == outline(
        scenario.plan(exclude=["Network/l*"])
    )


def test_what_an_unselected_resource_needs_is_held(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare()
    plan = scenario.plan(exclude=["VirtualMachine/web"], max_impact="replace")
    assert "(delete Network/lan: VirtualMachine/web, which is not selected, needs it)" in outline(
        plan
    )


def test_a_targeted_apply_leaves_the_rest_for_later(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply(target=["Network"])
    assert ["Network/lan"] == scenario.objects()
    assert 3 == len(scenario.plan().steps)
    scenario.declare(LAN)
    assert [] == outline(scenario.plan())
