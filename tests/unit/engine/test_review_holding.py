"""What is held keeps all that it stands on, however far down and in whichever way it would go."""

from tests.unit.engine.made import Situation, ours, recorded

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


def test_what_is_gone_already_is_not_held() -> None:
    machine = recorded("Vm/v", {}, "Disk/d", protect=True)
    found = {"Pool/p": ours("Pool/p"), "Vm/v": ours("Vm/v")}
    plan = Situation(entries=(POOL, GOING, machine), found=found).plan(destroy=True)
    assert {"Disk/d", "Pool/p"} == {step.id for step in plan.steps}
