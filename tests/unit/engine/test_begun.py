"""When the engine says that a creation was begun (``Resource.begun``): after absence was proven,
and of that very object.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.engine.plan import begun_in
from tests.unit.engine.made import Situation, declared, intent, outline, recorded
from tests.unit.engine.world import World, declare

POOL = declare("StoragePool/p", {"type": "dir", "path": "/p"})
CREATE = "create StoragePool/p"


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def handed(world: World) -> list[bool]:
    """Of each call that changed something, whether the object had been begun."""
    return [resource.begun for resource in world.handed]


def left(world: World) -> int:
    """How many objects the next plan takes for begun."""
    return len(begun_in(world.state().open_intents))


# In one apply


def test_every_attempt_after_one_that_gave_no_answer(world: World) -> None:
    world.busy["create"] = 2
    world.made(POOL)
    assert [False, True, True] == handed(world)


def test_what_was_recorded_is_begun_no_more(world: World) -> None:
    world.die(CREATE, POOL)
    world.made(POOL, declare("Disk/d", {"pool": "p", "size": 1024}, "StoragePool/p"))
    (disk,) = (item for item in world.handed if item.kind == "Disk")
    assert not disk.related[POOL.address].begun


def test_what_was_made_anew_in_the_place_of_its_predecessor(world: World) -> None:
    world.made(POOL)
    world.busy["create"] = 1
    world.made(replace(POOL, spec={"type": "dir", "path": "/q"}), max_impact=Impact.REPLACE)
    assert ["delete StoragePool/p", CREATE, CREATE] == world.calls
    assert [False, False, True] == handed(world)


# What is left for the next run


@pytest.mark.parametrize(("attempts", "begun"), [(0, 0), (8, 1)])
def test_what_was_refused_at_once_proves_nothing(world: World, attempts: int, begun: int) -> None:
    world.busy["create"] = attempts
    world.refused = {CREATE}
    assert "failed" == world.apply(world.plan(POOL)).outcome
    assert begun == left(world)
    assert 1 == len(world.state().open_intents)


def test_what_was_made_and_not_completed(world: World) -> None:
    world.half_made = {CREATE}
    assert "failed" == world.apply(world.plan(POOL)).outcome
    assert 1 == left(world)
    world.half_made = set()
    world.made(POOL)
    assert [True] == handed(world)
    assert 0 == left(world)


def test_a_run_that_died(world: World) -> None:
    world.die(CREATE, POOL)
    assert 1 == left(world)
    world.made(POOL)
    assert [True] == handed(world)
    assert 0 == left(world)


def test_a_run_that_died_before_anything_was_made(world: World) -> None:
    world.die(CREATE, POOL)
    world.outside().remove("StoragePool", "p")
    world.made(POOL)
    assert [False] == handed(world)


def test_what_was_begun_stays_so_until_it_has_an_outcome(world: World) -> None:
    world.die(CREATE, POOL)
    world.refused = {CREATE}
    assert "failed" == world.apply(world.plan(POOL)).outcome
    assert [True] == handed(world)
    assert 1 == left(world)


def test_what_was_removed_outside_and_was_being_made_anew(world: World) -> None:
    """Its entry does not tell of the new object."""
    world.made(POOL)
    world.outside().remove("StoragePool", "p")
    world.die(CREATE, POOL)
    assert [CREATE] == outline(world.plan(POOL))
    world.made(POOL)
    assert [True] == handed(world)


def test_what_gave_no_answer_when_it_was_made_anew(world: World) -> None:
    world.made(POOL)
    world.outside().remove("StoragePool", "p")
    world.busy["create"] = 8
    assert "failed" == world.apply(world.plan(POOL)).outcome
    assert 1 == left(world)


# On another endpoint than the plan has looked at


def moved(world: World) -> None:
    world.made(POOL)
    world.outside().remove("StoragePool", "p")
    plan = world.plan(replace(POOL, host="there"))
    world.busy["create"] = 1
    world.apply(plan)


def test_absence_is_asked_for_where_it_is_made(world: World) -> None:
    moved(world)
    assert [False, True] == handed(world)


def test_what_has_the_name_there_is_not_begun(world: World) -> None:
    world.outside("there").add("StoragePool", "p", {"type": "dir"})
    moved(world)
    assert [False, False] == handed(world)
    assert 0 == left(world)


# Which object is meant


@pytest.mark.parametrize(
    ("rest", "begun"),
    [({}, True), ({"begun": False}, False), ({"name": "m"}, False), ({"generation": 1}, False)],
)
def test_that_very_object(rest: dict[str, Any], begun: bool) -> None:
    open_intent = intent("Net/n", **{"begun": True} | rest)
    subjects = Situation((declared("Net/n"),), (recorded("Net/n"),), {}, (open_intent,)).subjects()
    assert begun == subjects[Address("Net", "n")].resource.begun


def test_a_generation_of_its_own() -> None:
    open_intent = intent("Disk/d", begun=True, generation=1)
    subjects = Situation(
        (declared("Disk/d"),), (recorded("Disk/d"),), {}, (open_intent,)
    ).subjects()
    assert {"Disk/d": False, "Disk/d#1": True} == {
        str(address): subject.resource.begun for address, subject in subjects.items()
    }


def test_an_intent_of_an_earlier_version_proves_nothing() -> None:
    assert frozenset() == begun_in([intent("Net/n")])


def test_the_last_of_several_intents_counts() -> None:
    refused = intent("Net/n", sequence=8)
    assert frozenset() == begun_in([intent("Net/n", begun=True), refused])


def test_only_a_creation_begins_anything() -> None:
    assert frozenset() == begun_in([intent("Net/n", "delete", begun=True)])
