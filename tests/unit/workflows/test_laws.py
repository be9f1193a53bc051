"""The laws of every run, on random runbooks with random failures and policies."""

import threading
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.providers.api import Terminal
from provisioner.workflows import events
from provisioner.workflows.actions import NotDone, Work
from provisioner.workflows.limits import Limits
from provisioner.workflows.runbook import OnFailure, Runbook
from provisioner.workflows.runs import Outcome, Run, What
from tests.unit.workflows.acting import TROUBLE, Act, Stage, whats
from tests.unit.workflows.random_runbooks import runbooks


class World:
    """Tasks of which some fail, and how many were under way at once in each lane."""

    def __init__(self, failing: Iterable[str]) -> None:
        self.failing = frozenset(failing)
        self.most: dict[str, int] = {}
        self._busy: dict[str, int] = {}
        self._lock = threading.Lock()

    def observe(self, work: Work) -> NotDone:
        with self._lock:
            for lane in {work.task.lane, ""}:
                self._busy[lane] = self._busy.get(lane, 0) + 1
                self.most[lane] = max(self.most.get(lane, 0), self._busy[lane])
        return NotDone()

    def perform(self, work: Work) -> None:
        with self._lock:
            for lane in {work.task.lane, ""}:
                self._busy[lane] -= 1
        if work.task.id in self.failing:
            raise Terminal(TROUBLE)


def descendants(runbook: Runbook, task: str) -> set[str]:
    found: set[str] = set()
    for item in runbook.tasks:
        if found.union({task}).intersection(item.needs):
            found.add(item.id)
    return found


def check(run: Run, world: World, told: list[events.RunEvent], parallel: int) -> None:
    tasks, known = run.runbook.tasks, whats(run)
    failed = {name for name, what in known.items() if what is What.FAILED}
    held = {name for name, what in known.items() if what is What.HELD}
    stopping = {name for name in failed if run.runbook.by_id[name].on_failure is OnFailure.STOP}
    going_on = {name for name in failed if run.runbook.by_id[name].on_failure is OnFailure.GO_ON}

    # Nothing runs before what it needs, and nobody's failure is anybody else's.
    ends = {}
    for position, event in enumerate(told):
        if isinstance(event, (events.TaskDone, events.TaskFailed)):
            ends[event.task] = position
        if isinstance(event, events.TaskStarted):
            needs = run.runbook.by_id[event.task].needs
            assert all(needed in ends for needed in needs)
            assert all(known[needed] is What.DONE or needed in going_on for needed in needs)
    assert failed <= world.failing
    assert not any(known[name] is What.DONE for name in world.failing & known.keys())

    # Hold holds exactly what depends on it.
    holding = failed - stopping - going_on
    assert set().union(*(descendants(run.runbook, name) for name in holding)) == held

    # Stop begins nothing more; without one, everything that is not held has its turn.
    if stopping:
        first = min(ends[name] for name in stopping)
        assert not any(isinstance(event, events.TaskStarted) for event in told[first:])
    else:
        assert What.SKIPPED not in known.values()
    assert {None, *What}.issuperset(known.values())
    assert {What.DONE, What.FAILED, What.HELD, What.SKIPPED}.issuperset(known.values())

    assert all(world.most.get(lane, 0) <= places for lane, places in run.runbook.lanes.items())
    assert world.most.get("", 0) <= min(parallel, len(tasks))
    expected = Outcome.IN_PART if failed else Outcome.SUCCEEDED
    assert (Outcome.STOPPED if stopping else expected) is run.record.outcome


@settings(deadline=None, max_examples=50)
@given(st.data())
def test_every_run_keeps_the_laws(data: st.DataObject) -> None:
    runbook = data.draw(runbooks())
    failing = data.draw(st.sets(st.sampled_from([f"t{number}" for number in range(10)])))
    parallel = data.draw(st.integers(1, 5))
    world = World(failing)
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), act=Act(world.perform, world.observe))
        stage.limits = Limits(parallel=parallel)
        check(stage.runner().start(runbook, "ann"), world, stage.events, parallel)

        # And whoever puts right what failed comes to the end.
        world.failing = frozenset()
        if stage.journal.runs()[0].outcome is not Outcome.SUCCEEDED:
            resumed = stage.runner().resume("ann")
            assert {task.id for task in runbook.tasks} == {
                state.task for state in resumed.tasks.values() if state.is_done
            }
        stage.journal.close()
