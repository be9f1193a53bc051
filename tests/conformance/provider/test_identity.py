"""Law 2: one object however often it is created. Law 10: a creation whose answer was lost."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from provisioner.core.actions import Action
from provisioner.core.address import Address
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
    found = session.observe([resource])[subject]
    session.close()
    assert isinstance(found, Present)
    assert resource.stamp == found.owner
    assert outcome.external_id == found.external_id
    assert outcome.outputs == found.outputs


def test_creating_twice_gives_one_object(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    first, second = world.session(), world.session()
    before = ids(first, subject.kind)
    outcomes = [
        session.create(resource, world.deadline()).external_id for session in (first, first, second)
    ]
    after = ids(second, subject.kind)
    first.close()
    second.close()
    assert 1 == len(set(outcomes))
    assert Counter(outcomes[:1]) == after - before


def test_creating_at_the_same_time_gives_one_object(world: Harness, subject: Address) -> None:
    """An attempt that was given up may still be under way: some may fail, none may spoil another's
    work, and asking once more completes it."""
    resource = world.resource(subject)
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
    world.converge()


def test_a_lost_answer_is_made_good_by_asking_again(world: Harness, subject: Address) -> None:
    """In one apply: the engine repeats the call, and there is one object."""
    world.under_test.lose_answer("create")
    plan = world.converge()
    assert {subject: Action.CREATE} == actions(plan)
    assert world.entry(subject).external_id == world.present(subject).external_id


def test_an_object_that_was_never_recorded_is_found_again(world: Harness, subject: Address) -> None:
    """The process died after the creation: nothing but the identity is known."""
    resource = world.resource(subject)
    session = world.session()
    created = session.create(resource, world.deadline()).external_id
    session.close()
    assert resource.external_id is None
    plan = world.converge()
    assert {subject: Action.ADOPT} == actions(plan)
    assert created == world.entry(subject).external_id


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
