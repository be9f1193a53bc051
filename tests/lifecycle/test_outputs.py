"""Values that another resource gives: known after apply, then known."""

from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

SPEAKING = WEB + "description: on ${Network/lan.bridge}\n"


def test_an_output_is_unknown_until_its_resource_is_there(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, SPEAKING)
    plan = scenario.plan()
    machine = next(step for step in plan.steps if step.id == "VirtualMachine/web")
    assert {"$template": ["on ", {"$unknown": "Network/lan:bridge"}]} == machine.known.spec[
        "description"
    ]
    assert "done" == scenario.apply(plan).outcome
    found = scenario.outside.find("VirtualMachine", "web")
    bridge = next(e for a, e in scenario.state().entries.items() if a.kind == "Network").outputs[
        "bridge"
    ]
    assert found is not None
    assert f"on {bridge}" == found.spec["description"]
    assert [] == outline(scenario.plan())
