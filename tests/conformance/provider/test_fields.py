"""Law 1: apply, then plan: nothing to do, for every field of every kind. Law 4: edited in place.

The cases are data: tests/conformance/provider/tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.engine.plan import Plan, Step
from tests.conformance.provider.cases import (
    CHANGE,
    CREATE,
    REMOVE,
    FieldCase,
    MissingValueError,
    base,
    field_cases,
)
from tests.conformance.provider.conftest import forget, need
from tests.conformance.provider.harness import Harness, told


@pytest.fixture(params=list(field_cases()), ids=lambda case: case.id)
def case(request: pytest.FixtureRequest, world: Harness) -> FieldCase:
    found: FieldCase = request.param
    need(world, found.kind, *found.fields)
    return found


@pytest.fixture
def address(case: FieldCase, world: Harness) -> Iterator[Address]:
    subject = world.subject(case.kind)
    yield subject
    forget(world, subject)


def bring_to(world: Harness, address: Address, case: FieldCase, stage: str) -> Plan:
    document = case.stages[stage]
    try:
        world.write(address, document["spec"], document["metadata"])
    except MissingValueError as problem:
        pytest.skip(f"the provider under test gives no value for ${problem}")
    return world.converge()


def step_of(plan: Plan, address: Address) -> Step:
    found = [step for step in plan.steps if step.id == str(address)]
    assert 1 == len(found), [told(step) for step in plan.steps]
    return found[0]


def test_what_the_provider_chooses_by_itself_need_not_be_said_any_more(
    world: Harness, subject: Address
) -> None:
    """A field that is taken out of the manifest while it has the value that it goes back to."""
    defaults = world.provider.describe().defaults.get(subject.kind, {})
    plain = {name: value for name, value in defaults.items() if not isinstance(value, Mapping)}
    if not plain:
        pytest.skip(f"{world.provider.describe().name} has no default for {subject.kind}")
    world.write(subject, {**base(subject.kind), **plain})
    world.converge()
    world.write(subject, base(subject.kind))
    assert [] == [told(step) for step in world.plan().steps]
    world.converge()


def test_nothing_is_left_to_do(world: Harness, case: FieldCase, address: Address) -> None:
    """Create with the field, change it, remove it, set it on what is there: each time the next plan
    is empty; and unless the plan says that it replaces the object, it is the same object."""
    created = step_of(bring_to(world, address, case, CREATE), address)
    assert Action.CREATE is created.action
    stages = [CHANGE, REMOVE, CREATE] if REMOVE in case.stages else [CHANGE, CREATE]
    for stage in stages:
        before, wanted = world.entry(address), world.resource(address).spec
        plan = bring_to(world, address, case, stage)
        # What the provider has no place for is dropped by its normalise, and nothing is done.
        if stage == CHANGE and wanted != world.resource(address).spec:
            touched = {change.path[0] for change in step_of(plan, address).changes}
            assert touched & {field.partition(".")[0] for field in case.fields}
        replaced = [step for step in plan.steps if step.action is Action.REPLACE]
        if address not in {step.address for step in replaced}:
            assert before.external_id == world.entry(address).external_id
        for step in replaced:
            assert step.impact.exceeds(Impact.RESTART), told(step)
