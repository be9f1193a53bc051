"""A rename may come with an edit, and with what follows from it, in one plan."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

RENAMED = LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan")
PLUGGED = WEB.replace("network: lan", "network: inner")


def test_in_place(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    before = scenario.outside.find("Network", "lan")
    scenario.declare(RENAMED + "mtu: 9000\n", POOL, DISK, PLUGGED)
    plan = scenario.plan(max_impact="restart")
    rename = plan.steps[0]
    assert ("rename", [("mtu",)]) == (rename.action, [change.path for change in rename.changes])
    assert "done" == scenario.apply(plan).outcome
    after = scenario.outside.find("Network", "lan")
    assert before is not None
    assert after is not None
    assert (before.id, 9000) == (after.id, after.spec["mtu"])
    assert [] == outline(scenario.plan())


def test_by_replacing(scenario: Scenario) -> None:
    """What cannot be changed in place is replaced under its new name."""
    scenario.declare(POOL)
    scenario.apply()
    scenario.declare(
        POOL.replace("StoragePool/pool", "StoragePool/store\nmetadata.renamedFrom: pool").replace(
            "/srv/pool", "/srv/store"
        )
    )
    plan = scenario.plan(max_impact="replace")
    assert ["replace StoragePool/store"] == outline(plan)[:1]
    assert "done" == scenario.apply(plan).outcome
    assert ["StoragePool/store"] == scenario.objects()
    assert ["StoragePool/store"] == [str(address) for address in scenario.state().entries]
    assert [] == outline(scenario.plan())
