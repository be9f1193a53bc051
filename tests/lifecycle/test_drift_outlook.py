"""What ``drift`` says the next apply would do is what a plan of the present manifests does."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.engine.drift import Condition, Effect, NextChange, NextStep, ResourceDrift
from provisioner.providers.api import Observation, Present, Resource
from provisioner.service.drift import DriftReport
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.scenario import HOST, STACK, Scenario
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

MIB = 1024**2
MACHINE = Address("VirtualMachine", "web")
NETWORK = Address("Network", "lan")
ROOT = Address("Disk", "web-root")
SIZE = ("memory", "size")


def of(report: DriftReport, address: Address = MACHINE) -> ResourceDrift:
    (found,) = [item for item in report.resources if item.address == address]
    return found


def effects(report: DriftReport, address: Address = MACHINE) -> dict[str, Effect | None]:
    return {
        ".".join(item.path): item.next.effect if item.next is not None else None
        for item in of(report, address).differences
    }


def applied(scenario: Scenario, *resources: str) -> None:
    scenario.declare(*resources)
    scenario.apply()


def test_it_is_set_back(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    found = of(scenario.drift())
    assert NextStep(Action.UPDATE, Impact.LIVE) == found.next
    assert [NextChange(Effect.SET, 256 * MIB, Impact.LIVE)] == [d.next for d in found.differences]


def test_it_is_set_to_what_the_manifest_says_by_now(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    scenario.declare(LAN, POOL, DISK, WEB.replace("256MiB", "192MiB"))
    assert [192 * MIB] == [d.next.value for d in of(scenario.drift()).differences if d.next]


def test_it_is_accepted_where_the_manifest_says_the_same(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    scenario.declare(LAN, POOL, DISK, WEB.replace("256MiB", "128MiB"))
    report = scenario.drift()
    assert (NextStep(), {"memory.size": Effect.ACCEPT}) == (of(report).next, effects(report))
    scenario.apply()
    assert () == scenario.drift().drifted


def test_what_the_manifest_speaks_of_no_more_is_left_at_its_default(scenario: Scenario) -> None:
    applied(scenario, LAN, POOL, DISK, WEB + "autostart: true\n")
    scenario.outside.change(*MACHINE, ("autostart",), value=False)
    scenario.declare(*ALL)
    assert {"autostart": Effect.LEAVE} == effects(scenario.drift())


def test_it_is_written_and_waits_for_a_restart(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, ("cpu", "max"), 8)
    assert {"cpu.max": Effect.SET_LATER} == effects(scenario.drift())


def test_what_waits_already_goes_on_waiting(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    applied(scenario, LAN, POOL, DISK, WEB.replace("max: 4", "max: 8"))
    assert {"cpu.max": Effect.WAIT} == effects(scenario.drift())
    restart = STACK.replace("spec: {}", "spec: {policy: {maxImpact: restart}}")
    scenario.write("stack.yaml", restart)
    assert {"cpu.max": Effect.SET} == effects(scenario.drift())


def test_it_is_made_again(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.remove(*NETWORK)
    found = of(scenario.drift(), NETWORK)
    assert NextStep(Action.CREATE, reason="it was removed outside") == found.next


def test_what_is_declared_no_more_is_deleted_or_forgotten(scenario: Scenario) -> None:
    applied(scenario, LAN, POOL, DISK)
    scenario.outside.change(*NETWORK, ("cidr",), "10.9.0.0/24")
    scenario.outside.change(*ROOT, ("size",), 2**31)
    scenario.declare(POOL)
    report = scenario.drift()
    network, disk = of(report, NETWORK), of(report, ROOT)
    assert network.next is not None
    assert disk.next is not None
    assert (Action.DELETE, Action.FORGET) == (network.next.action, disk.next.action)
    assert {"cidr": Effect.OBJECT} == effects(report, NETWORK)


def test_it_is_held(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    scenario.write("host.yaml", HOST.replace("memory", "memory, maintenance: true"))
    report = scenario.drift()
    found = of(report)
    assert (Condition.HELD, "Host/here is in maintenance") == (
        found.condition,
        found.next.held if found.next else None,
    )
    assert (MACHINE,) == tuple(item.address for item in report.drifted)


def test_it_is_refused(scenario: Scenario) -> None:
    applied(scenario, POOL, DISK)
    scenario.outside.change(*ROOT, ("size",), 2**31)
    report = scenario.drift()
    found = of(report, ROOT)
    assert (True, True) == (
        found.next.refused if found.next else None,
        report.apply.refused if report.apply else None,
    )


def test_it_is_known_by_the_name_that_it_was_applied_with(scenario: Scenario) -> None:
    applied(scenario, LAN)
    scenario.outside.change(*NETWORK, ("cidr",), "10.9.0.0/24")
    scenario.declare(LAN.replace("Network/lan", "Network/net\nmetadata.renamedFrom: lan"))
    report = scenario.drift()
    found = of(report, NETWORK)
    assert Action.RENAME == (found.next.action if found.next else None)
    assert {"cidr": Effect.SET_LATER} == effects(report, NETWORK)


# Where no plan can be made


def test_with_errors_in_the_manifests_drift_is_found_all_the_same(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    scenario.write("bad.yaml", "kind: Netwrk\n")
    report = scenario.drift()
    assert NextStep(unknown="the manifests have errors") == of(report).next
    assert {"memory.size": Effect.UNKNOWN} == effects(report)


def test_manifests_of_another_stack_tell_nothing_of_this_one(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    scenario.write("stack.yaml", STACK.replace("name: test", "name: other"))
    found = of(scenario.drift())
    assert NextStep(unknown="the manifests are those of another stack, other") == found.next


def test_what_stops_the_plan_is_told_and_left_out(scenario: Scenario) -> None:
    applied(scenario, *ALL, "Network/other\nmode: isolated\ncidr: 10.1.0.0/24\n")
    scenario.outside.remove(*NETWORK)
    scenario.outside.add("Network", "lan", {"mode": "isolated"})
    scenario.outside.change("Network", "other", ("cidr",), "10.9.0.0/24")
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    report = scenario.drift()
    assert report.apply is not None
    assert (True, ["PRV2010"]) == (
        report.apply.planned,
        [item.code for item in report.apply.problems],
    )
    other = of(report, Address("Network", "other")).next
    assert Action.UPDATE == (other.action if other else None)
    assert ["PRV2010:", "it needs Network/lan, and PRV2010:"] == [
        next_step.unknown.partition(" the name")[0] if next_step and next_step.unknown else None
        for next_step in (of(report, NETWORK).next, of(report).next)
    ]


def test_what_cannot_be_read_stops_nobody_else(scenario: Scenario) -> None:
    applied(scenario, *ALL)
    scenario.outside.change(*NETWORK, ("cidr",), "10.9.0.0/24")
    rule = {"call": "observe", "address": "Disk/*", "effect": "undetermined", "times": 3}
    scenario.provider.faults("here").add(rule)
    report = scenario.drift()
    disk, network = of(report, ROOT), of(report, NETWORK)
    assert Condition.UNKNOWN == disk.condition
    assert "PRV5906" in str(disk.next.unknown if disk.next else None)
    assert Action.UPDATE == (network.next.action if network.next else None)


def test_a_secret_that_is_missing_is_told(scenario: Scenario) -> None:
    scenario.environ["KEY"] = "v"
    seeded = WEB + "cloudInit: {userData: {secretRef: env://KEY}}\n"
    applied(scenario, LAN, POOL, DISK, seeded)
    scenario.outside.change(*NETWORK, ("cidr",), "10.9.0.0/24")
    scenario.outside.change(*MACHINE, SIZE, 128 * MIB)
    del scenario.environ["KEY"]
    report = scenario.drift()
    assert ["PRV1501"] == [item.code for item in (report.apply.problems if report.apply else ())]
    assert "PRV1501" in str(of(report).next)
    network = of(report, NETWORK).next
    assert Action.UPDATE == (network.action if network else None)


@pytest.mark.parametrize(
    ("memory", "effects_now"),
    [
        ("256MiB", {"power": Effect.SET}),
        ("192MiB", {"power": Effect.HOLD}),
    ],
)
def test_what_is_withheld_is_held_and_left_out_of_other_changes(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, memory: str, effects_now: dict[str, Effect]
) -> None:
    applied(scenario, LAN, POOL, DISK, WEB + "power: running\n")
    scenario.outside.change(*MACHINE, ("power",), "stopped")
    withhold(monkeypatch, {("power",): "it stands by"})
    scenario.declare(LAN, POOL, DISK, WEB.replace("256MiB", memory) + "power: running\n")
    report = scenario.drift()
    assert (Condition.HELD if memory == "256MiB" else Condition.DRIFTED) == of(report).condition
    assert effects_now == effects(report)
    done = scenario.apply()
    assert (memory == "256MiB") == (done.held == (str(MACHINE),))
    found = scenario.outside.find(*MACHINE)
    assert found is not None
    assert "stopped" == found.spec["power"]


def withhold(monkeypatch: pytest.MonkeyPatch, withheld: dict[Path, str]) -> None:
    """Have the endpoint withhold fields of every machine."""
    observe = MemorySession.observe

    def observed(
        session: MemorySession, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        return {
            address: replace(found, withheld=withheld)
            if isinstance(found, Present) and address.kind == "VirtualMachine"
            else found
            for address, found in observe(session, targets).items()
        }

    monkeypatch.setattr(MemorySession, "observe", observed)
