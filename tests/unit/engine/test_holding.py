"""What is held keeps all that it stands on, however far down and in whichever way it would go."""

from dataclasses import replace

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.engine.plan import Plan
from provisioner.engine.planner import make_plan
from provisioner.engine.request import PlanOptions
from provisioner.providers.capabilities import User
from tests.unit.engine.made import (
    MadeProvider,
    Situation,
    declared,
    intent,
    ours,
    outline,
    recorded,
)

POOL = recorded("Pool/p")
IMAGE = recorded("Disk/image", {"retention": "delete"}, "Pool/p")
KEPT = recorded("Disk/d", {"retention": "keep", "image": "image"}, "Disk/image", "Pool/p")
GOING = recorded("Disk/d", {"retention": "delete"}, "Pool/p")
FOUND = {name: ours(name) for name in ("Pool/p", "Disk/image", "Disk/d", "Vm/v")}


def test_a_protected_machine_keeps_the_pool_under_its_kept_disk() -> None:
    machine = recorded("Vm/v", {}, "Disk/d", protect=True)
    plan = Situation(entries=(POOL, IMAGE, KEPT, machine), found=FOUND).plan(destroy=True)
    assert () == plan.steps
    assert {
        "Vm/v": "it is protected (metadata.protect)",
        "Disk/d": "Vm/v, which is held, needs it",
        "Disk/image": "Disk/d, which is held, needs it",
        "Pool/p": "Disk/d, which is held, needs it",
    } == {step.id: step.held for step in plan.held}


def test_a_machine_that_is_not_selected_keeps_the_pool_under_its_disk() -> None:
    machine = recorded("Vm/v", {}, "Disk/d")
    plan = Situation(entries=(POOL, GOING, machine), found=FOUND).plan(["Vm/v"], destroy=True)
    assert () == plan.steps
    assert {
        "Disk/d": "Vm/v, which is not selected, needs it",
        "Pool/p": "Disk/d, which is held, needs it",
    } == {step.id: step.held for step in plan.held}


def test_a_pool_is_not_made_anew_under_its_disks() -> None:
    declarations = (
        declared("Pool/p", {"path": "/new"}),
        declared("Disk/d", {"pool": "p"}, "Pool/p"),
    )
    entries = (recorded("Pool/p", {"path": "/old"}), recorded("Disk/d", {"pool": "p"}, "Pool/p"))
    found = {"Pool/p": ours("Pool/p", {"path": "/old"}), "Disk/d": ours("Disk/d", {"pool": "p"})}
    lived_in = Situation(declarations, entries, found)
    held = [("replace Pool/p", "Disk/d lives in it: move or remove that first")]
    plan = lived_in.plan(max_impact=Impact.DATA_LOSS)
    assert ((), held) == (plan.steps, reasons(plan))
    plan = lived_in.plan(["Disk/d"], max_impact=Impact.DATA_LOSS)
    assert ((), held) == (plan.steps, reasons(plan))


def test_a_pool_is_made_anew_when_its_disks_are_gone() -> None:
    pool = declared("Pool/p", {"path": "/new"})
    entries = (recorded("Pool/p", {"path": "/old"}), recorded("Disk/d", {"pool": "p"}, "Pool/p"))
    there = {"Pool/p": ours("Pool/p", {"path": "/old"})}
    disk = ours("Disk/d", {"pool": "p"})
    removed = Situation((pool,), entries, {**there, "Disk/d": disk}).plan()
    assert ["delete Disk/d", "replace Pool/p"] == outline(removed)
    again = Situation((pool, declared("Disk/d", {"pool": "p"}, "Pool/p")), entries, there).plan()
    assert ["replace Pool/p", "create Disk/d"] == outline(again)


def test_protection_does_not_end_with_the_record() -> None:
    """A protected disk with retention keep would lose its protection if it were forgotten."""
    disk = recorded("Disk/d", {"retention": "keep", "pool": "p"}, "Pool/p", protect=True)
    found = {"Pool/p": ours("Pool/p"), "Disk/d": ours("Disk/d")}
    plan = Situation(entries=(POOL, disk), found=found).plan(destroy=True)
    assert [
        ("delete Pool/p", "Disk/d, which is held, needs it"),
        ("forget Disk/d", "it is protected (metadata.protect)"),
    ] == sorted(reasons(plan))
    gone = Situation(entries=(POOL, disk), found={"Pool/p": ours("Pool/p")}).plan(destroy=True)
    assert ["forget Disk/d", "delete Pool/p"] == outline(gone)


def test_what_a_guest_has_until_it_is_restarted_is_not_deleted() -> None:
    """It is gone from the machine's definition already."""
    situation = Situation(
        (declared("Vm/v"),),
        (
            recorded("Disk/d", {"retention": "delete"}),
            recorded("Vm/v", {}, "Disk/d", pending=("disks.d",)),
        ),
        {"Disk/d": ours("Disk/d"), "Vm/v": ours("Vm/v", running={("disks", "d"): {}})},
        provider=MadeProvider(impacts={("disks", "d"): Impact.RESTART}),
    )
    consents = (Address("Disk", "d"),)
    plan = situation.plan(consents=consents)
    assert ((), [("delete Disk/d", "Vm/v has it until it is restarted")]) == (
        plan.steps,
        reasons(plan),
    )
    # The entry keeps the dependency for as long as the plan says so.
    assert () == plan.refresh
    plan = situation.plan(consents=consents, max_impact=Impact.RESTART)
    assert ["update Vm/v", "delete Disk/d"] == outline(plan)


def test_what_a_guest_will_have_until_it_is_restarted_is_not_deleted() -> None:
    """The plan that takes it out of the machine's definition has to leave that to a restart."""
    spec = {"disks": {"d": {}}, "net": "n"}
    situation = Situation(
        (declared("Vm/v", {"disks": {}}),),
        (
            recorded("Disk/d", {"retention": "delete"}),
            recorded("Net/n"),
            recorded("Vm/v", spec, "Disk/d", "Net/n"),
        ),
        {"Disk/d": ours("Disk/d"), "Net/n": ours("Net/n"), "Vm/v": ours("Vm/v", spec)},
        provider=MadeProvider(impacts={("disks", "d"): Impact.RESTART, ("net",): Impact.RESTART}),
    )
    consents = (Address("Disk", "d"),)
    plan = situation.plan(consents=consents)
    assert ["update Vm/v"] == [f"{step.action.value} {step.id}" for step in plan.steps]
    assert [
        ("delete Disk/d", "Vm/v has it until it is restarted"),
        ("delete Net/n", "Vm/v has it until it is restarted"),
    ] == reasons(plan)
    plan = situation.plan(max_impact=Impact.REPLACE, consents=consents)
    assert ["update Vm/v", "delete Disk/d", "delete Net/n"] == outline(plan)


def test_who_takes_a_disk_waits_for_the_restart_of_the_guest_that_has_it() -> None:
    situation = Situation(
        (declared("Disk/d"), declared("Vm/a", {"disks": {"d": {}}}, "Disk/d"), declared("Vm/v")),
        (recorded("Disk/d"), recorded("Vm/a"), recorded("Vm/v", pending=("disks.d",))),
        {
            "Disk/d": ours("Disk/d"),
            "Vm/a": ours("Vm/a"),
            "Vm/v": ours("Vm/v", running={("disks", "d"): {}}),
        },
        provider=MadeProvider(impacts={("disks", "d"): Impact.RESTART}),
    )
    plan = situation.plan()
    assert ((), [("update Vm/a", "Vm/v has Disk/d until it is restarted")]) == (
        plan.steps,
        reasons(plan),
    )
    plan = situation.plan(max_impact=Impact.RESTART)
    assert ["update Vm/v", "update Vm/a"] == outline(plan)
    assert ("Vm/v",) == plan.steps[1].depends_on


def test_what_is_called_like_a_field_that_waits_is_deleted() -> None:
    spec = {"firmware": "new"}
    plan = Situation(
        (declared("Vm/v", spec),),
        (
            recorded("Disk/firmware", {"retention": "delete"}),
            recorded("Vm/v", spec, "Disk/firmware", pending=("firmware",)),
        ),
        {
            "Disk/firmware": ours("Disk/firmware"),
            "Vm/v": ours("Vm/v", spec, running={("firmware",): "old"}),
        },
    ).plan(consents=(Address("Disk", "firmware"),))
    assert ["delete Disk/firmware"] == outline(plan)
    assert [("firmware",)] == [note.path for note in plan.pending]


def reasons(plan: Plan) -> list[tuple[str, str | None]]:
    return [(f"{step.action.value} {step.id}", step.held) for step in plan.held]


def test_what_is_gone_already_is_not_held() -> None:
    machine = recorded("Vm/v", {}, "Disk/d", protect=True)
    found = {"Pool/p": ours("Pool/p"), "Vm/v": ours("Vm/v")}
    plan = Situation(entries=(POOL, GOING, machine), found=found).plan(destroy=True)
    assert {"Disk/d", "Pool/p"} == {step.id for step in plan.steps}


def test_a_predecessor_goes_with_the_restart_that_takes_it_from_the_guest() -> None:
    """Until then it is gone from the machine's definition only."""
    spec: dict[str, object] = {"disks": {"d": {}}}
    situation = Situation(
        (declared("Disk/d"), declared("Vm/v", spec, "Disk/d")),
        (
            recorded("Disk/d", generation=1),
            recorded("Vm/v", spec, "Disk/d", pending=("disks.d#0",)),
        ),
        {
            "Disk/d": ours("Disk/d", generation=1),
            "Disk/d#0": ours("Disk/d"),
            "Vm/v": ours("Vm/v", spec, running={("disks", "d#0"): {}}),
        },
        (intent("Disk/d", "delete", successor="Disk/d"),),
        provider=MadeProvider(impacts={("disks", "d#0"): Impact.RESTART}),
    )
    options = PlanOptions(consents=(Address("Disk", "d"),))
    users = {Address("Disk", "d#0"): [User("id-of-Vm/v", "domain v")]}
    plan = make_plan(replace(situation.request(options), users=users))
    assert ([], ["needed by domain v"]) == (outline(plan), [item.reason for item in plan.kept])
    allowed = replace(options, max_impact=Impact.RESTART)
    plan = make_plan(replace(situation.request(allowed), users=users))
    assert ["update Vm/v", "delete Disk/d#0"] == outline(plan)
