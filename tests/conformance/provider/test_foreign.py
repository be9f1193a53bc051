"""Law 3: nothing without our stamp is ever changed or deleted; adoption is an explicit step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Change, Naming, Present, Terminal
from tests.conformance.provider.cases import base
from tests.conformance.provider.conftest import need
from tests.conformance.provider.harness import Harness, actions


@pytest.fixture
def foreign(subject: Address, world: Harness) -> Iterator[str]:
    """The external id of an object with the subject's name that nobody owns."""
    outside = world.under_test.outside
    yield outside.add(subject.kind, subject.name)
    with suppress(LookupError, ValueError):
        outside.remove(subject.kind, subject.name)


@pytest.fixture
def unique(kind: str, world: Harness) -> None:
    if world.provider.describe().naming[kind] is not Naming.UNIQUE:
        pytest.skip(f"two objects of kind {kind} may have the same name there")


def foreign_present(world: Harness, subject: Address, external_id: str) -> Present:
    session = world.session()
    found = [
        item.observed
        for item in session.discover({subject.kind})
        if item.observed.external_id == external_id
    ]
    session.close()
    assert 1 == len(found)
    return found[0]


def test_discovery_tells_that_it_is_nobodys(world: Harness, subject: Address, foreign: str) -> None:
    assert foreign_present(world, subject, foreign).owner is None


@pytest.mark.usefixtures("unique")
def test_a_name_that_is_taken_is_refused_by_the_plan(
    world: Harness, subject: Address, foreign: str
) -> None:
    picture = world.under_test.outside.picture(*subject)
    with pytest.raises(ProvisionerError) as caught:
        world.plan()
    assert ["PRV2010"] == [item.code for item in caught.value.diagnostics]
    assert picture == world.under_test.outside.picture(*subject)


@pytest.mark.usefixtures("unique")
def test_a_name_that_is_taken_is_refused_by_create(
    world: Harness, subject: Address, foreign: str
) -> None:
    """The object may have come after the plan was made."""
    picture = world.under_test.outside.picture(*subject)
    session = world.session()
    with pytest.raises(Terminal):
        session.create(world.resource(subject), world.deadline())
    session.close()
    assert picture == world.under_test.outside.picture(*subject)


def test_where_names_are_free_ours_stands_beside_it(
    world: Harness, subject: Address, foreign: str
) -> None:
    """A plan may still refuse, to offer adoption; but creating and deleting touch only ours."""
    if world.provider.describe().naming[subject.kind] is not Naming.FREE:
        pytest.skip(f"two objects of kind {subject.kind} cannot have the same name there")
    before = foreign_present(world, subject, foreign)
    resource = world.resource(subject)
    session = world.session()
    created = session.create(resource, world.deadline()).external_id
    assert foreign != created
    assert before == foreign_present(world, subject, foreign)
    session.delete(replace(resource, external_id=created), world.deadline())
    session.close()
    assert before == foreign_present(world, subject, foreign)


def test_it_is_not_changed(world: Harness, subject: Address, foreign: str) -> None:
    picture = world.under_test.outside.picture(*subject)
    observed = foreign_present(world, subject, foreign)
    changes = [Change(("labels",), None, {"a": "b"}, Impact.LIVE)]
    session = world.session()
    resource = world.resource(subject)
    if subject.kind not in world.under_test.unstamped:
        resource = replace(resource, external_id=foreign)
    with pytest.raises(Terminal):
        session.update(resource, observed, changes, restart=True, deadline=world.deadline())
    session.close()
    assert picture == world.under_test.outside.picture(*subject)


def test_it_is_not_deleted(world: Harness, subject: Address, foreign: str) -> None:
    """Not by its name, and not by its own id either where a stamp would tell whose it is."""
    picture = world.under_test.outside.picture(*subject)
    session = world.session()
    with suppress(Terminal):
        session.delete(world.resource(subject), world.deadline())
    if subject.kind not in world.under_test.unstamped:
        with pytest.raises(Terminal):
            session.delete(replace(world.resource(subject), external_id=foreign), world.deadline())
    session.close()
    assert picture == world.under_test.outside.picture(*subject)


def test_an_object_that_lost_its_stamp_is_left_alone(world: Harness, subject: Address) -> None:
    """Ours was removed outside and somebody else took the name: destroy forgets and touches not."""
    need(world, subject.kind, "recreation")
    world.converge()
    outside = world.under_test.outside
    outside.remove(*subject)
    outside.add(*subject)
    picture = outside.picture(*subject)
    world.erase(subject)
    plan = world.plan()
    assert {subject: Action.FORGET} == actions(plan)
    world.carry_out(plan)
    assert picture == outside.picture(*subject)


def test_adoption_is_asked_for_and_keeps_the_object(
    world: Harness, subject: Address, foreign: str
) -> None:
    before = foreign_present(world, subject, foreign)
    plan = world.plan(adopt=[subject])
    if actions(plan) == {subject: Action.CREATE}:
        assert world.provider.describe().naming[subject.kind] is Naming.FREE
        pytest.skip(f"a {subject.kind} is not looked for by its name there")
    assert {subject: Action.ADOPT} == actions(plan)
    world.carry_out(plan)
    after = world.present(subject)
    assert foreign == after.external_id == world.entry(subject).external_id
    assert world.resource(subject).stamp == after.owner
    assert before.spec == foreign_present(world, subject, foreign).spec


@pytest.mark.usefixtures("unique")
def test_what_another_stack_owns_cannot_be_adopted(
    world: Harness, neighbour: Harness, kind: str, subject: Address
) -> None:
    if kind not in ("Network", "StoragePool", "VirtualMachine"):
        pytest.skip(f"a {kind} needs others of its stack")
    if kind in world.under_test.unstamped:
        pytest.skip(f"nothing on a {kind} tells whose it is")
    world.converge()
    neighbour.write(subject, base(kind))
    with pytest.raises(ProvisionerError) as caught:
        neighbour.plan(adopt=[subject])
    assert ["PRV2011"] == [item.code for item in caught.value.diagnostics]
    observed = world.present(subject)
    session = neighbour.session()
    with pytest.raises(Terminal):
        session.adopt(neighbour.resource(subject), observed, neighbour.deadline())
    with pytest.raises(Terminal):
        session.delete(
            replace(neighbour.resource(subject), external_id=observed.external_id),
            neighbour.deadline(),
        )
    session.close()
    assert observed == world.present(subject)
