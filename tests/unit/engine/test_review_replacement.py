"""Replacement by creating first: what is made, what goes, and what a broken run leaves behind."""

from dataclasses import replace
from pathlib import Path

import pytest

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


def test_a_renamed_resource_leaves_no_intent_open(world: World) -> None:
    renamed = replace(OTHER, address=Address("Disk", "e"), renamed_from="d")
    plan = world.plan(POOL, renamed, consents=(renamed.address,))
    assert ["replace Disk/e", "delete Disk/e#old"] == outline(plan)
    assert "done" == world.apply(plan).outcome
    assert ["Disk/e#1", "StoragePool/p#0"] == world.names()
    assert () == world.state().open_intents
    assert [] == outline(world.plan(POOL, renamed))
