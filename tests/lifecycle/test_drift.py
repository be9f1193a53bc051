"""Drift is what differs from the record; repairing it is an ordinary apply."""

from provisioner.engine.drift import Condition
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB


def test_drift_is_found_and_repaired(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    assert () == scenario.drift().drifted
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), 128 * 1024**2)
    scenario.outside.remove("Network", "lan")

    found = {str(item.address): item for item in scenario.drift().drifted}
    assert {
        "Network/lan": Condition.MISSING,
        "VirtualMachine/web": Condition.DRIFTED,
    } == {address: item.condition for address, item in found.items()}
    (field,) = found["VirtualMachine/web"].fields
    assert (("memory", "size"), 256 * 1024**2, 128 * 1024**2) == (
        field.path,
        field.recorded,
        field.observed,
    )

    scenario.apply()
    assert () == scenario.drift().drifted


def test_an_edit_that_was_not_applied_is_no_drift(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"))
    assert () == scenario.drift().drifted
    assert ["update VirtualMachine/web"] == outline(scenario.plan())
