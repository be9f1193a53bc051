"""A section whose absence means something (no DHCP service) goes as a whole and comes back as a
whole.
"""

from tests.lifecycle.scenario import Scenario, outline

BARE = """
Network/lan
mode: nat
cidr: 10.0.0.0/24
"""
SERVED = BARE + "dhcp: {start: 10.0.0.10, end: 10.0.0.20, leaseTime: 2h}\n"
SERVED_AS_USUAL = BARE + "dhcp: {}\n"


def test_it_goes_with_all_its_fields(scenario: Scenario) -> None:
    scenario.declare(SERVED)
    scenario.apply()
    scenario.declare(BARE)
    (step,) = scenario.plan(max_impact="restart").steps
    assert [
        (("dhcp", "enabled"), None, False),
        (("dhcp", "end"), "10.0.0.20", None),
        (("dhcp", "leaseTime"), 7_200_000, None),
        (("dhcp", "start"), "10.0.0.10", None),
    ] == [(change.path, change.before, change.after) for change in step.changes]
    scenario.apply(max_impact="restart")
    network = scenario.outside.find("Network", "lan")
    assert network is not None
    assert {"enabled": False} == network.spec["dhcp"]
    assert [] == outline(scenario.plan())


def test_its_mere_presence_brings_it_back(scenario: Scenario) -> None:
    scenario.declare(SERVED)
    scenario.apply()
    scenario.declare(BARE)
    scenario.apply(max_impact="restart")
    scenario.declare(SERVED_AS_USUAL)
    (step,) = scenario.plan(max_impact="restart").steps
    assert [(("dhcp", "enabled"), False, True)] == [
        (change.path, change.before, change.after) for change in step.changes
    ]
    scenario.apply(max_impact="restart")
    assert [] == outline(scenario.plan())


def test_what_its_presence_says_is_kept_up(scenario: Scenario) -> None:
    scenario.declare(SERVED_AS_USUAL)
    scenario.apply()
    scenario.outside.change("Network", "lan", ("dhcp", "enabled"), value=False)
    assert [("dhcp", "enabled")] == [
        field.path for item in scenario.drift().drifted for field in item.differences
    ]
    scenario.apply(max_impact="restart")
    assert () == scenario.drift().drifted
