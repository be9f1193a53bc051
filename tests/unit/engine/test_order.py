"""The order of steps: what stands on something goes before it, in both halves of a replacement."""

from provisioner.engine.plan import Plan
from tests.unit.engine.made import Situation, declared, intent, ours, outline, recorded


def before(plan: Plan, first: str, second: str) -> bool:
    """Whether ``second`` waits for ``first``, however far."""
    needs = {step.id: step.depends_on for step in plan.steps}
    frontier, seen = [second], set()
    while frontier:
        for step in needs[frontier.pop()]:
            if step not in seen:
                seen.add(step)
                frontier.append(step)
    return first in seen


def test_a_pool_goes_after_the_predecessor_that_lies_in_it() -> None:
    plan = Situation(
        (declared("Pool/q"), declared("Disk/d", {"pool": "q", "format": "raw"}, "Pool/q")),
        (
            recorded("Pool/p"),
            recorded("Pool/q"),
            recorded("Disk/d", {"pool": "p", "format": "qcow2"}, "Pool/p"),
        ),
        {
            "Pool/p": ours("Pool/p"),
            "Pool/q": ours("Pool/q"),
            "Disk/d": ours("Disk/d", {"pool": "p", "format": "qcow2"}),
        },
    ).plan()
    assert ["Disk/d", "Disk/d#old", "Pool/p"] == [step.id for step in plan.steps]
    assert before(plan, "Disk/d#old", "Pool/p")


def test_the_old_image_goes_after_the_old_disk_on_it() -> None:
    old, new = {"format": "qcow2"}, {"format": "raw"}
    plan = Situation(
        (declared("Disk/image", new), declared("Disk/d", new, "Disk/image")),
        (recorded("Disk/image", old), recorded("Disk/d", old, "Disk/image")),
        {"Disk/image": ours("Disk/image", old), "Disk/d": ours("Disk/d", old)},
    ).plan()
    assert ["Disk/image", "Disk/d", "Disk/d#old", "Disk/image#old"] == [
        step.id for step in plan.steps
    ]
    assert before(plan, "Disk/d#old", "Disk/image#old")


def test_what_deletes_first_waits_for_those_that_let_go() -> None:
    plan = Situation(
        (declared("Pool/p", {"path": "/new"}), declared("Vm/v")),
        (
            recorded("Pool/p", {"path": "/old"}),
            recorded("Disk/d", {}, "Pool/p"),
            recorded("Vm/v", {"cdrom": "p"}, "Pool/p"),
        ),
        {
            "Pool/p": ours("Pool/p", {"path": "/old"}),
            "Disk/d": ours("Disk/d"),
            "Vm/v": ours("Vm/v", {"cdrom": "p"}),
        },
    ).plan()
    assert before(plan, "Disk/d", "Pool/p")
    assert before(plan, "Vm/v", "Pool/p")


def test_no_step_waits_for_itself() -> None:
    """The machine leaves the disk for the pool; the pool is replaced; the disk in it is removed."""
    plan = Situation(
        (declared("Pool/p", {"path": "/new"}), declared("Vm/v", {"cpu": 2}, "Pool/p")),
        (
            recorded("Pool/p", {"path": "/old"}),
            recorded("Disk/d", {}, "Pool/p"),
            recorded("Vm/v", {"cpu": 1}, "Disk/d"),
        ),
        {
            "Pool/p": ours("Pool/p", {"path": "/old"}),
            "Disk/d": ours("Disk/d"),
            "Vm/v": ours("Vm/v", {"cpu": 1}),
        },
    ).plan()
    assert ["Pool/p", "Vm/v", "Disk/d"] == [step.id for step in plan.steps]


def test_a_retired_generation_goes_after_those_that_move_on_from_it() -> None:
    plan = Situation(
        (declared("Disk/d"), declared("Vm/v", {"cpu": 2}, "Disk/d")),
        (recorded("Disk/d", generation=1), recorded("Vm/v", {"cpu": 1}, "Disk/d")),
        {
            "Disk/d": ours("Disk/d", generation=1),
            "Disk/d#0": ours("Disk/d"),
            "Vm/v": ours("Vm/v", {"cpu": 1}),
        },
        (intent("Disk/d", "delete"),),
    ).plan()
    assert before(plan, "Vm/v", "Disk/d#0")


def test_a_ring_of_records_is_opened() -> None:
    """What was recorded at different times may wait for each other."""
    found = {"Vm/a": ours("Vm/a"), "Vm/b": ours("Vm/b")}
    entries = (recorded("Vm/a", {}, "Vm/b"), recorded("Vm/b", {}, "Vm/a"))
    plan = Situation(entries=entries, found=found).plan(destroy=True)
    assert {"delete Vm/a", "delete Vm/b"} == set(outline(plan))
