"""An output that a plan changes is unknown to what needs it, as one that it makes is: one apply is
enough.
"""

from typing import Any

from provisioner.engine.plan import Plan
from tests.lifecycle.scenario import Scenario, outline

LAN = "Network/lan\nmode: isolated\nbridge: br0\n"
SPEAKING = "VirtualMachine/web\nmemory: {size: 256MiB}\ndescription: on ${Network/lan.bridge}\n"
DB = """
VirtualMachine/db
memory: {size: 256MiB}
nics: [{name: lan, network: lan, mac: "52:54:00:00:00:01"}]
"""
FRONT = "VirtualMachine/web\nmemory: {size: 256MiB}\ndescription: of ${VirtualMachine/db.mac.lan}\n"


def descriptions(plan: Plan) -> list[Any]:
    (web,) = (step for step in plan.steps if step.id == "VirtualMachine/web")
    return [change.after for change in web.changes]


def test_a_renamed_bridge(scenario: Scenario) -> None:
    scenario.declare(LAN, SPEAKING)
    scenario.apply()
    scenario.declare(LAN.replace("br0", "br1"), SPEAKING)
    plan = scenario.plan(max_impact="restart")
    assert ["update Network/lan", "update VirtualMachine/web"] == outline(plan)
    assert [{"$template": ["on ", {"$unknown": "Network/lan:bridge"}]}] == descriptions(plan)
    assert "done" == scenario.apply(plan).outcome
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert "on br1" == web.spec["description"]
    assert [] == outline(scenario.plan())


def test_another_card(scenario: Scenario) -> None:
    scenario.declare(LAN, DB, FRONT)
    scenario.apply()
    scenario.declare(LAN, DB.replace("00:01", "00:02"), FRONT)
    plan = scenario.plan(max_impact="restart")
    assert ["update VirtualMachine/db", "update VirtualMachine/web"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert "of 52:54:00:00:00:02" == web.spec["description"]
    assert [] == outline(scenario.plan())


def test_a_change_of_something_else_changes_no_output(scenario: Scenario) -> None:
    scenario.declare(LAN, SPEAKING)
    scenario.apply()
    scenario.declare(LAN + "mtu: 9000\n", SPEAKING)
    assert ["update Network/lan"] == outline(scenario.plan(max_impact="restart"))


def test_an_output_that_is_not_called_like_the_field_behind_it(scenario: Scenario) -> None:
    """``address`` is that of the first card, so it follows the cards."""
    lan = "Network/lan\nmode: isolated\ncidr: 10.0.0.0/24\ndhcp: {}\n"
    one = '- {name: lan, network: lan, mac: "52:54:00:00:00:01", address: 10.0.0.6}\n'
    two = '- {name: wan, network: lan, mac: "52:54:00:00:00:02", address: 10.0.0.7}\n'
    database = "VirtualMachine/db\nmemory: {size: 256MiB}\nnics:\n"
    front = (
        "VirtualMachine/web\nmemory: {size: 256MiB}\n"
        'description: "at ${VirtualMachine/db.address}"\n'
    )
    scenario.declare(lan, database + one + two, front)
    scenario.apply()
    scenario.declare(lan, database + two, front)
    plan = scenario.plan(max_impact="restart")
    assert [
        "update Network/lan",
        "update VirtualMachine/db",
        "update VirtualMachine/web",
    ] == sorted(outline(plan))
    assert "done" == scenario.apply(plan).outcome
    web = scenario.outside.find("VirtualMachine", "web")
    assert web is not None
    assert "at 10.0.0.7" == web.spec["description"]
    assert [] == outline(scenario.plan())
