"""What a run would be: predicted times, and what differs from an earlier runbook."""

from __future__ import annotations

from dataclasses import replace

from provisioner.core.values import Json
from provisioner.workflows.history import Basis, Estimate, Sample
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.recovery.outlook import Kind, compare, estimates_of, outlook
from provisioner.workflows.runbook import Runbook, Task

FIRST = Task("start/a", "start a", "start", {"site": "west"}, lane="starts")
SECOND = Task("start/b", "start b", "start", {"site": "west"}, lane="starts")
LAST = Task("gate/b/1", "b is well", "check", needs=("start/b",))
OPENING = Task("tier/1", "begin tier 1", "milestone")


def runbook(*tasks: Task, places: int = 1) -> Runbook:
    return Runbook("shop", "test", tasks, {"starts": places})


def estimate(median: float, p95: float) -> Estimate:
    return Estimate(median, p95, 5, Basis.TASK)


def test_times_are_medians_within_the_limits_of_lanes() -> None:
    known = {"start/a": estimate(10, 20), "start/b": estimate(4, 5), "gate/b/1": estimate(3, 30)}
    found = outlook(runbook(FIRST, SECOND, LAST), known, objective=16.0)
    spans = {step.task.id: tuple(step.span) for step in found.steps}
    assert {"start/a": (0, 10), "start/b": (10, 14), "gate/b/1": (14, 17)} == spans
    assert (17, 10, False) == (found.seconds, found.critical_seconds, found.is_within)
    assert (35, 0) == (found.p95, found.assumed)
    assert ["start/a"] == [step.task.id for step in found.steps if step.critical]


def test_what_is_not_known_is_assumed_and_counted() -> None:
    found = outlook(runbook(OPENING, FIRST, SECOND), {"start/a": estimate(10, 20)})
    assert [0.0, 10.0, 1.0] == [step.seconds for step in found.steps]
    assert (1, None) == (found.assumed, found.is_within)


def test_the_very_task_tells_more_than_its_like_and_the_same_mode_more_than_another() -> None:
    same = [Sample("start/a", "start", 10.0), Sample("gate/c/1", "check", 7.0)]
    others = [
        Sample("start/a", "start", 99.0),
        Sample("start/b", "start", 50.0),
        Sample("gate/d/1", "check", 99.0),
    ]
    found = estimates_of(runbook(FIRST, SECOND, LAST), same, others)
    medians = {task: (one.median, one.basis) for task, one in found.items()}
    assert {
        "start/a": (10.0, Basis.TASK),
        "start/b": (50.0, Basis.TASK),
        "gate/b/1": (7.0, Basis.ACTION),
    } == medians


def test_runbooks_that_do_the_same() -> None:
    turned = replace(LAST, needs=("start/b", "start/a"))
    other = replace(LAST, needs=("start/a", "start/b"))
    found = compare(runbook(FIRST, SECOND, turned), runbook(FIRST, SECOND, other))
    assert (True, True) == (found.is_same, found.same_plan)


def test_what_was_added_removed_and_changed() -> None:
    moved = replace(SECOND, arguments={"site": "east"}, needs=("start/a",), seconds=5.0)
    found = compare(runbook(FIRST, SECOND, LAST), runbook(FIRST, moved, OPENING, places=2))
    kinds = [(item.kind, item.task.id) for item in found.differences]
    assert [
        (Kind.CHANGED, "start/b"),
        (Kind.ADDED, "tier/1"),
        (Kind.REMOVED, "gate/b/1"),
    ] == kinds
    assert [
        ("needs", [], ["start/a"]),
        ("seconds", 600.0, 5.0),
        ("arguments.site", "west", "east"),
    ] == [tuple(part) for part in found.differences[0].parts]
    assert [("starts", 1, 2)] == [tuple(part) for part in found.lanes]


def test_a_task_that_does_not_last_any_more_is_a_difference_in_both_directions() -> None:
    lasting, passing = runbook(FIRST), runbook(replace(FIRST, lasting=False))
    for before, now, expected in ((lasting, passing, False), (passing, lasting, None)):
        (found,) = compare(before, now).differences
        assert [("lasting", expected)] == [(part.name, part.now) for part in found.parts]


def test_another_plan_with_the_same_steps_is_told_as_one() -> None:
    def of(plan: str) -> Runbook:
        given: dict[str, Json] = {"plan": plan, "here": "a"}
        return runbook(Task(BEGIN, "connect", "begin", given))

    found = compare(of("one"), of("two"))
    assert (True, False) == (found.is_same, found.same_plan)


def leading(here: str, there: str, *tasks: Task) -> Runbook:
    begin = Task(BEGIN, f"connect to {here}", "begin", {"here": here, "there": there})
    return Runbook("shop", "test", (begin, *tasks), {f"starts/{there}-1": 3})


def start(site: str, **arguments: Json) -> Task:
    given = {"site": site, **arguments}
    return Task("start/a", f"start a at {site}", "start", given, lane=f"starts/{site}-1")


def test_what_does_the_same_in_the_other_direction_is_known_as_that() -> None:
    found = compare(leading("east", "west", start("west")), leading("west", "east", start("east")))
    assert ("west", "east") == found.turned
    assert [True, True] == [item.mirrored for item in found.differences]


def test_what_differs_besides_the_direction_does_not_only_lead_back() -> None:
    before = leading("east", "west", start("west", look=False))
    now = leading("west", "east", start("east", look=True), OPENING)
    differing = [item.task.id for item in compare(before, now).differences if not item.mirrored]
    assert ["start/a", "tier/1"] == differing
    same = compare(before, leading("east", "west", start("west", look=True)))
    assert (None, [False]) == (same.turned, [item.mirrored for item in same.differences])


def test_what_a_site_has_of_its_own_and_needs_of_it_follow_from_the_direction() -> None:
    def network(name: str) -> Task:
        return Task(f"bubble/{name}", f"isolate {name}", "bubble", {"network": name})

    before = leading("east", "west", network("w"), replace(start("west"), needs=("bubble/w",)))
    now = leading("west", "east", network("e"), replace(start("east"), needs=("bubble/e",)))
    assert {True} == {item.mirrored for item in compare(before, now).differences}
    more = leading("west", "east", network("e"), network("f"), start("east"))
    told = [item.task.id for item in compare(before, more).differences if not item.mirrored]
    assert ["bubble/e", "bubble/f", "bubble/w"] == sorted(told)
