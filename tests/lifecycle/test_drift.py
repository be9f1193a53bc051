"""Drift is what differs from the record; repairing it is an ordinary apply."""

from typing import Any

import pytest

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.engine.drift import Cause, Condition, Effect, Found, NextStep, ResourceDrift
from provisioner.service.drift import DriftReport
from provisioner.state.store import LEASE
from tests.lifecycle.scenario import Scenario, outline
from tests.lifecycle.stacks import ALL, DISK, LAN, POOL, WEB

MIB = 1024**2
MACHINE = Address("VirtualMachine", "web")
EDITED = WEB.replace("max: 4", "max: 8")


def conditions(report: DriftReport) -> dict[str, str]:
    """Of all that is not converged."""
    return {
        str(item.address): item.condition.value
        for item in report.resources
        if item.condition is not Condition.CONVERGED
    }


def of(report: DriftReport, address: Address = MACHINE) -> ResourceDrift:
    (found,) = [item for item in report.resources if item.address == address]
    return found


def fault(scenario: Scenario, call: str, address: str, effect: str = "terminal") -> None:
    """Have a step fail once: a lost answer is asked for again, eight times in all."""
    times = 8 if effect == "lost-answer" else 1
    rule = {"call": call, "address": address, "effect": effect, "times": times, "seconds": 0}
    scenario.provider.faults("here").add(rule)


def die(scenario: Scenario, address: Address, changed: dict[str, Any]) -> None:
    """Leave what a run leaves that dies right after an update was carried out."""
    with scenario.workspace().store("test") as store:
        entry = store.read().entries[address]
        detail = {
            "spec": {**entry.spec, **changed},
            "uid": str(entry.uid),
            "name": entry.name,
            "generation": entry.generation,
            "endpoint": entry.endpoint,
        }
        store.intend(store.begin("apply", "x", None), str(address), "update", address, detail)
    for section, fields in changed.items():
        for name, value in fields.items():
            scenario.outside.change(*address, (section, name), value)


def test_drift_is_found_and_repaired(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    assert () == scenario.drift().drifted
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), 128 * MIB)
    scenario.outside.remove("Network", "lan")

    report = scenario.drift()
    assert {"Network/lan": "drifted", "VirtualMachine/web": "drifted"} == conditions(report)
    (field,) = of(report).differences
    assert (("memory", "size"), 256 * MIB, 128 * MIB, Cause.OUTSIDE) == (
        field.path,
        field.recorded,
        field.observed,
        field.cause,
    )
    assert Found.ABSENT == of(report, Address("Network", "lan")).found

    scenario.apply()
    assert () == scenario.drift().drifted


def test_an_edit_that_was_not_applied_is_no_drift(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"))
    assert {} == conditions(scenario.drift())
    assert ["update VirtualMachine/web"] == outline(scenario.plan())


def test_what_carries_no_stamp_is_foreign(scenario: Scenario) -> None:
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    scenario.outside.add("Network", "lan", {"mode": "isolated"})
    (found,) = scenario.drift().drifted
    assert (Condition.DRIFTED, Found.FOREIGN) == (found.condition, found.found)
    assert [((), Cause.OUTSIDE)] == [(item.path, item.cause) for item in found.differences]


def test_what_is_only_observed_needs_no_stamp(scenario: Scenario) -> None:
    scenario.outside.add("Network", "lan", {"mode": "isolated", "cidr": "10.0.0.0/24"})
    scenario.declare(LAN + "metadata.manage: [observe]\n")
    scenario.apply()
    assert {} == conditions(scenario.drift())
    scenario.outside.change("Network", "lan", ("cidr",), "10.9.0.0/24")
    (found,) = scenario.drift().drifted
    assert (Condition.HELD, "it is only observed (metadata.manage)") == (
        found.condition,
        found.next.held if found.next else None,
    )


def test_what_an_apply_left_for_a_restart_is_no_drift(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()
    report = scenario.drift()
    assert ({"VirtualMachine/web": "restart pending"}, ()) == (conditions(report), report.drifted)
    assert [Cause.RESTART_PENDING] == [item.cause for item in of(report).differences]


def test_what_somebody_changed_beside_it_is(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL, DISK, WEB)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("memory", "size"), 128 * MIB)
    found = of(scenario.drift())
    assert Condition.DRIFTED == found.condition
    assert {("cpu", "max"): Cause.RESTART_PENDING, ("memory", "size"): Cause.OUTSIDE} == {
        item.path: item.cause for item in found.differences
    }


def test_what_cannot_be_determined_is_unknown(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    fault(scenario, "observe", "Disk/*", "undetermined")
    (found,) = scenario.drift().drifted
    assert (Condition.UNKNOWN, "PRV5906") == (
        found.condition,
        found.problem.code if found.problem else None,
    )


def test_a_target_takes_along_what_it_depends_on(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    compared = [str(item.address) for item in scenario.drift(target=["Disk/*"]).resources]
    assert ["Disk/web-root", "StoragePool/pool"] == compared


# Steps that failed


def test_a_step_that_failed_is_named_until_it_succeeds(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    fault(scenario, "update", "VirtualMachine/web")
    scenario.apply()
    found = of(scenario.drift())
    assert (Condition.FAILED, ()) == (found.condition, found.differences)
    assert found.failure is not None
    assert found.failure.failure is not None
    assert "refuses the call to update" in found.failure.failure.detail["summary"]
    scenario.apply()
    assert ({"VirtualMachine/web": "restart pending"}) == conditions(scenario.drift())


def test_a_step_that_is_wanted_no_more_has_failed_no_longer(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    fault(scenario, "update", "VirtualMachine/web")
    scenario.apply()
    scenario.declare(*ALL)
    assert {} == conditions(scenario.drift())


def test_a_creation_that_failed_is_named(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    fault(scenario, "create", "Disk/*")
    scenario.apply()
    report = scenario.drift()
    assert {"Disk/web-root": "failed"} == conditions(report)
    found = of(report, Address("Disk", "web-root"))
    assert (Found.ABSENT, None) == (found.found, found.serial)
    scenario.declare(LAN, POOL)
    scenario.apply(max_impact="replace")
    assert {} == conditions(scenario.drift())


def test_a_creation_that_failed_stays_so_until_what_may_be_there_is_cleared(
    scenario: Scenario,
) -> None:
    scenario.declare(POOL, LAN)
    fault(scenario, "create", "Network/lan")
    scenario.apply()
    scenario.declare(POOL)
    found = of(scenario.drift(), Address("Network", "lan"))
    assert Condition.FAILED == found.condition
    reason = "an earlier run failed to make it, and a part of it may be there"
    assert NextStep(Action.DELETE, reason=reason) == found.next
    scenario.apply()
    assert {} == conditions(scenario.drift())


def test_a_creation_that_was_not_even_begun_is_named(scenario: Scenario) -> None:
    """No object can be there, so the journal alone tells of it."""
    scenario.declare(POOL)
    scenario.apply()
    scenario.declare(POOL, LAN)
    with scenario.workspace().store("test") as store:
        operation = store.begin("apply", "tester", None)
        lan = Address("Network", "lan")
        intent = store.intend(operation, "Network/lan", "create", lan, {"spec": {}})
        store.settle(intent, failure={"summary": "no connection"})
    assert {"Network/lan": "failed"} == conditions(scenario.drift())
    assert {} == conditions(scenario.drift(target=["StoragePool/*"]))
    scenario.declare(POOL)
    assert {} == conditions(scenario.drift())


def test_an_update_whose_answer_was_lost_was_made_by_the_last_apply(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("size: 256MiB", "size: 128MiB"))
    fault(scenario, "update", "VirtualMachine/web", "lost-answer")
    scenario.apply()
    scenario.outside.change("VirtualMachine", "web", ("cpu", "count"), 3)
    found = of(scenario.drift())
    assert Condition.FAILED == found.condition
    assert {("memory", "size"): Cause.LAST_APPLY, ("cpu", "count"): Cause.OUTSIDE} == {
        item.path: item.cause for item in found.differences
    }


@pytest.mark.parametrize("effect", ["lost-answer", "kill-after"])
def test_what_an_attempt_before_the_last_made_was_made_by_an_apply(
    scenario: Scenario, effect: str
) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("size: 256MiB", "size: 128MiB"))
    if effect == "kill-after":
        die(scenario, MACHINE, {"memory": {"size": 128 * MIB}})
    else:
        fault(scenario, "update", "VirtualMachine/web", effect)
        scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("size: 256MiB", "size: 192MiB"))
    fault(scenario, "update", "VirtualMachine/web")
    scenario.apply()
    found = of(scenario.drift())
    assert (Condition.FAILED, [Cause.LAST_APPLY]) == (
        found.condition,
        [item.cause for item in found.differences],
    )


def test_what_an_interrupted_step_made_is_a_failure_also_if_it_is_wanted(
    scenario: Scenario,
) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, WEB.replace("size: 256MiB", "size: 128MiB"))
    die(scenario, MACHINE, {"memory": {"size": 128 * MIB}})
    found = of(scenario.drift())
    assert (Condition.FAILED, [Cause.LAST_APPLY], None) == (
        found.condition,
        [item.cause for item in found.differences],
        found.next.action if found.next else None,
    )
    scenario.apply()
    assert {} == conditions(scenario.drift())


def test_a_deletion_whose_answer_was_lost_was_made_by_the_last_apply(scenario: Scenario) -> None:
    scenario.declare(LAN, POOL)
    scenario.apply()
    scenario.declare(POOL)
    fault(scenario, "delete", "Network/lan", "lost-answer")
    scenario.apply(max_impact="restart")
    (found,) = scenario.drift().drifted
    assert (Condition.FAILED, Found.ABSENT, Cause.LAST_APPLY) == (
        found.condition,
        found.found,
        found.whole.cause if found.whole else None,
    )


def test_a_creation_whose_answer_was_lost_is_there_without_a_record(scenario: Scenario) -> None:
    scenario.declare(LAN)
    fault(scenario, "create", "Network/lan", "lost-answer")
    scenario.apply()
    (found,) = scenario.drift().drifted
    assert (Condition.FAILED, Found.PRESENT, None, Cause.LAST_APPLY) == (
        found.condition,
        found.found,
        found.serial,
        found.whole.cause if found.whole else None,
    )


def test_a_predecessor_that_is_kept_has_not_failed(scenario: Scenario) -> None:
    """An image under a linked clone: its deletion is tried, refused and expected."""
    image = "Image/base\npool: pool\nsource: {file: base.raw}\nformat: raw\n"
    clone = "Disk/clone\npool: pool\nimage: base\nclone: linked\n"
    for name in ("base.raw", "next.raw"):
        (scenario.root / name).write_bytes(name.encode())
    scenario.declare(POOL, image, clone)
    scenario.apply()
    scenario.declare(POOL, image.replace("base.raw", "next.raw"), clone)
    report = scenario.apply(max_impact="replace")
    assert ("Image/base#old",) == report.kept
    assert {} == conditions(scenario.drift())


# What it costs, and what it leaves alone


def calls(scenario: Scenario) -> int:
    return scenario.provider.calls("here")["observe"]


@pytest.mark.parametrize("drifted", [False, True])
def test_only_drift_costs_a_second_look(scenario: Scenario, *, drifted: bool) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    if drifted:
        scenario.outside.remove("Network", "lan")
    before = calls(scenario)
    scenario.drift()
    assert 1 + drifted == calls(scenario) - before


def test_it_takes_no_lock_and_writes_no_record(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.outside.remove("Network", "lan")
    workspace = scenario.workspace()
    before = scenario.state()
    with workspace.store("test") as store:
        lock = store.lock("somebody else", "apply", LEASE)
        report = scenario.drift()
        lock.release()
    assert {"Network/lan": "drifted"} == conditions(report)
    assert ["PRV2104"] == [item.code for item in report.problems]
    assert before == scenario.state()


def test_what_is_under_way_was_not_interrupted(scenario: Scenario) -> None:
    scenario.declare(*ALL)
    scenario.apply()
    scenario.declare(LAN, POOL, DISK, EDITED)
    with scenario.workspace().store("test") as store:
        lock = store.lock("somebody else", "apply", LEASE)
        step = str(MACHINE)
        spec = scenario.state().entries[MACHINE].spec
        store.intend(store.begin("apply", "x", None), step, "update", MACHINE, {"spec": spec})
        assert {} == conditions(scenario.drift())
        lock.release()


def test_an_object_that_is_called_otherwise_has_drifted(scenario: Scenario) -> None:
    """It is the same object, and the next apply leaves it its name."""
    scenario.declare(LAN)
    scenario.apply()
    scenario.outside.rename("Network", "lan", "theirs")
    (found,) = scenario.drift().drifted
    (difference,) = found.differences
    assert ("lan", "theirs") == (difference.recorded, difference.observed)
    assert difference.next is not None
    assert (("externalName",), Cause.OUTSIDE, Effect.LEAVE) == (
        difference.path,
        difference.cause,
        difference.next.effect,
    )
