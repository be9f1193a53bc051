"""Runbooks: what no runbook may be, and that its document gives it back."""

import json

import pytest

from provisioner.workflows.runbook import OnFailure, Runbook, Task


def task(name: str, *needs: str, lane: str = "") -> Task:
    return Task(name, name.title(), "touch", needs=needs, lane=lane)


@pytest.mark.parametrize(
    ("tasks", "complaint"),
    [
        ([task("a"), task("a")], "two tasks have the id a"),
        ([task("a", "b"), task("b")], "a needs b, which does not stand before it"),
        ([task("a", lane="nowhere")], "the lane nowhere of a has no places"),
        ([task("a", lane="full")], "the lane full of a has no places"),
    ],
)
def test_a_runbook_that_cannot_be_carried_out_is_not_made(
    tasks: list[Task], complaint: str
) -> None:
    with pytest.raises(ValueError, match=f"^{complaint}$"):
        Runbook("plan", "test", tasks, {"full": 0})


def test_its_document_gives_it_back() -> None:
    whole = Task(
        "b",
        "B",
        "touch",
        {"file": "x"},
        ("a",),
        "host",
        2.5,
        OnFailure.HOLD,
        "Thing/b",
        "tier 1",
        ("c",),
    )
    runbook = Runbook("plan", "test", (task("a"), task("c"), whole), {"host": 2})
    again = Runbook.of(json.loads(json.dumps(runbook.as_json())))
    assert runbook == again
    assert runbook.digest == again.digest


def test_whole_seconds_are_the_same_seconds() -> None:
    whole = Runbook("plan", "test", [Task("a", "A", "touch", seconds=5)])
    assert whole.digest == Runbook.of(json.loads(json.dumps(whole.as_json()))).digest


def test_tasks_in_any_order_are_brought_in_one() -> None:
    runbook = Runbook.ordered("plan", "test", [task("a", "b"), task("b")])
    assert ["b", "a"] == [item.id for item in runbook.tasks]
