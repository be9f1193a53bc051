"""A host that cannot be opened or read keeps nobody from seeing what is on the others."""

import pytest

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.service.drift import DriftReport, ResourceDrift
from tests.conformance.stores import ManualClock
from tests.lifecycle.scenario import HOST, STACK, Scenario
from tests.lifecycle.stacks import LAN, POOL

NEAR, FAR = Address("Network", "lan"), Address("Network", "far")
THERE = "Network/far\nhost: there\nmode: isolated\ncidr: 10.1.0.0/24\n"
NEW = "Network/new\nhost: there\nmode: isolated\ncidr: 10.2.0.0/24\n"


@pytest.fixture
def estate(scenario: Scenario) -> Scenario:
    """Resources on two hosts; one of them changed on the first."""
    scenario.clock = ManualClock()
    scenario.write("stack.yaml", STACK.replace("spec: {}", "spec: {defaults: {host: here}}"))
    scenario.write("there.yaml", HOST.replace("name: here", "name: there"))
    scenario.declare(LAN, POOL, THERE)
    scenario.apply()
    scenario.outside.change(*NEAR, ("cidr",), "10.9.0.0/24")
    return scenario


def fail(scenario: Scenario, call: str = "open", effect: str = "retryable", times: int = 0) -> None:
    rule = {"call": call, "effect": effect, "times": times, "seconds": 0}
    scenario.provider.faults("there").add(rule)


def of(report: DriftReport, address: Address) -> ResourceDrift:
    (found,) = [item for item in report.resources if item.address == address]
    return found


@pytest.mark.parametrize("call", ["open", "observe"])
@pytest.mark.parametrize("effect", ["retryable", "terminal", "defect"])
def test_what_is_on_it_is_unknown(estate: Scenario, call: str, effect: str) -> None:
    fail(estate, call, effect)
    report = estate.drift()
    assert {
        "Network/far": "unknown",
        "Network/lan": "drifted",
        "StoragePool/pool": "converged",
    } == {str(item.address): item.condition.value for item in report.resources}
    problem = of(report, FAR).problem
    assert "Host/there" == (problem.address if problem else None)


def test_the_next_apply_is_told_without_it(estate: Scenario) -> None:
    estate.declare(LAN, POOL, THERE, NEW)
    fail(estate)
    report = estate.drift()
    near, far = of(report, NEAR).next, of(report, FAR).next
    assert Action.UPDATE == (near.action if near else None)
    assert "PRV5903" in str(far.unknown if far else None)
    assert report.apply is not None
    assert (True, ["Host/there"]) == (report.apply.planned, report.apply.stops_at)


def test_it_is_not_asked_again_for_that(estate: Scenario) -> None:
    fail(estate, "observe", "terminal")
    before = estate.provider.calls("there")["observe"]
    estate.drift()
    assert 1 == estate.provider.calls("there")["observe"] - before


def test_one_on_which_nothing_is_yet_is_left_out_too(estate: Scenario) -> None:
    estate.forget("Network/far")
    fail(estate)
    report = estate.drift()
    near = of(report, NEAR).next
    assert Action.UPDATE == (near.action if near else None)
    assert ["Host/there"] == (report.apply.stops_at if report.apply else None)


def test_since_when_is_not_forgotten(estate: Scenario) -> None:
    first = estate.drift().at
    assert isinstance(estate.clock, ManualClock)
    estate.clock.move(3600)
    estate.provider.faults("here").add({"call": "open", "effect": "terminal", "times": 1})
    assert "unknown" == of(estate.drift(), NEAR).condition.value
    estate.clock.move(3600)
    assert [first] == [item.first_seen for item in of(estate.drift(), NEAR).differences]
