"""Whether a plan still fits: the gate, the records, the objects."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.engine.plan import Known, Plan, Step
from provisioner.engine.verify import (
    RefusedPlan,
    StalePlan,
    check_gate,
    check_records,
    resource_of,
)
from provisioner.state.model import State
from tests.unit.engine.made import LINEAGE, Situation, declared, ours, outline, recorded
from tests.unit.engine.world import World, declare

NET, DISK = Address("Net", "n"), Address("Disk", "d")


def step(impact: Impact, address: Address = NET, **rest: Any) -> Step:
    known = Known(address, "here", address.name, "0" * 32, 0, {})
    values = {"id": str(address), "action": Action.UPDATE, "fingerprint": "print", **rest}
    return Step(known=known, impact=impact, **values)


def plan(
    *steps: Step, max_impact: Impact = Impact.LIVE, consents: tuple[Address, ...] = ()
) -> Plan:
    made = Situation().plan(max_impact=max_impact, consents=consents)
    return replace(made, steps=steps)


# The gate


@pytest.mark.parametrize("allowed", [item for item in Impact if item is not Impact.DATA_LOSS])
@pytest.mark.parametrize("impact", [item for item in Impact if item is not Impact.DATA_LOSS])
def test_the_gate_lets_pass_what_is_no_worse(impact: Impact, allowed: Impact) -> None:
    made = plan(step(impact), max_impact=allowed)
    if impact.rank <= allowed.rank:
        check_gate(made)
        return
    with pytest.raises(RefusedPlan) as caught:
        check_gate(made)
    (problem,) = caught.value.diagnostics
    assert ("PRV3002", f"Allow it with --max-impact {impact.value}.", "Net/n") == (
        problem.code,
        problem.hint,
        problem.address,
    )


@pytest.mark.parametrize("allowed", list(Impact))
def test_loss_of_data_needs_consent_whatever_else_is_allowed(allowed: Impact) -> None:
    with pytest.raises(RefusedPlan) as caught:
        check_gate(plan(step(Impact.DATA_LOSS, DISK), max_impact=allowed, consents=(NET,)))
    assert ["Allow it with --allow-data-loss Disk/d."] == [
        problem.hint for problem in caught.value.diagnostics
    ]
    check_gate(plan(step(Impact.DATA_LOSS, DISK), max_impact=allowed, consents=(DISK,)))


def test_every_refused_step_is_named() -> None:
    with pytest.raises(RefusedPlan) as caught:
        check_gate(plan(step(Impact.RESTART), step(Impact.DATA_LOSS, DISK), step(Impact.LIVE)))
    assert ["Net/n", "Disk/d"] == [problem.address for problem in caught.value.diagnostics]


# The records


def situation(mtu: int = 1400) -> Situation:
    """A network with a change to make, and another whose entry is to be refreshed."""
    return Situation(
        (declared("Net/n", {"mtu": 1500}), declared("Net/m", {"mtu": 1400})),
        (recorded("Net/n", {"mtu": mtu}), recorded("Net/m", {})),
        {"Net/n": ours("Net/n", {"mtu": mtu}), "Net/m": ours("Net/m", {"mtu": 1400})},
    )


def moved(state: State, address: str, **values: Any) -> State:
    """The state with other values in one entry."""
    key = Address.parse(address)
    entries = {**state.entries, key: replace(state.entries[key], **values)}
    return replace(state, serial=9, entries=entries)


def test_records_as_they_were_fit() -> None:
    made = situation().plan()
    assert (["update Net/n"], [Address("Net", "m")]) == (
        outline(made),
        [known.address for known in made.refresh],
    )
    check_records(made, situation().state)


def test_a_plan_of_another_stack_is_stale() -> None:
    other = replace(situation().state, lineage=UUID(int=7))
    with pytest.raises(StalePlan) as caught:
        check_records(situation().plan(), other)
    (problem,) = caught.value.diagnostics
    assert ("PRV3001", "the plan belongs to another stack") == (problem.code, problem.summary)
    assert f"Its lineage is {LINEAGE}; the state here has {other.lineage}." == problem.detail


@pytest.mark.parametrize("address", ["Net/n", "Net/m"])
def test_an_entry_that_was_written_since_makes_the_plan_stale(address: str) -> None:
    with pytest.raises(StalePlan) as caught:
        check_records(situation().plan(), moved(situation().state, address, serial=8))
    assert [("PRV3001", address)] == [(p.code, p.address) for p in caught.value.diagnostics]


@pytest.mark.parametrize("address", ["Net/n", "Net/m"])
def test_an_entry_that_was_removed_since_makes_the_plan_stale(address: str) -> None:
    state = situation().state
    entries = {key: entry for key, entry in state.entries.items() if str(key) != address}
    with pytest.raises(StalePlan) as caught:
        check_records(situation().plan(), replace(state, entries=entries))
    assert [address] == [problem.address for problem in caught.value.diagnostics]


def test_an_entry_that_appeared_since_makes_the_plan_stale() -> None:
    made = Situation((declared("Net/n"),)).plan()
    with pytest.raises(StalePlan):
        check_records(made, Situation(entries=(recorded("Net/n"),)).state)


def test_an_entry_that_the_plan_does_not_touch_may_move() -> None:
    made = replace(situation().plan(), refresh=())
    check_records(made, moved(situation().state, "Net/m", serial=8))


def test_a_rename_is_checked_under_its_old_address() -> None:
    renamed = Situation(
        (declared("Net/new", renamed_from="old"),),
        (recorded("Net/old"),),
        {"Net/new": ours("Net/old")},
    )
    made = renamed.plan()
    assert ["rename Net/new"] == outline(made)
    check_records(made, renamed.state)
    with pytest.raises(StalePlan):
        check_records(made, moved(renamed.state, "Net/old", serial=8))


# The objects

POOL = {"type": "dir", "path": "/p"}
LAN: Mapping[str, Any] = {"mode": "isolated", "mtu": 1400}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A network and a pool."""
    world = World(tmp_path)
    world.made(declare("Network/n", LAN), declare("StoragePool/p", POOL))
    return world


def change_network(world: World) -> Plan:
    wanted = declare("Network/n", {**LAN, "autostart": True})
    made = world.plan(wanted, declare("StoragePool/p", POOL), declare("Network/new", LAN))
    assert ["update Network/n", "create Network/new"] == outline(made)
    return made


def refusal(world: World, made: Plan) -> str:
    before = world.state()
    with pytest.raises(StalePlan) as caught:
        world.apply(made)
    assert ([], before) == (world.calls, world.state())
    (problem,) = caught.value.diagnostics
    return problem.summary


def test_an_object_that_has_changed_makes_the_plan_stale(world: World) -> None:
    made = change_network(world)
    world.outside().change("Network", "n", ("mtu",), 9000)
    assert "the plan is stale: Network/n: the object has changed" == refusal(world, made)


def test_an_object_that_is_gone_makes_the_plan_stale(world: World) -> None:
    made = change_network(world)
    world.outside().remove("Network", "n")
    assert "the plan is stale: Network/n: it existed and is gone now" == refusal(world, made)


def test_an_object_that_appeared_makes_the_plan_stale(world: World) -> None:
    made = change_network(world)
    world.outside().add("Network", "new", LAN)
    summary = "the plan is stale: Network/new: it did not exist and exists now"
    assert summary == refusal(world, made)


def test_an_object_that_the_plan_does_not_touch_may_change(world: World) -> None:
    made = change_network(world)
    world.outside().change("StoragePool", "p", ("path",), "/q")
    assert "done" == world.apply(made).outcome


def test_an_object_that_cannot_be_read_is_an_error_and_not_stale(world: World) -> None:
    made = change_network(world)
    world.unanswered = {"Network/n"}
    with pytest.raises(ProvisionerError) as caught:
        world.apply(made)
    assert not isinstance(caught.value, StalePlan)
    assert ["PRV5005"] == [problem.code for problem in caught.value.diagnostics]
    assert [] == world.calls


# The resource that a provider is handed


def test_a_retired_generation_is_handed_over_with_the_stamp_that_it_carries() -> None:
    known = Known(Address("Disk", "d#2"), "here", "d", str(UUID(int=1)), 2, {})
    resource = resource_of(known, str(LINEAGE), {})
    assert Stamp(str(LINEAGE), "Disk/d", 2) == resource.stamp
