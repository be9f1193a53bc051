"""Replacement by creating first: what is made, what goes, and what a broken run leaves behind."""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from tests.unit.engine.made import outline
from tests.unit.engine.world import World, declare

POOL = declare("StoragePool/p", {"type": "dir", "path": "/p"})
DISK = declare("Disk/d", {"pool": "p", "size": 1024, "format": "qcow2"}, "StoragePool/p")
OTHER = replace(DISK, spec={**DISK.spec, "format": "raw"})
CONSENT = (DISK.address,)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A pool with a disk in it."""
    world = World(tmp_path)
    world.made(POOL, DISK)
    return world


def test_the_successor_stays_and_the_predecessor_goes(world: World) -> None:
    plan = world.plan(POOL, OTHER, consents=CONSENT)
    assert ["replace Disk/d", "delete Disk/d#old"] == outline(plan)
    assert "done" == world.apply(plan).outcome
    assert ["Disk/d#1", "StoragePool/p#0"] == world.names()
    entry = world.state().entries[DISK.address]
    assert (1, "raw") == (entry.generation, entry.spec["format"])
    assert entry.external_id == next(o.id for o in world.objects() if o.kind == "Disk")
    assert [] == outline(world.plan(POOL, OTHER))


def test_what_follows_sees_the_successor(world: World) -> None:
    machine = declare("VirtualMachine/v", {"disks": {"d": {}}}, "Disk/d")
    world.made(POOL, DISK, machine)
    changed = replace(machine, spec={"disks": {"d": {}}, "cpu": 2})
    plan = world.plan(POOL, OTHER, changed, consents=CONSENT)
    assert ["replace Disk/d", "update VirtualMachine/v", "delete Disk/d#old"] == outline(plan)
    world.apply(plan)
    (updated,) = (item for item in world.handed if item.kind == "VirtualMachine")
    assert 1 == updated.related[DISK.address].stamp.generation


def test_what_is_deleted_first_waits_for_a_predecessor_that_lets_go_of_it(world: World) -> None:
    based = replace(DISK, address=Address("Disk", "b"), replace_order="delete-first")
    user = declare("Disk/z", {"from": {"disk": "b"}, "format": "qcow2"}, "Disk/b")
    world.made(POOL, DISK, based, user)
    alone = declare("Disk/z", {"format": "raw"})
    changed = replace(based, spec=OTHER.spec)
    plan = world.plan(POOL, DISK, changed, alone, consents=(based.address, user.address))
    assert ["replace Disk/z", "delete Disk/z#old", "replace Disk/b"] == outline(plan)


def test_a_renamed_resource_leaves_no_intent_open(world: World) -> None:
    renamed = replace(OTHER, address=Address("Disk", "e"), renamed_from="d")
    plan = world.plan(POOL, renamed, consents=(renamed.address,))
    assert ["replace Disk/e", "delete Disk/e#old"] == outline(plan)
    assert "done" == world.apply(plan).outcome
    assert ["Disk/e#1", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents
    assert [] == outline(world.plan(POOL, renamed))


@pytest.mark.parametrize("order", ["create-first", "delete-first"])
def test_what_an_interrupted_run_made_and_did_not_record_can_be_replaced(
    tmp_path: Path, order: str
) -> None:
    world = World(tmp_path)
    world.half_done = {"create Disk/d"}
    assert "partial" == world.apply(world.plan(POOL, DISK)).outcome
    world.half_done.clear()
    wanted = replace(OTHER, replace_order=order)
    plan = world.plan(POOL, wanted, consents=CONSENT)
    assert "replace" == plan.steps[0].action.value
    assert "done" == world.apply(plan).outcome
    (disk,) = (item for item in world.objects() if item.kind == "Disk")
    assert "raw" == disk.spec["format"]
    assert [] == outline(world.plan(POOL, wanted))


def test_an_output_that_never_comes_does_not_cost_the_predecessor(world: World) -> None:
    marker = {"$unknown": "Disk/d:serial"}
    machine = declare("VirtualMachine/v", {"machine": "q35"}, "Disk/d")
    world.made(POOL, DISK, machine)
    wanted = declare("VirtualMachine/v", {"machine": "pc", "seed": marker}, "Disk/d:serial")
    plan = world.plan(POOL, OTHER, wanted, consents=CONSENT, max_impact=Impact.REPLACE)
    assert "replace VirtualMachine/v" in outline(plan)
    report = world.apply(plan)
    assert ["PRV3004"] == [problem.code for problem in report.problems]
    assert "VirtualMachine/v#0" in world.names()
    assert machine.address in world.state().entries
