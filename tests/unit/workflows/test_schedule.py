"""Schedules: within their limits, in order, by the longest remaining path, and near their bound."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.schedule import Schedule, Span, schedule
from tests.unit.workflows.random_runbooks import runbooks


def task(name: str, *needs: str, lane: str = "") -> Task:
    return Task(name, name, "act", needs=needs, lane=lane)


def of(tasks: list[Task], seconds: Mapping[str, float], **lanes: int) -> Schedule:
    return schedule(Runbook("plan", "test", tasks, lanes), seconds)


def test_independent_tasks_run_at_once() -> None:
    found = of([task("a"), task("b")], {"a": 2, "b": 3})
    assert {"a": Span(0, 2), "b": Span(0, 3)} == found.spans
    assert (3, 3) == (found.makespan, found.bound)


def test_a_lane_has_so_many_places() -> None:
    tasks = [task(name, lane="host") for name in "abcd"]
    found = of(tasks, dict.fromkeys("abcd", 10.0), host=2)
    assert [0, 0, 10, 10] == [found.spans[name].start for name in "abcd"]
    assert {"": 40 / 256, "host": 20} == found.lanes


def test_the_longest_remaining_path_goes_first() -> None:
    tasks = [task("short", lane="host"), task("long", lane="host"), task("after", "long")]
    found = of(tasks, {"short": 5, "long": 5, "after": 20}, host=1)
    assert {"short": Span(5, 10), "long": Span(0, 5), "after": Span(5, 25)} == found.spans
    assert {"short": 5, "long": 25, "after": 20} == found.remaining
    assert (("long", "after"), 25) == (found.critical, found.critical_seconds)


def test_all_tasks_together_have_a_limit() -> None:
    runbook = Runbook("plan", "test", [task(name) for name in "abc"])
    found = schedule(runbook, dict.fromkeys("abc", 4.0), parallel=2)
    assert (8, {"": 6}) == (found.makespan, found.lanes)


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1 task has to run at once, not 0"):
        schedule(Runbook("plan", "test", ()), {}, parallel=0)


def test_nothing_takes_no_time() -> None:
    found = of([], {})
    assert (0, (), 0) == (found.makespan, found.critical, found.bound)


@given(st.data())
def test_every_schedule_keeps_the_rules(data: st.DataObject) -> None:
    runbook = data.draw(runbooks())
    parallel = data.draw(st.integers(1, 4))
    seconds = {item.id: float(data.draw(st.integers(0, 9))) for item in runbook.tasks}
    found = schedule(runbook, seconds, parallel)
    assert {item.id for item in runbook.tasks} == found.spans.keys()
    for item in runbook.tasks:
        span = found.spans[item.id]
        assert seconds[item.id] == span.end - span.start
        assert all(found.spans[needed].end <= span.start for needed in item.awaits)
    for moment in {span.start for span in found.spans.values()}:
        busy = [
            item.lane
            for item in runbook.tasks
            if found.spans[item.id].start <= moment < found.spans[item.id].end
        ]
        assert len(busy) <= parallel
        assert all(busy.count(lane) <= places for lane, places in runbook.lanes.items())
    assert found.bound <= found.makespan + 1e-9
    # Until the end there is always a task under way.
    assert found.makespan <= sum(seconds.values())
    assert found.critical_seconds == sum(seconds[name] for name in found.critical)
