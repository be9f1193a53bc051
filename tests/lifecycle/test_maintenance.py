"""On a host in maintenance nothing is done, and the plan says so."""

from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import LAN


def test_steps_on_a_host_in_maintenance_are_held(scenario: Scenario) -> None:
    scenario.write(
        "host.yaml", HOST.replace("provider: memory", "provider: memory, maintenance: true")
    )
    scenario.declare(LAN)
    plan = scenario.plan()
    assert ["(create Network/lan: Host/here is in maintenance)"] == outline(plan)
    report = scenario.apply(plan)
    assert (("Network/lan",), []) == (report.held, scenario.objects())
