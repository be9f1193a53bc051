"""What is decided about one resource: each row of the table in docs/architecture.md, and what is
held, deferred or replaced.
"""

from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import error
from provisioner.core.identity import Stamp
from provisioner.engine.decide import NOTHING, Decision, Policy, owned
from provisioner.manifest.model import Declaration
from provisioner.providers.api import Absent, Change, Observation, Undetermined
from provisioner.state.model import Entry
from tests.unit.engine.deciding import about
from tests.unit.engine.made import (
    LINEAGE,
    Situation,
    declared,
    foreign,
    intent,
    ours,
    recorded,
)

OTHER_STACK = Stamp("3f7d0d55-2f57-4a3c-8f46-0f9f7a3f9f00", "Vm/v")


def problem(decision: Decision) -> tuple[str, str]:
    assert decision.problem is not None
    assert decision.action is None
    return decision.problem.code, decision.problem.summary


# Desired and absent


def test_desired_and_absent_is_created() -> None:
    assert Decision(Action.CREATE) == about(Absent(), want=declared("Vm/v"))


def test_desired_recorded_and_absent_is_created_anew() -> None:
    decision = about(Absent(), want=declared("Vm/v"), entry=recorded("Vm/v"))
    assert Decision(Action.CREATE, reason="it was removed outside") == decision


# Desired, ours, equal


def test_desired_and_equal_needs_nothing() -> None:
    spec = {"cpu": 2}
    decision = about(ours("Vm/v", spec), want=declared("Vm/v", spec), entry=recorded("Vm/v", spec))
    assert NOTHING == decision


def test_desired_equal_and_not_recorded_is_adopted() -> None:
    decision = about(ours("Vm/v", {"cpu": 2}), want=declared("Vm/v", {"cpu": 2}))
    assert (Action.ADOPT, Impact.NONE, "it carries our stamp, but was not recorded") == (
        decision.action,
        decision.impact,
        decision.reason,
    )


def test_desired_equal_and_recorded_elsewhere_is_renamed() -> None:
    decision = about(
        ours("Vm/old"), want=declared("Vm/v", renamed_from="old"), entry=recorded("Vm/old")
    )
    assert (Action.RENAME, Impact.NONE, "it was Vm/old") == (
        decision.action,
        decision.impact,
        decision.reason,
    )


def test_a_rename_carries_changes_along() -> None:
    decision = about(
        ours("Vm/old", {"cpu": 1}),
        want=declared("Vm/v", {"cpu": 2}, renamed_from="old"),
        entry=recorded("Vm/old", {"cpu": 1}),
    )
    assert (Action.RENAME, Impact.LIVE, 1) == (
        decision.action,
        decision.impact,
        len(decision.changes),
    )


# Desired, ours, different


def test_desired_and_different_is_updated() -> None:
    decision = about(
        ours("Vm/v", {"cpu": 1}), want=declared("Vm/v", {"cpu": 2}), entry=recorded("Vm/v")
    )
    change = Change(("cpu",), 1, 2, Impact.LIVE, "cpu changes")
    assert Decision(Action.UPDATE, (change,), Impact.LIVE) == decision


def test_the_provider_has_the_last_word_on_an_impact() -> None:
    decision = about(
        ours("Vm/v", {"cpu": 1}),
        want=declared("Vm/v", {"cpu": 2}),
        entry=recorded("Vm/v"),
        policy=Policy(Impact.RESTART),
        impacts={("cpu",): Impact.RESTART},
    )
    assert (Action.UPDATE, Impact.RESTART, True) == (
        decision.action,
        decision.impact,
        decision.restart,
    )


@pytest.mark.parametrize(
    ("found", "action"), [("qcow2", None), ("raw", Action.REPLACE)], ids=["as it is", "another"]
)
def test_what_is_not_said_any_more_is_what_the_provider_makes_of_it(
    found: str, action: Action | None
) -> None:
    decision = about(
        ours("Disk/d", {"format": found}),
        want=declared("Disk/d"),
        entry=recorded("Disk/d", {"format": found}),
        defaults={"Disk": {"format": "qcow2"}},
    )
    assert action == decision.action


def test_what_cannot_be_changed_in_place_is_replaced() -> None:
    decision = about(
        ours("Vm/v", {"machine": "pc", "cpu": 1}),
        want=declared("Vm/v", {"machine": "q35", "cpu": 2}),
        entry=recorded("Vm/v"),
    )
    assert (Action.REPLACE, Impact.REPLACE, "machine changes", "delete-first", 2) == (
        decision.action,
        decision.impact,
        decision.reason,
        decision.replace_order,
        len(decision.changes),
    )


@pytest.mark.parametrize(
    ("kind", "field", "chosen", "expected"),
    [
        ("Vm", "machine", None, "delete-first"),
        ("Vm", "machine", "delete-first", "delete-first"),
        ("Disk", "format", None, "create-first"),
        ("Disk", "format", "create-first", "create-first"),
        ("Disk", "format", "delete-first", "delete-first"),
    ],
)
def test_the_order_of_a_replacement(
    kind: str, field: str, chosen: str | None, expected: str
) -> None:
    decision = about(
        ours(f"{kind}/x", {field: "a"}),
        want=declared(f"{kind}/x", {field: "b"}, replace_order=chosen),
        entry=recorded(f"{kind}/x"),
    )
    assert expected == decision.replace_order


def test_creating_first_needs_names_that_allow_it() -> None:
    decision = about(
        ours("Vm/v", {"machine": "a"}),
        want=declared("Vm/v", {"machine": "b"}, replace_order="create-first"),
        entry=recorded("Vm/v"),
    )
    assert ("PRV2012", "Vm/v cannot be replaced by creating first") == problem(decision)


def test_on_another_host_a_name_is_free() -> None:
    decision = about(ours("Vm/v"), want=declared("Vm/v", host="there"), entry=recorded("Vm/v"))
    change = Change(("host",), "here", "there", Impact.REPLACE, "it moves to another host")
    expected = Decision(
        Action.REPLACE, (change,), Impact.REPLACE, change.reason, replace_order="create-first"
    )
    assert expected == decision


# Desired, not ours


def test_an_object_of_nobody_is_an_error() -> None:
    decision = about(foreign("Vm/v"), want=declared("Vm/v"))
    summary = "the name 'v' is taken on Host/here by an object that is not ours"
    assert ("PRV2010", summary) == problem(decision)


def test_an_object_of_nobody_is_adopted_with_consent() -> None:
    policy = Policy(Impact.LIVE, (AddressPattern("Vm", "*"),))
    decision = about(foreign("Vm/v", {"cpu": 9}), want=declared("Vm/v", {"cpu": 1}), policy=policy)
    assert Decision(Action.ADOPT, reason="it exists and has no owner") == decision


def test_what_can_have_no_mark_is_adopted_with_a_warning() -> None:
    policy = Policy(Impact.LIVE, (AddressPattern("*", "*"),))
    decision = about(foreign("Pool/p"), want=declared("Pool/p"), policy=policy)
    reason = (
        "it exists; no Pool on Host/here can carry a mark, so make sure that no other stack has it"
    )
    assert Decision(Action.ADOPT, reason=reason) == decision


def test_consent_is_for_what_it_names() -> None:
    policy = Policy(Impact.LIVE, (AddressPattern("Vm", "w*"),))
    assert "PRV2010" == problem(about(foreign("Vm/v"), want=declared("Vm/v"), policy=policy))[0]


@pytest.mark.parametrize("adopt", [(), (AddressPattern("*", "*"),)])
@pytest.mark.parametrize(
    ("owner", "whose"),
    [
        (OTHER_STACK, "Vm/v of another stack, or of another environment of this one"),
        (Stamp(str(LINEAGE), "Vm/w"), "Vm/w of this stack"),
    ],
)
def test_an_object_of_somebody_is_never_taken(
    adopt: tuple[AddressPattern, ...], owner: Stamp, whose: str
) -> None:
    decision = about(
        foreign("Vm/v", owner=owner), want=declared("Vm/v"), policy=Policy(Impact.LIVE, adopt)
    )
    assert ("PRV2011", f"the name 'v' is taken on Host/here by {whose}") == problem(decision)


def test_an_object_that_lost_its_stamp_is_not_ours_any_more() -> None:
    decision = about(foreign("Vm/v"), want=declared("Vm/v"), entry=recorded("Vm/v"))
    assert "PRV2010" == problem(decision)[0]


# Not desired


def test_not_desired_is_deleted() -> None:
    decision = about(ours("Vm/v"), entry=recorded("Vm/v"))
    assert Decision(Action.DELETE, impact=Impact.REPLACE) == decision


def test_what_goes_along_is_told_and_data_is_data() -> None:
    found = replace(ours("Vm/v"), goes_along=("its memory", "its notes"), holds_data=True)
    expected = Decision(
        Action.DELETE, impact=Impact.DATA_LOSS, reason="with it goes its memory, its notes"
    )
    assert expected == about(found, entry=recorded("Vm/v"))


@pytest.mark.parametrize(
    ("spec", "action", "impact"),
    [
        ({"retention": "keep"}, Action.FORGET, Impact.NONE),
        ({"retention": "delete"}, Action.DELETE, Impact.DATA_LOSS),
        ({}, Action.DELETE, Impact.DATA_LOSS),
    ],
)
def test_data_is_kept_where_it_says_so(
    spec: dict[str, Any], action: Action, impact: Impact
) -> None:
    decision = about(ours("Disk/d"), entry=recorded("Disk/d", spec))
    assert (action, impact) == (decision.action, decision.impact)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ({"volume": "run4.qcow2"}, "source.volume: run4.qcow2"),
        ({"item": {"library": "images", "item": "debian"}}, "source.item: images debian"),
    ],
)
def test_what_was_there_before_is_forgotten(source: dict[str, Any], told: str) -> None:
    spec = {"retention": "delete", "source": source}
    decision = about(ours("Disk/d"), entry=recorded("Disk/d", spec))
    reason = f"it was there before, and stays ({told})"
    assert Decision(Action.FORGET, reason=reason) == decision


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        (Absent(), "it is already gone"),
        (foreign("Vm/v"), "the object found under its name is not ours"),
        (foreign("Vm/v", owner=OTHER_STACK), "the object found under its name is not ours"),
    ],
)
def test_what_is_gone_or_not_ours_is_forgotten(observation: Observation, reason: str) -> None:
    decision = about(observation, entry=recorded("Vm/v"))
    assert Decision(Action.FORGET, reason=reason) == decision


def test_what_an_interrupted_run_made_for_nobody_is_deleted() -> None:
    decision = about(ours("Vm/v"), left=(intent("Vm/v"),))
    reason = "an interrupted run made it and nothing declares it"
    assert Decision(Action.DELETE, impact=Impact.REPLACE, reason=reason) == decision


@pytest.mark.parametrize("observation", [foreign("Vm/v"), ours("Vm/v", generation=3)])
def test_what_an_interrupted_run_did_not_make_needs_nothing(observation: Observation) -> None:
    assert NOTHING == about(observation, left=(intent("Vm/v"),))


@pytest.mark.parametrize(
    ("action", "generation", "reason"),
    [
        ("delete", 0, "its successor has replaced it"),
        ("create", 2, "an interrupted run made it"),
    ],
)
def test_a_generation_without_a_place_is_deleted(action: str, generation: int, reason: str) -> None:
    decision = about(
        ours("Disk/d", generation=generation),
        want=declared("Disk/d"),
        entry=recorded("Disk/d", {"retention": "keep"}, generation=1),
        left=(intent("Disk/d", action, generation=generation),),
        address=f"Disk/d#{generation}",
    )
    assert Decision(Action.DELETE, impact=Impact.DATA_LOSS, reason=reason) == decision


# Not known


def test_what_cannot_be_determined_is_a_problem() -> None:
    unreadable = error("PRV5999", "it does not say")
    decision = about(Undetermined(unreadable), want=declared("Vm/v"))
    assert Decision(problem=unreadable.about("Vm/v")) == decision


# Ownership


@pytest.mark.parametrize(
    ("owner", "expected"),
    [
        (Stamp(str(LINEAGE), "Vm/v"), True),
        (Stamp(str(LINEAGE), "Vm/old"), True),
        (Stamp(str(LINEAGE), "Vm/other"), False),
        (OTHER_STACK, False),
        (None, False),
    ],
)
def test_an_object_is_ours_by_its_stamp(owner: Stamp | None, expected: bool) -> None:
    situation = Situation((declared("Vm/v", renamed_from="old"),), (recorded("Vm/old"),))
    subject = situation.subjects()[Address("Vm", "v")]
    assert expected is owned(subject, foreign("Vm/v", owner=owner))


# Protection and maintenance


@pytest.mark.parametrize(
    ("want", "entry"),
    [
        (declared("Vm/v", {"machine": "b"}, protect=True), recorded("Vm/v", {"machine": "a"})),
        (None, recorded("Vm/v", protect=True)),
    ],
)
def test_protection_holds_replacement_and_deletion(want: Declaration | None, entry: Entry) -> None:
    decision = about(ours("Vm/v", {"machine": "a"}), want=want, entry=entry)
    assert "it is protected (metadata.protect)" == decision.held


def test_protection_that_was_taken_back_holds_nothing() -> None:
    decision = about(
        ours("Vm/v", {"machine": "a"}),
        want=declared("Vm/v", {"machine": "b"}),
        entry=recorded("Vm/v", protect=True),
    )
    assert (Action.REPLACE, None) == (decision.action, decision.held)


@pytest.mark.parametrize(
    ("observation", "spec", "action"),
    [
        (ours("Vm/v", {"cpu": 1}), {"cpu": 2}, Action.UPDATE),
        (Absent(), {"cpu": 2}, Action.CREATE),
        (ours("Vm/v", {"cpu": 2}), {"cpu": 2}, None),
    ],
)
def test_protection_holds_nothing_else(
    observation: Observation, spec: dict[str, Any], action: Action | None
) -> None:
    decision = about(
        observation,
        want=declared("Vm/v", spec, protect=True),
        entry=recorded("Vm/v", spec, protect=True),
    )
    assert (action, None) == (decision.action, decision.held)


def test_a_protected_disk_is_not_even_forgotten() -> None:
    decision = about(ours("Disk/d"), entry=recorded("Disk/d", {"retention": "keep"}, protect=True))
    assert (Action.FORGET, "it is protected (metadata.protect)") == (
        decision.action,
        decision.held,
    )


@pytest.mark.parametrize("host", ["here", "there"])
def test_maintenance_holds_whatever_touches_the_host(host: str) -> None:
    decision = about(
        ours("Vm/v"),
        want=declared("Vm/v", host="there"),
        entry=recorded("Vm/v"),
        policy=Policy(Impact.REPLACE, maintenance=frozenset({host})),
    )
    assert (Action.REPLACE, f"Host/{host} is in maintenance") == (decision.action, decision.held)


def test_forgetting_touches_no_host() -> None:
    policy = Policy(Impact.LIVE, maintenance=frozenset({"here"}))
    decision = about(Absent(), entry=recorded("Vm/v"), policy=policy)
    assert (Action.FORGET, None) == (decision.action, decision.held)
