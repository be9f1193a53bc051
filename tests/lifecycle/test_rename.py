"""A rename keeps the object."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB


def test_a_rename_keeps_the_object_and_its_dependents(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    before = scenario.outside.find("Network", "lan")
    scenario.declare(
        LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"),
        POOL,
        DISK,
        WEB.replace("network: lan", "network: inner"),
    )
    plan = scenario.plan()
    assert "rename Network/inner" == outline(plan)[0]
    scenario.apply(plan)
    after = scenario.outside.find("Network", "lan")
    assert before is not None
    assert after is not None
    assert after.owner is not None
    assert (before.id, "Network/inner") == (after.id, after.owner.address)
    assert [] == outline(scenario.plan())
    assert ["Network/inner"] == [str(a) for a in scenario.state().entries if a.kind == "Network"]


def test_renamed_from_may_stay_in_the_manifest(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.declare(LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"))
    scenario.apply()
    assert [] == outline(scenario.plan())
