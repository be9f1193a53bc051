"""Every field of a running machine, changed and taken back while no restart is allowed: what waits
is told by each plan until there was a restart, and then nothing is left.

The cases are data: tests/conformance/provider/tables.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.core.values import path_text
from provisioner.engine.verify import RefusedPlan
from provisioner.providers.api import Change
from tests.conformance.provider.cases import (
    CHANGE,
    CREATE,
    REMOVE,
    FieldCase,
    MissingValueError,
    field_cases,
)
from tests.conformance.provider.conftest import forget, need
from tests.conformance.provider.harness import Harness, told

KIND = "VirtualMachine"
# There is no kernel that a machine could start, power is not what a restart brings, and another
# template makes another machine.
APART = ("boot.", "clone.", "power", "shutdownTimeout")
CASES = [
    case for case in field_cases() if case.kind == KIND and not case.fields[0].startswith(APART)
]


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request: pytest.FixtureRequest, world: Harness) -> FieldCase:
    found: FieldCase = request.param
    need(world, KIND, "power", *found.fields)
    return found


@pytest.fixture
def address(case: FieldCase, world: Harness) -> Iterator[Address]:
    subject = world.subject(case.kind)
    yield subject
    forget(world, subject)


def declare(world: Harness, address: Address, case: FieldCase, stage: str) -> None:
    document = case.stages[stage]
    try:
        world.write(address, {**document["spec"], "power": "running"}, document["metadata"])
    except MissingValueError as problem:
        pytest.skip(f"the provider under test gives no value for ${problem}")


def defer(world: Harness, address: Address) -> set[str]:
    """Apply without a restart; returns what was put off and now has another value in force. (What a
    field that is set no more becomes is the provider's choice.)"""
    plan = world.plan(max_impact=Impact.LIVE)
    world.carry_out(plan)
    return {
        path_text(change.path)
        for step in plan.steps
        for change in step.changes
        if step.address == address and change.path in step.deferred
        if change.after is not None and not (change.differs_running and is_in_force(change))
    }


def is_in_force(change: Change) -> bool:
    return change.after == change.running


def expect_told(world: Harness, address: Address, deferred: set[str]) -> None:
    """The next plan tells what waits, and does nothing; nor is it drift."""
    plan = world.plan(max_impact=Impact.LIVE)
    assert [] == [told(step) for step in (*plan.steps, *plan.held)]
    waits = {path_text(note.path) for note in plan.pending if note.address == address}
    assert waits == set(world.entry(address).pending)
    assert [] == [path for path in deferred if not any(_meet(path, other) for other in waits)]


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def test_what_cannot_wait_is_done_with_a_restart_or_not_at_all(
    world: Harness, case: FieldCase, address: Address
) -> None:
    """Of a provider whose machines have no second definition for their next start."""
    if world.under_test.defers:
        pytest.skip("its machines keep changes for their next restart")
    declare(world, address, case, CREATE)
    world.converge()
    for stage in (CHANGE, REMOVE):
        if stage in case.stages:
            declare(world, address, case, stage)
            plan = world.plan(max_impact=Impact.LIVE)
            assert [] == list(plan.pending)
            assert [()] * len(plan.steps) == [step.deferred for step in plan.steps]
            if plan.refused:
                before = world.present(address).fingerprint
                with pytest.raises(RefusedPlan):
                    world.carry_out(plan)
                assert before == world.present(address).fingerprint
                plan = world.plan(max_impact=Impact.RESTART)
            world.carry_out(plan)
            world.expect_nothing_to_do()


def test_what_waits_is_told_until_a_restart(
    world: Harness, case: FieldCase, address: Address
) -> None:
    if not world.under_test.defers:
        pytest.skip("its machines keep no change for their next restart")
    declare(world, address, case, CREATE)
    world.converge()
    for stage in (CHANGE, REMOVE, CHANGE):
        if stage in case.stages:
            declare(world, address, case, stage)
            expect_told(world, address, defer(world, address))
    world.carry_out(world.plan(max_impact=Impact.RESTART))
    assert {} == world.present(address).running
    assert () == world.entry(address).pending
    world.expect_nothing_to_do()
