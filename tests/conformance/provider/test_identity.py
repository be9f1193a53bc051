"""Law 2: one object however often it is created. Law 10: a creation whose answer was lost.

The later calls about one object are handed what the engine hands them then: that it was begun.
"""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NoReturn

import pytest

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.plan import Plan
from provisioner.engine.verify import StalePlan
from provisioner.providers.api import (
    Absent,
    Outcome,
    Present,
    ProviderError,
    Retryable,
    Session,
)
from tests.conformance.provider.harness import Harness, actions


def ids(session: Session, kind: str) -> Counter[str]:
    """The external ids of all objects of a kind."""
    return Counter(item.observed.external_id for item in session.discover({kind}))


def test_it_carries_its_stamp_from_the_start(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    session = world.session()
    outcome = session.create(resource, world.deadline())
    found = session.observe([replace(resource, begun=True)])[subject]
    session.close()
    assert isinstance(found, Present)
    assert resource.stamp == found.owner
    assert outcome.external_id == found.external_id
    assert outcome.outputs == found.outputs


def test_creating_twice_gives_one_object(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    again = replace(resource, begun=True)
    first, second = world.session(), world.session()
    before = ids(first, subject.kind)
    calls = ((first, resource), (first, again), (second, again))
    outcomes = [session.create(which, world.deadline()).external_id for session, which in calls]
    after = ids(second, subject.kind)
    first.close()
    second.close()
    assert 1 == len(set(outcomes))
    assert Counter(outcomes[:1]) == after - before


def test_creating_at_the_same_time_gives_one_object(world: Harness, subject: Address) -> None:
    """An attempt that was given up may still be under way: some may fail, none may spoil another's
    work, and asking once more completes it."""
    resource = replace(world.resource(subject), begun=True)
    session = world.session()
    before = ids(session, subject.kind)

    def create(_: int) -> Outcome | ProviderError:
        try:
            return session.create(resource, world.deadline())
        except ProviderError as problem:
            return problem

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(create, range(4)))
    last = session.create(resource, world.deadline())
    after = ids(session, subject.kind)
    session.close()
    assert {last.external_id} >= {
        answer.external_id for answer in answers if isinstance(answer, Outcome)
    }
    assert Counter({last.external_id: 1}) == after - before
    if subject.kind in world.under_test.journaled:
        world.intend_creation(resource)
    world.converge()


def test_a_lost_answer_is_made_good_by_asking_again(world: Harness, subject: Address) -> None:
    """In one apply: the engine repeats the call, and there is one object."""
    world.under_test.lose_answer("create")
    plan = world.converge()
    assert {subject: Action.CREATE} == actions(plan)
    assert world.entry(subject).external_id == world.present(subject).external_id


def test_an_object_that_was_never_recorded_is_found_again(world: Harness, subject: Address) -> None:
    """It was forgotten: nothing but the identity is known."""
    if subject.kind in world.under_test.journaled:
        pytest.skip(f"nothing on a {subject.kind} tells whose it is")
    resource = world.resource(subject)
    session = world.session()
    created = session.create(resource, world.deadline()).external_id
    session.close()
    assert resource.external_id is None
    plan = world.converge()
    assert {subject: Action.ADOPT} == actions(plan)
    assert created == world.entry(subject).external_id


@pytest.fixture
def journaled(kind: str, world: Harness) -> None:
    if kind not in world.under_test.journaled:
        pytest.skip(f"a {kind} itself tells whose it is")


class Killed(BaseException):
    """What ends a run at once, with nothing more recorded."""


def die(world: Harness, plan: Plan, monkeypatch: pytest.MonkeyPatch) -> None:
    """Apply a plan, and die when the first call has had its effect, before that is recorded."""

    def killed(*_: Any, **__: Any) -> NoReturn:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "settle", killed)
        with pytest.raises(Killed):
            world.apply(plan)


def expect_foreign(world: Harness, subject: Address, picture: object) -> None:
    """The next plan takes what has the name for somebody else's, and it was not touched."""
    with pytest.raises(ProvisionerError) as caught:
        world.plan()
    assert ["PRV2010"] == [item.code for item in caught.value.diagnostics]
    assert picture == world.under_test.outside.picture(*subject)


@pytest.mark.usefixtures("journaled")
def test_what_a_killed_run_made_is_completed(
    world: Harness, subject: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(world, world.plan(), monkeypatch)
    made = world.under_test.outside.picture(*subject)
    assert made is not None
    plan = world.converge()
    assert {subject: Action.CREATE} == actions(plan)
    assert made == world.under_test.outside.picture(*subject)


@pytest.mark.usefixtures("journaled")
def test_what_a_killed_run_made_goes_when_nobody_wants_it(
    world: Harness, subject: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    die(world, world.plan(), monkeypatch)
    world.erase(subject)
    plan = world.plan()
    assert {subject: Action.DELETE} == actions(plan)
    world.carry_out(plan)
    assert world.under_test.outside.picture(*subject) is None


@pytest.mark.usefixtures("journaled")
def test_what_no_intent_tells_of_is_somebody_elses(world: Harness, subject: Address) -> None:
    session = world.session()
    session.create(world.resource(subject), world.deadline())
    session.close()
    expect_foreign(world, subject, world.under_test.outside.picture(*subject))


@pytest.mark.usefixtures("journaled")
def test_what_appears_before_the_apply_is_not_taken(world: Harness, subject: Address) -> None:
    plan = world.plan()
    world.under_test.outside.add(*subject)
    picture = world.under_test.outside.picture(*subject)
    with pytest.raises(StalePlan):
        world.apply(plan)
    expect_foreign(world, subject, picture)


@pytest.mark.usefixtures("journaled")
@pytest.mark.parametrize("killed_before", [False, True])
def test_what_appears_before_the_call_is_not_taken(
    world: Harness, subject: Address, monkeypatch: pytest.MonkeyPatch, killed_before: bool
) -> None:
    """Nor if an earlier run had begun to make it: that it had not was seen in the meantime."""
    outside = world.under_test.outside
    if killed_before:
        world.intend_creation(world.resource(subject))
    plan = world.plan()
    begin = world.store.begin

    def interfered(*args: Any) -> str:
        outside.add(*subject)
        return begin(*args)

    with monkeypatch.context() as patch:
        patch.setattr(world.store, "begin", interfered)
        report = world.apply(plan)
    assert (str(subject),) == report.failed
    expect_foreign(world, subject, outside.picture(*subject))


def test_deleting_twice_is_done_already(world: Harness, subject: Address) -> None:
    world.converge()
    resource = world.resource(subject)
    session = world.session()
    session.delete(resource, world.deadline())
    session.delete(resource, world.deadline())
    session.delete(replace(resource, external_id=None), world.deadline())
    found = session.observe([resource])[subject]
    session.close()
    assert Absent() == found


def test_a_lost_answer_to_a_deletion(world: Harness, subject: Address) -> None:
    world.converge()
    resource = world.resource(subject)
    session = world.session()
    world.under_test.lose_answer("delete")
    try:
        session.delete(resource, world.deadline())
    except Retryable:
        session.delete(resource, world.deadline())
    found = session.observe([resource])[subject]
    session.close()
    assert Absent() == found


def test_a_rename_keeps_the_object(world: Harness, subject: Address) -> None:
    world.converge()
    before = world.present(subject)
    renamed = world.subject(subject.kind)
    document = world.resource(subject)
    world.erase(subject)
    world.rewrite(renamed, subject)
    plan = world.converge()
    assert Action.RENAME is actions(plan)[renamed]
    after = world.present(renamed)
    assert before.external_id == after.external_id
    assert str(renamed) == (after.owner.address if after.owner else None)
    assert document.stamp.lineage == (after.owner.lineage if after.owner else None)
    world.erase(renamed)
    world.carry_out(world.plan())
