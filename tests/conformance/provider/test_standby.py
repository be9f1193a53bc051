"""The capability Standby, for the providers that promise it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Change, Terminal
from provisioner.providers.capabilities import STANDBY, Standby
from tests.conformance.provider.conftest import forget
from tests.conformance.provider.harness import Harness, told
from tests.conformance.provider.sites import of_stranger, spec_of
from tests.conformance.provider.under_test import ProviderUnderTest

REASON = "it runs at the other site"


CAPABILITY = STANDBY


@pytest.fixture(scope="module")
def world(
    under_test: ProviderUnderTest, tmp_path_factory: pytest.TempPathFactory, catalog: SchemaCatalog
) -> Iterator[Harness]:
    """A stack with nothing in it."""
    harness = Harness(under_test, tmp_path_factory.mktemp("stack"), catalog, "first")
    yield harness
    harness.close()


@pytest.fixture
def machine(world: Harness) -> Iterator[Address]:
    """A machine that is off."""
    address = world.subject("VirtualMachine")
    world.write(address, {**spec_of([]), "power": "stopped"})
    world.converge()
    yield address
    with session_of(world) as session:
        session.take_over(world.resource(address), world.deadline())
    forget(world, address)


@pytest.fixture
def marked(world: Harness, machine: Address) -> Address:
    """A machine that stands by; the session that marked it is closed."""
    with session_of(world) as session:
        session.stand_by(world.resource(machine), REASON, world.deadline())
    return machine


@contextmanager
def session_of(world: Harness) -> Iterator[Any]:
    session = world.session()
    assert isinstance(session, Standby)
    yield session
    session.close()


def reasons(world: Harness, machine: Address) -> dict[Address, str]:
    with session_of(world) as session:
        return dict(session.standing_by([world.resource(machine)]))


def power(world: Harness, machine: Address) -> object:
    return world.present(machine).spec["power"]


def test_a_marked_machine_tells_why(world: Harness, marked: Address) -> None:
    assert {marked: REASON} == reasons(world, marked)


def test_a_machine_without_a_mark_is_not_told(world: Harness, machine: Address) -> None:
    assert {} == reasons(world, machine)


def test_a_running_machine_is_not_marked(world: Harness, machine: Address) -> None:
    with session_of(world) as session:
        session.power(world.resource(machine), "running", world.deadline())
        with pytest.raises(Terminal):
            session.stand_by(world.resource(machine), REASON, world.deadline())
    assert {} == reasons(world, machine)


def test_power_does_not_start_it(world: Harness, marked: Address) -> None:
    with session_of(world) as session, pytest.raises(Terminal):
        session.power(world.resource(marked), "running", world.deadline())
    assert "stopped" == power(world, marked)


def test_update_does_not_start_it(world: Harness, marked: Address) -> None:
    observed, resource = world.present(marked), world.resource(marked)
    wanted = replace(resource, spec={**resource.spec, "power": "running"})
    changes = [Change(("power",), "stopped", "running", Impact.LIVE)]
    with session_of(world) as session, pytest.raises(Terminal):
        session.update(wanted, observed, changes, restart=True, deadline=world.deadline())
    assert "stopped" == power(world, marked)


def test_create_does_not_start_it(world: Harness, marked: Address) -> None:
    """As after an interrupted run, which does not know that the machine is there."""
    resource = world.resource(marked)
    wanted = replace(resource, spec={**resource.spec, "power": "running"}, external_id=None)
    with session_of(world) as session, pytest.raises(Terminal):
        session.create(wanted, world.deadline())
    assert "stopped" == power(world, marked)


def test_a_plan_holds_its_start_and_makes_other_changes(world: Harness, marked: Address) -> None:
    world.write(marked, {**spec_of([]), "description": "changed"})
    world.carry_out(world.plan())
    held = world.plan()
    assert ([], [marked]) == ([told(step) for step in held.steps], [s.address for s in held.held])
    assert ("stopped", "changed") == (
        power(world, marked),
        world.present(marked).spec["description"],
    )


def test_the_mark_outlives_a_change_of_the_machine(world: Harness, marked: Address) -> None:
    world.write(marked, {**spec_of([]), "power": "stopped", "description": "changed"})
    world.converge()
    assert {marked: REASON} == reasons(world, marked)


def test_the_mark_outlives_the_connection(world: Harness, marked: Address) -> None:
    with world.under_test.cut_off():
        pass
    assert {marked: REASON} == reasons(world, marked)


def test_once_taken_over_it_starts(world: Harness, marked: Address) -> None:
    with session_of(world) as session:
        for _ in range(2):
            session.take_over(world.resource(marked), world.deadline())
        assert {} == session.standing_by([world.resource(marked)])
        session.power(world.resource(marked), "running", world.deadline())
    assert "running" == power(world, marked)


def test_a_machine_of_others_is_not_marked(world: Harness, machine: Address) -> None:
    with session_of(world) as session, pytest.raises(Terminal):
        session.stand_by(of_stranger(world.resource(machine)), REASON, world.deadline())
    assert {} == reasons(world, machine)


def test_a_machine_of_others_is_not_taken_over(world: Harness, marked: Address) -> None:
    with session_of(world) as session, pytest.raises(Terminal):
        session.take_over(of_stranger(world.resource(marked)), world.deadline())
    assert {marked: REASON} == reasons(world, marked)
