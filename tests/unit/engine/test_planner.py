"""Whole plans, made of subjects and a pure provider: order, replacement, what is kept and held,
outputs, context, digest.
"""

import random
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import identity
from provisioner.engine.plan import Known, Plan, Step
from provisioner.engine.planner import make_plan
from provisioner.engine.selection import Selection
from provisioner.providers.api import Present
from tests.unit.engine.made import (
    LINEAGE,
    Situation,
    declared,
    foreign,
    intent,
    ours,
    outline,
    recorded,
)

STACK = (
    declared("Net/lan", {"mtu": 1500}),
    declared("Pool/main", {"path": "/p"}),
    declared("Disk/image", {"pool": "main"}, "Pool/main"),
    declared("Disk/web", {"pool": "main", "image": "image"}, "Pool/main", "Disk/image"),
    declared("Vm/web", {"disks": {"web": {}}}, "Disk/web", "Net/lan"),
)
ENTRIES = tuple(
    recorded(str(item.address), item.spec, *sorted({str(r.target) for r in item.references}))
    for item in STACK
)
FOUND = {str(item.address): ours(str(item.address), item.spec) for item in STACK}
APPLIED = Situation(STACK, ENTRIES, FOUND)


def the_step(plan: Plan, step_id: str) -> Step:
    (step,) = (step for step in (*plan.steps, *plan.held) if step.id == step_id)
    return step


def edited(address: str, **spec: Any) -> Situation:
    """The applied stack with other values in one manifest."""
    declarations = tuple(
        replace(item, spec={**item.spec, **spec}) if str(item.address) == address else item
        for item in STACK
    )
    return replace(APPLIED, declarations=declarations)


def without(*addresses: str) -> Situation:
    """The applied stack less some manifests."""
    left = tuple(item for item in STACK if str(item.address) not in addresses)
    return replace(APPLIED, declarations=left)


# Nothing, everything


def test_what_is_as_it_should_be_needs_no_step() -> None:
    plan = APPLIED.plan()
    assert ([], (), (), 5) == (outline(plan), plan.refresh, plan.context, plan.unchanged)


def test_creation_begins_with_what_others_need() -> None:
    plan = Situation(STACK).plan()
    assert [
        ("Net/lan", ()),
        ("Pool/main", ()),
        ("Disk/image", ("Pool/main",)),
        ("Disk/web", ("Disk/image", "Pool/main")),
        ("Vm/web", ("Disk/web", "Net/lan")),
    ] == sorted(
        ((step.id, step.depends_on) for step in plan.steps),
        key=lambda item: [str(d.address) for d in STACK].index(item[0]),
    )
    order = [step.id for step in plan.steps]
    assert all(
        order.index(needed) < order.index(step.id)
        for step in plan.steps
        for needed in step.depends_on
    )


def test_removal_begins_with_what_needs_others() -> None:
    plan = APPLIED.plan(destroy=True)
    assert {
        "Vm/web": (),
        "Net/lan": ("Vm/web",),
        "Disk/web": ("Vm/web",),
        "Disk/image": ("Disk/web",),
        "Pool/main": ("Disk/image", "Disk/web"),
    } == {step.id: step.depends_on for step in plan.steps}


def test_what_goes_waits_for_those_that_let_go_of_it() -> None:
    declarations = (*STACK[:3], replace(STACK[4], spec={"disks": {}}, references=()))
    plan = replace(APPLIED, declarations=declarations).plan()
    assert ["update Vm/web", "delete Disk/web"] == outline(plan)
    assert ("Vm/web",) == the_step(plan, "Disk/web").depends_on


@pytest.mark.parametrize("seed", range(5))
def test_the_plan_does_not_depend_on_the_order_of_anything(seed: int) -> None:
    shuffled = random.Random(seed)
    same = Situation(
        tuple(shuffled.sample(STACK, 5)),
        tuple(shuffled.sample(ENTRIES, 5)),
        dict(shuffled.sample(list(FOUND.items()), 5)),
    )
    for destroy in (False, True):
        assert APPLIED.plan(destroy=destroy).digest == same.plan(destroy=destroy).digest


# What a step says


def test_a_step_says_what_apply_relies_on() -> None:
    plan = edited("Net/lan", mtu=9000).plan()
    step = the_step(plan, "Net/lan")
    assert ("print-Net/lan", 3, {"mtu": 9000}, "id-of-Net/lan") == (
        step.fingerprint,
        step.prior_serial,
        step.known.spec,
        step.known.external_id,
    )
    assert step.previous is not None
    assert {"mtu": 1500} == step.previous.spec


def test_a_creation_relies_on_absence() -> None:
    step = the_step(Situation((declared("Net/n"),)).plan(), "Net/n")
    assert ("absent", 0, None, None) == (
        step.fingerprint,
        step.prior_serial,
        step.previous,
        step.known.external_id,
    )
    assert str(identity(LINEAGE, Address("Net", "n"))) == step.known.uid


def test_what_is_recorded_in_other_words_is_refreshed() -> None:
    entries = (recorded("Net/lan", {}), *ENTRIES[1:])
    plan = replace(APPLIED, entries=entries).plan()
    assert ([], [("Net/lan", {"mtu": 1500})]) == (
        outline(plan),
        [(str(known.address), known.spec) for known in plan.refresh],
    )


def test_protection_alone_is_refreshed() -> None:
    declarations = (replace(STACK[0], protect=True), *STACK[1:])
    plan = replace(APPLIED, declarations=declarations).plan()
    assert [(True, "Net/lan")] == [(known.protect, str(known.address)) for known in plan.refresh]


def test_what_was_made_and_not_recorded_keeps_its_generation() -> None:
    plan = Situation((declared("Disk/d"),), found={"Disk/d": ours("Disk/d", generation=4)}).plan()
    known = the_step(plan, "Disk/d").known
    expected = str(identity(LINEAGE, Address("Disk", "d"), 4))
    assert ["adopt Disk/d"] == outline(plan)
    assert (4, expected) == (known.generation, known.uid)


# Replacement


def test_deleting_first_is_one_step_that_keeps_the_identity() -> None:
    plan = edited("Net/lan", mode="routed").plan()
    assert ["replace Net/lan"] == outline(plan)
    step = the_step(plan, "Net/lan")
    assert step.previous is not None
    assert ("delete-first", 0, step.previous.uid) == (
        step.replace_order,
        step.known.generation,
        step.known.uid,
    )
    assert (None, {}) == (step.known.external_id, step.known.outputs)


def test_creating_first_is_two_steps_with_two_identities() -> None:
    declarations = (
        *STACK[:3],
        replace(STACK[3], spec={**STACK[3].spec, "format": "raw"}),
        replace(STACK[4], spec={**STACK[4].spec, "cpu": 2}),
    )
    plan = replace(APPLIED, declarations=declarations).plan()
    assert ["replace Disk/web", "update Vm/web", "delete Disk/web#old"] == outline(plan)
    new, old = the_step(plan, "Disk/web"), the_step(plan, "Disk/web#old")
    assert ("create-first", 1, str(identity(LINEAGE, new.address, 1))) == (
        new.replace_order,
        new.known.generation,
        new.known.uid,
    )
    assert (new.previous, new.fingerprint, new.prior_serial) == (
        old.known,
        old.fingerprint,
        old.prior_serial,
    )
    assert (("Disk/web", "Vm/web"), ("Disk/web",)) == (
        old.depends_on,
        the_step(plan, "Vm/web").depends_on,
    )


def test_generations_count_on() -> None:
    entries = tuple(
        replace(e, generation=6) if e.address.name == "web" and e.address.kind == "Disk" else e
        for e in ENTRIES
    )
    found = {**FOUND, "Disk/web": ours("Disk/web", STACK[3].spec, generation=6)}
    situation = replace(edited("Disk/web", format="raw"), entries=entries, found=found)
    assert 7 == the_step(situation.plan(), "Disk/web").known.generation


def test_what_no_endpoint_tells_follows_a_rename() -> None:
    """The pool in which a machine's seed was put."""
    plan = Situation(
        (declared("Pool/q", renamed_from="p"), declared("Vm/v", {"seed": {"pool": "q"}}, "Pool/q")),
        (recorded("Pool/p"), recorded("Vm/v", {"seed": {"pool": "p"}}, "Pool/p")),
        {"Pool/q": ours("Pool/p"), "Vm/v": ours("Vm/v")},
    ).plan()
    assert ["rename Pool/q"] == outline(plan)
    assert () == plan.refresh


def test_a_replacement_loses_the_old_name_of_a_rename() -> None:
    plan = Situation(
        (declared("Net/new", {"mode": "b"}, renamed_from="old"),),
        (recorded("Net/old", {"mode": "a"}),),
        {"Net/new": ours("Net/old", {"mode": "a"})},
    ).plan()
    step = the_step(plan, "Net/new")
    assert step.previous is not None
    assert ("new", "old", "Net/old") == (
        step.known.name,
        step.previous.name,
        str(step.previous.address),
    )


# Kept


def keeping(spec: dict[str, Any]) -> Situation:
    """Nothing declared; a disk of this spec on an image."""
    entries = (
        recorded("Pool/main"),
        recorded("Disk/image", {"retention": "delete"}, "Pool/main"),
        recorded("Disk/web", spec, "Disk/image", "Pool/main"),
    )
    return Situation(
        entries=entries, found={str(e.address): FOUND[str(e.address)] for e in entries}
    )


def test_a_kept_disk_keeps_its_image() -> None:
    plan = keeping({"retention": "keep", "image": "image"}).plan()
    assert {
        "Disk/web": ("forget", "its data is kept (retention: keep)"),
        "Disk/image": ("forget", "Disk/web, whose data is kept, needs it"),
        "Pool/main": ("delete", ""),
    } == {step.id: (step.action.value, step.reason) for step in plan.steps}
    assert () == plan.refused


def test_a_chain_of_images_is_kept_down_to_the_last() -> None:
    situation = keeping({"retention": "keep", "image": "image"})
    base = recorded("Disk/base", {"retention": "delete"}, "Pool/main")
    image = recorded("Disk/image", {"image": "base"}, "Disk/base", "Pool/main")
    plan = replace(
        situation,
        entries=(situation.entries[0], base, image, situation.entries[2]),
        found={**situation.found, "Disk/base": ours("Disk/base")},
    ).plan()
    assert {"Disk/web", "Disk/image", "Disk/base"} == {
        step.id for step in plan.steps if step.action.value == "forget"
    }


def test_a_disk_that_goes_keeps_nothing() -> None:
    plan = keeping({"retention": "delete", "image": "image"}).plan()
    assert {"delete"} == {step.action.value for step in plan.steps}


# Held


def test_a_held_step_holds_what_it_needs_however_far() -> None:
    entries = tuple(replace(e, protect=e.address.kind == "Vm") for e in ENTRIES)
    plan = replace(APPLIED, entries=entries).plan(destroy=True)
    assert (set(), {str(item.address) for item in STACK}) == (
        {step.id for step in plan.steps},
        {step.id for step in plan.held},
    )
    assert "Disk/web, which is held, needs it" == the_step(plan, "Disk/image").held


def test_the_rest_of_a_plan_with_held_steps_goes_on() -> None:
    entries = tuple(replace(e, protect=str(e.address) == "Net/lan") for e in ENTRIES)
    plan = replace(APPLIED, entries=entries).plan(destroy=True)
    assert ["Vm/web", "Disk/web", "Disk/image", "Pool/main"] == [step.id for step in plan.steps]
    assert ["Net/lan"] == [step.id for step in plan.held]


def test_what_an_unselected_resource_needs_is_held() -> None:
    plan = APPLIED.plan(unselected=["Vm/web"], destroy=True)
    assert "Vm/web, which is not selected, needs it" == the_step(plan, "Net/lan").held
    assert () == plan.steps


def test_maintenance_holds_the_steps_on_a_host() -> None:
    hosts = {"here": {"maintenance": True}, "there": {}}
    plan = Situation((declared("Net/a"), declared("Net/b", host="there")), hosts=hosts).plan()
    assert (["Net/b"], ["Net/a"]) == (
        [step.id for step in plan.steps],
        [step.id for step in plan.held],
    )


# Outputs

BRIDGE = {"$unknown": "Net/lan:bridge"}
USER = declared("Vm/web", {"bridge": BRIDGE}, "Net/lan:bridge")


def using_output(network: Present | None, **spec: Any) -> Plan:
    """A machine that uses an output of a network with this spec and observation."""
    found = {"Vm/web": ours("Vm/web", {"bridge": "br0"})}
    if network is not None:
        found["Net/lan"] = network
    return Situation(
        (declared("Net/lan", spec), USER),
        (recorded("Net/lan", outputs={"bridge": "br0"}), recorded("Vm/web", {"bridge": "br0"})),
        found,
    ).plan()


def test_a_known_output_is_put_in() -> None:
    assert [] == outline(using_output(ours("Net/lan", outputs={"bridge": "br0"})))
    plan = using_output(ours("Net/lan", outputs={"bridge": "br1"}))
    (change,) = the_step(plan, "Vm/web").changes
    assert ("br0", "br1") == (change.before, change.after)


def test_an_output_of_what_is_made_anew_is_not_known() -> None:
    plan = using_output(None)
    assert ["create Net/lan", "update Vm/web"] == outline(plan)
    (change,) = the_step(plan, "Vm/web").changes
    assert ("br0", BRIDGE) == (change.before, change.after)
    assert {"bridge": BRIDGE} == the_step(plan, "Vm/web").known.spec


def test_an_output_of_what_is_replaced_is_not_known() -> None:
    network = ours("Net/lan", {"mode": "a"}, outputs={"bridge": "br0"})
    plan = using_output(network, mode="b")
    assert ["replace Net/lan", "update Vm/web"] == outline(plan)


def test_an_output_of_what_is_updated_is_as_it_is_now() -> None:
    network = ours("Net/lan", {"mtu": 1}, outputs={"bridge": "br0"})
    assert ["update Net/lan"] == outline(using_output(network, mtu=2))


def test_an_output_of_what_is_not_selected_is_as_recorded() -> None:
    situation = Situation(
        (declared("Net/lan"), USER),
        (recorded("Net/lan", outputs={"bridge": "br7"}),),
        {"Net/lan": ours("Net/lan", outputs={"bridge": "br8"})},
    )
    request = situation.request(unselected=["Net/lan"])
    observations = {a: o for a, o in request.observations.items() if a.kind != "Net"}
    plan = make_plan(replace(request, observations=observations))
    assert {"bridge": "br7"} == the_step(plan, "Vm/web").known.spec


# Context


def addresses(known: tuple[Known, ...]) -> list[str]:
    return [str(item.address) for item in known]


def test_the_context_is_all_that_steps_stand_on() -> None:
    plan = edited("Vm/web", cpu=3).plan()
    assert ["Disk/image", "Disk/web", "Net/lan", "Pool/main"] == addresses(plan.context)
    assert "id-of-Pool/main" == plan.context[-1].external_id


def test_what_has_a_step_is_no_context() -> None:
    declarations = tuple(replace(item, spec={**item.spec, "mtu": 9}) for item in STACK)
    assert () == replace(APPLIED, declarations=declarations).plan().context


def test_what_goes_has_its_context_though_nobody_selected_that() -> None:
    situation = without("Vm/web", "Disk/web")
    plan = situation.plan(unselected=["Pool/main", "Disk/image", "Net/lan"])
    assert {"Vm/web", "Disk/web"} == {step.id for step in plan.steps}
    assert ["Disk/image", "Net/lan", "Pool/main"] == addresses(plan.context)


def test_only_endpoints_that_steps_use_are_kept() -> None:
    hosts = {"here": {"site": "a"}, "there": {}, "nowhere": {}}
    plan = Situation(
        (declared("Vm/v", host="there"),), (recorded("Vm/v"),), {"Vm/v": ours("Vm/v")}, hosts=hosts
    ).plan()
    assert {"here": {"site": "a"}, "there": {}} == {
        name: record.spec for name, record in plan.endpoints.items()
    }


# The plan as a whole


def test_every_problem_is_told_at_once() -> None:
    found = {"Net/a": foreign("Net/a"), "Net/b": foreign("Net/b")}
    with pytest.raises(ProvisionerError) as caught:
        Situation((declared("Net/a"), declared("Net/b"), declared("Net/c")), found=found).plan()
    assert [("PRV2010", "Net/a"), ("PRV2010", "Net/b")] == [
        (problem.code, problem.address) for problem in caught.value.diagnostics
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Impact.LIVE),
        ({"destroy": True}, Impact.REPLACE),
        ({"max_impact": Impact.RESTART}, Impact.RESTART),
        ({"destroy": True, "max_impact": Impact.NONE}, Impact.NONE),
    ],
)
def test_the_gate_is_the_callers_then_the_stacks(options: dict[str, Any], expected: Impact) -> None:
    assert expected == APPLIED.plan(**options).max_impact


def test_a_stack_has_a_gate_of_its_own() -> None:
    request = APPLIED.request()
    stack = replace(APPLIED.stack, max_impact=Impact.REPLACE)
    assert Impact.REPLACE == make_plan(replace(request, stack=stack)).max_impact


def test_what_was_chosen_stands_in_the_plan() -> None:
    selection = Selection((AddressPattern("Net", "*"),), (AddressPattern("Vm", "web"),))
    plan = APPLIED.plan(selection=selection, consents=(Address("Disk", "b"), Address("Disk", "a")))
    assert {"target": ("Net/*",), "exclude": ("Vm/web",), "adopt": ()} == plan.selection
    assert (Address("Disk", "a"), Address("Disk", "b")) == plan.consents


# What earlier runs left


def test_intents_stand_with_the_step_that_deals_with_them() -> None:
    left = (intent("Net/lan", "update", 4), intent("Vm/gone", sequence=5), intent("Vm/web", "x", 6))
    situation = replace(edited("Net/lan", mtu=2), intents=left)
    assert {"Net/lan": (4,), "Vm/gone": (5,), "Vm/web": (6,)} == situation.plan().interrupted


def test_intents_about_what_is_not_selected_are_left_alone() -> None:
    situation = replace(APPLIED, intents=(intent("Net/lan", "update", 4),))
    assert {} == situation.plan(unselected=["Net/lan"]).interrupted


def test_a_successor_that_is_wanted_again_belongs_to_its_replacement() -> None:
    left = (intent("Disk/web", "delete", 4), intent("Disk/web", "create", 5, generation=1))
    found = {**FOUND, "Disk/web#1": ours("Disk/web", generation=1)}
    situation = replace(edited("Disk/web", format="raw"), intents=left, found=found)
    plan = situation.plan()
    assert ["replace Disk/web", "delete Disk/web#old"] == outline(plan)
    assert {"Disk/web": (4, 5)} == plan.interrupted
