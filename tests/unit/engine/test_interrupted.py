"""What an interrupted run leaves: it is looked at, nothing of it is lost, and nothing else goes."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.selection import Selection
from provisioner.engine.verify import RefusedPlan, check_gate
from provisioner.state.model import Entry
from tests.unit.engine.made import Situation, declared, intent, ours, outline, recorded
from tests.unit.engine.world import World, declare


def test_a_refresh_that_was_not_settled_is_about_nothing() -> None:
    unsettled = replace(intent("Net/n", "refresh"), detail={})
    assert [] == outline(
        Situation(
            (declared("Net/n"),), (recorded("Net/n"),), {"Net/n": ours("Net/n")}, (unsettled,)
        ).plan()
    )


def test_a_predecessor_that_is_gone_is_not_mistaken_for_its_successor() -> None:
    successor = ours("Disk/d", generation=1)
    plan = Situation(
        (declared("Disk/d"),),
        (recorded("Disk/d", generation=1),),
        {"Disk/d": successor, "Disk/d#0": successor},
        (intent("Disk/d", "delete"),),
    ).plan()
    assert [] == outline(plan)


def test_consent_to_losing_a_resource_covers_its_retired_generation() -> None:
    situation = Situation(
        (declared("Disk/d"),),
        (recorded("Disk/d", generation=1),),
        {"Disk/d": ours("Disk/d", generation=1), "Disk/d#0": ours("Disk/d")},
        (intent("Disk/d", "delete"),),
    )
    plan = situation.plan()
    assert ["delete Disk/d#0"] == outline(plan)
    assert 1 == len(plan.refused)
    assert () == situation.plan(consents=(Address("Disk", "d"),)).refused
    with pytest.raises(RefusedPlan) as caught:
        check_gate(plan)
    assert ["Allow it with --allow-data-loss Disk/d."] == [
        problem.hint for problem in caught.value.diagnostics
    ]


@pytest.mark.parametrize(
    ("entries", "begun", "word"),
    [((recorded("Net/n"),), "delete", "delete"), ((), "delete", "delete"), ((), "create", "make")],
)
def test_what_is_not_there_may_have_left_something(
    entries: tuple[Entry, ...], begun: str, word: str
) -> None:
    """What was interrupted is completed, or cleared away, by the provider that began it."""
    situation = Situation((), entries, {}, (intent("Net/n", begun),))
    (step,) = situation.plan().steps
    assert (
        "delete",
        "none",
        f"an earlier run failed to {word} it, and a part of it may be there",
    ) == (
        step.action,
        step.impact,
        step.reason,
    )
    assert {"Net/n": (7,)} == situation.plan().interrupted


POOL = declare("StoragePool/p", {"type": "dir", "path": "/p"})
DISK = declare("Disk/d", {"pool": "p", "size": 1024, "format": "qcow2"}, "StoragePool/p")
OTHER = replace(DISK, spec={**DISK.spec, "format": "raw"})
CONSENT = (DISK.address,)
WORST = {"max_impact": Impact.REPLACE, "consents": CONSENT}


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A pool with a disk in it."""
    world = World(tmp_path)
    world.made(POOL, DISK)
    return world


def test_a_predecessor_that_was_left_is_deleted(world: World) -> None:
    world.die("create Disk/d", POOL, OTHER, consents=CONSENT)
    world.made(POOL, OTHER, consents=CONSENT)
    assert ["Disk/d#1", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents


def test_a_successor_that_was_made_is_completed(world: World) -> None:
    world.die("create Disk/d", POOL, OTHER, consents=CONSENT)
    assert ["Disk/d#0", "Disk/d#1", "StoragePool/p#0"] == world.names()
    assert ["replace Disk/d", "delete Disk/d#old"] == outline(
        world.plan(POOL, OTHER, consents=CONSENT)
    )


def test_a_successor_that_nobody_wants_any_more_goes(world: World) -> None:
    world.die("create Disk/d", POOL, OTHER, consents=CONSENT)
    plan = world.plan(POOL, DISK, **WORST)
    assert ["delete Disk/d#1"] == outline(plan)
    assert "an interrupted run made it" == plan.steps[0].reason
    assert "done" == world.apply(plan).outcome
    assert ["Disk/d#0", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents


def test_what_was_not_looked_at_stays_open(world: World) -> None:
    left = declare("Disk/e", DISK.spec, "StoragePool/p")
    world.die("create Disk/e", POOL, DISK, left)
    selection = Selection((AddressPattern("Disk", "d"),))
    grown = replace(DISK, spec={**DISK.spec, "size": 2048})
    world.made(POOL, grown, selection=selection)
    assert ["Disk/e"] == [str(record.address) for record in world.state().open_intents]
    assert ["delete Disk/e"] == outline(world.plan(POOL, grown))


@pytest.mark.parametrize("address", ["Disk/e", "Disk/d#0"])
def test_what_could_not_be_seen_stays_open(world: World, address: str) -> None:
    """Its pool was stopped, and this plan mends that."""
    left = declare("Disk/e", DISK.spec, "StoragePool/p")
    wanted = DISK
    if address == "Disk/e":
        world.die("create Disk/e", POOL, DISK, left)
    else:
        wanted = OTHER
        world.refused = {"delete Disk/d"}
        world.apply(world.plan(POOL, OTHER, consents=CONSENT))
        world.refused.clear()
    edited = replace(POOL, spec={**POOL.spec, "autostart": False})
    world.unanswered = {address}
    plan = world.plan(edited, wanted)
    assert ["update StoragePool/p"] == outline(plan)
    assert [address] == [str(found.address) for found in plan.undetermined]
    assert "done" == world.apply(plan).outcome
    world.unanswered.clear()
    assert [f"delete {address}"] == outline(world.plan(edited, wanted))


def test_what_was_looked_at_and_not_done_stays_open(world: World) -> None:
    left = declare("Disk/e", DISK.spec, "StoragePool/p")
    world.die("create Disk/e", POOL, DISK, left)
    world.refused = {"delete Disk/e"}
    plan = world.plan(POOL, DISK, consents=(left.address,))
    assert ["delete Disk/e"] == outline(plan)
    assert "failed" == world.apply(plan).outcome
    world.refused.clear()
    world.made(POOL, DISK, consents=(left.address,))
    assert ["Disk/d#0", "StoragePool/p#0"] == world.names()


def test_a_rename_after_an_interrupted_update_keeps_the_object(world: World) -> None:
    grown = {**DISK.spec, "size": 2048}
    world.die("update Disk/d", POOL, replace(DISK, spec=grown))
    renamed = replace(DISK, address=Address("Disk", "e"), spec=grown, renamed_from="d")
    plan = world.plan(POOL, renamed)
    assert ["rename Disk/e"] == outline(plan)
    world.apply(plan)
    assert ["Disk/d#0", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents


def test_an_object_that_was_made_on_another_host_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.die("create StoragePool/p", POOL)
    moved = replace(POOL, host="there")
    plan = world.plan(moved)
    assert {"create StoragePool/p", "delete StoragePool/p#0"} == set(outline(plan))
    assert "done" == world.apply(plan).outcome
    assert ([], ["StoragePool/p#0"]) == (world.names(), world.names("there"))


def test_an_object_that_was_being_made_anew_on_another_host_is_completed(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.made(POOL)
    world.outside().remove("StoragePool", "p")
    moved = replace(POOL, host="there")
    world.die("create StoragePool/p", moved)
    plan = world.plan(moved)
    assert ["create StoragePool/p"] == outline(plan)
    assert "done" == world.apply(plan).outcome
    assert ["StoragePool/p#0"] == world.names("there")
    assert () == world.state().open_intents
    assert [] == outline(world.plan(moved))


def test_an_object_that_was_being_made_anew_after_it_was_removed_is_completed(world: World) -> None:
    world.outside().remove("Disk", "d")
    world.die("create Disk/d", POOL, DISK)
    assert ["create Disk/d"] == outline(world.plan(POOL, DISK))
    world.made(POOL, DISK)
    assert [] == outline(world.plan(POOL, DISK))


def test_what_a_failed_creation_left_on_another_host_goes(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.made(POOL)
    world.outside().remove("StoragePool", "p")
    world.half_done = {"create StoragePool/p"}
    assert "failed" == world.apply(world.plan(replace(POOL, host="there"))).outcome
    world.half_done.clear()
    plan = world.plan(POOL)
    assert {"create StoragePool/p", "delete StoragePool/p#0"} == set(outline(plan))
    assert "done" == world.apply(plan).outcome
    assert (["StoragePool/p#0"], []) == (world.names(), world.names("there"))


def test_a_replacement_that_was_cut_in_two_is_found_by_its_identity(world: World) -> None:
    world.made(POOL, OTHER, consents=CONSENT)
    again = replace(DISK, replace_order="delete-first")
    world.die("create Disk/d", POOL, again, consents=CONSENT)
    assert DISK.address not in world.state().entries
    plan = world.plan(POOL, again)
    assert ["create Disk/d"] == outline(plan)
    world.apply(plan)
    assert ["Disk/d#1", "StoragePool/p#0"] == world.names()
    assert 1 == world.state().entries[DISK.address].generation
    assert [] == outline(world.plan(POOL, again))


def test_what_a_failed_creation_left_is_removed_when_nobody_wants_it(world: World) -> None:
    left = declare("Disk/e", DISK.spec, "StoragePool/p")
    world.half_done = {"create Disk/e"}
    assert "failed" == world.apply(world.plan(POOL, DISK, left)).outcome
    world.half_done.clear()
    world.made(POOL, DISK, consents=(left.address,))
    assert ["Disk/d#0", "StoragePool/p#0"] == world.names()


def test_a_predecessor_that_could_not_be_deleted_is_deleted_later(world: World) -> None:
    world.refused = {"delete Disk/d"}
    plan = world.plan(POOL, OTHER, consents=CONSENT)
    assert ("Disk/d#old",) == world.apply(plan).failed
    assert ["Disk/d#0", "Disk/d#1", "StoragePool/p#0"] == world.names()
    world.refused.clear()
    plan = world.plan(POOL, OTHER, consents=CONSENT)
    assert ["delete Disk/d#0"] == outline(plan)
    assert "its successor has replaced it" == plan.steps[0].reason
    assert "done" == world.apply(plan).outcome
    assert ["Disk/d#1", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents


def test_a_failed_update_leaves_nothing_to_look_for(world: World) -> None:
    world.refused = {"update Disk/d"}
    grown = replace(DISK, spec={**DISK.spec, "size": 2048})
    assert "failed" == world.apply(world.plan(POOL, grown)).outcome
    assert () == world.state().open_intents


def test_a_creation_that_was_never_asked_for_leaves_nothing_to_look_for(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.made(POOL)
    moved = replace(POOL, host="there")
    plan = world.plan(moved, **WORST)
    world.unreachable = {"there"}
    report = world.apply(plan)
    assert ("StoragePool/p",) == report.failed
    assert {"delete"} == {record.action for record in world.state().open_intents}


def test_what_is_left_of_another_generation_can_be_left_out(world: World) -> None:
    world.die("create Disk/d", POOL, OTHER, consents=CONSENT)
    disk = AddressPattern("Disk", "d")
    assert ["delete Disk/d#1"] == outline(world.plan(POOL, DISK, selection=Selection((disk,))))
    other = AddressPattern("Disk", "d#*")
    assert [] == outline(world.plan(POOL, DISK, selection=Selection(exclude=(other,))))


def test_a_replacement_under_a_new_name_that_was_taken_back_keeps_the_object(world: World) -> None:
    renamed = replace(OTHER, address=Address("Disk", "e"), renamed_from="d")
    world.die("create Disk/e", POOL, renamed, consents=(renamed.address,))
    plan = world.plan(POOL, DISK, consents=(renamed.address,))
    assert ["delete Disk/e"] == outline(plan)
    assert "done" == world.apply(plan).outcome
    assert ["Disk/d#0", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents


def test_a_predecessor_without_a_successor_is_one_still() -> None:
    """What replaced it was removed outside and forgotten."""
    left = intent("Disk/d", "delete", successor="Disk/e")
    plan = Situation(found={"Disk/e#0": ours("Disk/d")}, intents=(left,)).plan()
    assert ["delete Disk/e#0"] == outline(plan)
    assert "its successor has replaced it" == plan.steps[0].reason
    assert plan.steps[0].is_of_predecessor


def test_several_intents_about_one_object_are_about_one_resource() -> None:
    """A rename was recorded in part."""
    intents = [
        intent("Disk/d", "delete", number, successor=successor)
        for number, successor in enumerate(("Disk/d", "Disk/e"))
    ]
    plan = Situation(
        (declared("Disk/e", renamed_from="d"),),
        (recorded("Disk/d", generation=1),),
        {"Disk/e": ours("Disk/d", generation=1), "Disk/e#0": ours("Disk/d")},
        tuple(intents),
    ).plan()
    assert {"rename Disk/e", "delete Disk/e#0"} == set(outline(plan))
    assert {"Disk/e#0": (0, 1)} == plan.interrupted


def test_who_needs_a_predecessor_is_asked_again(world: World) -> None:
    world.refused = {"delete Disk/d"}
    world.apply(world.plan(POOL, OTHER, consents=CONSENT))
    world.busy["users"] = 2
    assert ["delete Disk/d#0"] == outline(world.plan(POOL, OTHER, consents=CONSENT))
    world.busy["users"] = 3
    with pytest.raises(ProvisionerError, match="busy: users"):
        world.plan(POOL, OTHER, consents=CONSENT)
