"""Laws 6, 7 and 9: reading is cheap, waits for nobody, and never takes silence for absence."""

from __future__ import annotations

import time
from dataclasses import replace
from uuid import UUID

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.core.values import canonical_json
from provisioner.engine.graph import ResourceGraph
from provisioner.providers.api import (
    Absent,
    Change,
    Observation,
    Present,
    ProviderError,
    Resource,
    Retryable,
    Session,
    Terminal,
    Undetermined,
)
from tests.conformance.provider.conftest import need
from tests.conformance.provider.harness import Harness, actions

NOWHERE = UUID("00000000-0000-5000-8000-00000000dead")


def test_every_target_gets_an_answer(world: Harness, subject: Address) -> None:
    world.converge()
    there = world.resource(subject)
    missing = [
        replace(
            there,
            address=Address(subject.kind, f"missing-{number}"),
            name=f"missing-{number}",
            uid=UUID(int=NOWHERE.int + number),
            external_id=f"missing-{number}",
            stamp=Stamp(there.stamp.lineage, f"{subject.kind}/missing-{number}"),
        )
        for number in range(3)
    ]
    session = world.session()
    answers = session.observe([*missing, there])
    session.close()
    assert {item.address: Absent() for item in missing} == {
        address: answer for address, answer in answers.items() if address != subject
    }
    assert isinstance(answers[subject], Present)


def test_nothing_is_asked_for_no_targets(world: Harness) -> None:
    session = world.session()
    assert {} == session.observe([])
    session.close()


def test_what_is_observed_is_plain_data(world: Harness, subject: Address) -> None:
    world.converge()
    found = world.present(subject)
    canonical_json([found.spec, found.outputs, found.facts, list(found.running.values())])
    assert found.fingerprint
    assert {} == found.running


def test_the_fingerprint_moves_when_the_object_does(world: Harness, subject: Address) -> None:
    if subject.kind not in world.under_test.drift:
        pytest.skip(f"nobody else can change a {subject.kind} there")
    world.rewrite(subject, subject, world.under_test.drift[subject.kind])
    world.converge()
    first = world.present(subject)
    assert first.fingerprint == world.present(subject).fingerprint
    world.under_test.outside.change(*subject)
    assert first.fingerprint != world.present(subject).fingerprint


def test_drift_is_seen_and_mended_in_place(world: Harness, subject: Address) -> None:
    if subject.kind not in world.under_test.drift:
        pytest.skip(f"nobody else can change a {subject.kind} there")
    world.rewrite(subject, subject, world.under_test.drift[subject.kind])
    world.converge()
    before = world.present(subject)
    path = world.under_test.outside.change(*subject)
    plan = world.converge()
    assert {subject: Action.UPDATE} == actions(plan)
    assert [path] == [change.path for change in plan.steps[0].changes]
    after = world.present(subject)
    assert (before.external_id, before.spec) == (after.external_id, after.spec)


def test_what_was_removed_outside_is_made_again(world: Harness, subject: Address) -> None:
    world.converge()
    world.under_test.outside.remove(*subject)
    assert {subject: Action.CREATE} == actions(world.converge())


def test_the_number_of_calls_does_not_grow_with_the_targets(
    world: Harness, subject: Address
) -> None:
    resource = world.resource(subject)
    session = world.session()
    session.observe([resource])

    def cost(targets: list[Resource]) -> int:
        before = world.under_test.calls()
        session.observe(targets)
        return world.under_test.calls() - before

    # Absent ones, so that the answer does not grow either.
    def missing(count: int) -> list[Resource]:
        return [
            replace(
                resource,
                address=Address(resource.kind, f"missing-{number}"),
                name=f"missing-{number}",
                uid=UUID(int=NOWHERE.int + number),
                external_id=None,
            )
            for number in range(count)
        ]

    few, many = cost(missing(2)), cost(missing(200))
    session.close()
    assert 0 < few == many


def test_reading_a_running_machine_waits_for_no_guest(world: Harness) -> None:
    need(world, "VirtualMachine", "power", "guestAgent")
    address = world.subject("VirtualMachine")
    # No disk, no operating system: whoever asks the guest anything waits for ever.
    silent = {"memory": {"size": "64MiB"}, "guestAgent": True, "shutdownTimeout": "0s"}
    world.write(address, silent | {"power": "running"})
    try:
        world.converge()
        session = world.session()
        resource = world.resource(address)
        session.observe([resource])
        started = time.monotonic()
        found = session.observe([resource])[address]
        took = time.monotonic() - started
        session.close()
        assert isinstance(found, Present)
        assert took < 2.0
    finally:
        world.erase(address)
        world.carry_out(world.plan())


def test_silence_is_not_absence(world: Harness, subject: Address) -> None:
    """While the endpoint cannot be reached, nothing is Absent; afterwards the session works on."""
    world.converge()
    resource = world.resource(subject)
    session = world.session()
    assert isinstance(session.observe([resource])[subject], Present)
    with world.under_test.cut_off():
        try:
            answer = session.observe([resource])[subject]
        except ProviderError as problem:
            check(problem)
        else:
            assert isinstance(answer, Undetermined)
    assert isinstance(recovered(resource, session), Present)
    session.close()


def recovered(resource: Resource, session: Session) -> Observation:
    """What is observed once the endpoint can be reached again; a lost connection may cost a
    Retryable first."""
    for _ in range(5):
        try:
            return session.observe([resource])[resource.address]
        except Retryable as problem:
            time.sleep(problem.after)
    return session.observe([resource])[resource.address]


def check(problem: ProviderError) -> None:
    """What leaves a plugin is one of the two errors, with a diagnostic that helps a person."""
    assert isinstance(problem, Retryable | Terminal)
    found = problem.diagnostic
    assert found.code.startswith("PRV5")
    assert found.summary
    assert not found.summary.endswith(".")
    if isinstance(problem, Retryable):
        assert 0 <= problem.after <= 60


def test_every_call_that_cannot_reach_the_endpoint_says_so(
    world: Harness, subject: Address
) -> None:
    world.converge()
    resource, observed = world.resource(subject), world.present(subject)
    change = Change(("labels",), None, {"a": "b"}, Impact.LIVE)
    session = world.session()
    with world.under_test.cut_off():
        for call in (
            lambda: session.observe([resource]),
            lambda: list(session.discover({subject.kind})),
            lambda: session.create(resource, world.deadline(3)),
            lambda: session.update(
                resource, observed, [change], restart=False, deadline=world.deadline(3)
            ),
            lambda: session.adopt(resource, observed, world.deadline(3)),
            lambda: session.delete(resource, world.deadline(3)),
        ):
            with pytest.raises(ProviderError) as caught:
                call()
            check(caught.value)
    assert observed.spec == getattr(recovered(resource, session), "spec", None)
    session.close()


def test_a_plan_while_the_endpoint_is_away_plans_nothing(world: Harness, subject: Address) -> None:
    world.converge()
    with world.under_test.cut_off(), pytest.raises(ProvisionerError) as caught:
        world.plan()
    assert all(item.code.startswith("PRV5") for item in caught.value.diagnostics)
    world.expect_nothing_to_do()


def test_a_deadline_that_has_passed(world: Harness, subject: Address) -> None:
    resource = world.resource(subject)
    session = world.session()
    late = Deadline.after(-1.0, world.clock)
    with pytest.raises(Retryable) as caught:
        session.create(resource, late)
    check(caught.value)
    assert Absent() == session.observe([resource])[subject]
    session.create(resource, world.deadline())
    found = session.observe([resource])[subject]
    assert isinstance(found, Present)
    change = Change(("labels",), None, {"a": "b"}, Impact.LIVE)
    with pytest.raises(Retryable) as caught:
        session.update(resource, found, [change], restart=False, deadline=late)
    check(caught.value)
    with pytest.raises(Retryable) as caught:
        session.delete(resource, late)
    check(caught.value)
    assert found == session.observe([resource])[subject]
    session.delete(resource, world.deadline())
    session.close()


def test_a_fingerprint_is_that_of_the_object_alone(world: Harness, subject: Address) -> None:
    """Plan and apply ask with other targets, and with no more known than what it stands on."""
    world.converge()
    resources = world.resources()
    every, alone = list(resources.values()), resources[subject]
    needed = {subject, *ResourceGraph.of(world.load()).all_dependencies([subject])}
    strange = replace(alone, related={address: resources[address] for address in needed})
    session = world.session()
    found = {
        observed.fingerprint
        for observed in (
            session.observe(every)[subject],
            session.observe([alone])[subject],
            session.observe([strange])[subject],
        )
        if isinstance(observed, Present)
    }
    session.close()
    assert 1 == len(found)


def test_changing_what_is_gone(world: Harness, subject: Address) -> None:
    world.converge()
    resource, observed = world.resource(subject), world.present(subject)
    world.under_test.outside.remove(*subject)
    session = world.session()
    change = Change(("labels",), None, {"a": "b"}, Impact.LIVE)
    with pytest.raises(ProviderError) as caught:
        session.update(resource, observed, [change], restart=False, deadline=world.deadline())
    check(caught.value)
    session.close()


def test_discovery_tells_everything_in_a_stable_order(world: Harness, subject: Address) -> None:
    world.converge()
    external_id = world.entry(subject).external_id
    session = world.session()
    kinds = world.provider.describe().kinds
    first = [(item.kind, item.name, item.observed.external_id) for item in session.discover(kinds)]
    again = [(item.kind, item.name, item.observed.external_id) for item in session.discover(kinds)]
    none = list(session.discover(()))
    session.close()
    assert first == again
    assert (subject.kind, external_id) in {(kind, found) for kind, _, found in first}
    assert {kind for kind, _, _ in first} <= kinds
    assert [] == none
