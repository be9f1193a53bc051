"""Checks that are passed over: which may be, and how the journal tells of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Terminal
from provisioner.workflows.actions import Work
from provisioner.workflows.recovery.passing import doubtful, passable, passing_over
from provisioner.workflows.runbook import OnFailure
from provisioner.workflows.runs import Outcome, Run, What
from tests.unit.workflows.acting import TROUBLE, Act, Stage, task, whats


class Course:
    """A machine with a gate, one that needs it, and a fence; those in ``failing`` fail."""

    def __init__(self, folder: Path, *failing: str) -> None:
        self._failing = failing
        self.done: list[str] = []
        self.stage = Stage(folder, act=Act(self._perform))
        hold = OnFailure.HOLD
        self.run = self.stage.start(
            task("fence/1"),
            task("start/db", "fence/1"),
            task("gate/db/1", "start/db", on_failure=hold),
            task("step/own", "start/db", on_failure=hold),
            task("start/web", "gate/db/1"),
        )

    def _perform(self, work: Work) -> None:
        if work.task.id in self._failing:
            raise Terminal(TROUBLE)
        self.done.append(work.task.id)

    def pass_over(self, *tasks: str) -> Run:
        self.done = []
        return self.stage.runner().resume("bob (pid 7)", adding=passing_over(tasks, "bob (pid 7)"))


def test_what_waits_for_a_gate_that_is_passed_over_goes_on(tmp_path: Path) -> None:
    course = Course(tmp_path, "gate/db/1")
    assert What.HELD is whats(course.run)["start/web"]
    run = course.pass_over("gate/db/1")
    assert (Outcome.SUCCEEDED, ["start/web"]) == (run.record.outcome, course.done)
    gate = run.tasks["gate/db/1"]
    assert ("bob (pid 7)", {"passedOver": True}) == (gate.passed_over, gate.result)
    assert gate.diagnostic is not None
    assert "the machine is on fire" == gate.diagnostic.summary


def test_it_stays_so_when_the_run_is_gone_on_with_again(tmp_path: Path) -> None:
    course = Course(tmp_path, "gate/db/1", "step/own")
    assert Outcome.IN_PART is course.pass_over("gate/db/1").record.outcome
    run = course.pass_over("step/own")
    assert ["gate/db/1", "step/own"] == [state.task for state in run.passed_over]
    assert (Outcome.SUCCEEDED, []) == (run.record.outcome, course.done)


def test_how_long_it_took_is_told_nobody(tmp_path: Path) -> None:
    course = Course(tmp_path, "gate/db/1")
    run = course.pass_over("gate/db/1")
    samples = course.stage.journal.samples(run.record.mode, 10)
    assert "gate/db/1" not in [sample[0] for sample in samples]


@pytest.mark.parametrize(
    ("failing", "asked"),
    [
        ("fence/1", "fence/1"),
        ("start/db", "start/db"),
        ("gate/db/1", "step/own"),
        ("gate/db/1", "gate/web/1"),
        ("fence/1", "gate/db/1"),
    ],
    ids=["fence", "start", "done", "unknown", "not begun"],
)
def test_nothing_else_is_passed_over(tmp_path: Path, failing: str, asked: str) -> None:
    course = Course(tmp_path, failing)
    before = course.stage.journal.entries(course.run.record.id)
    with pytest.raises(ProvisionerError) as refused:
        course.pass_over(asked)
    (found,) = refused.value.diagnostics
    assert "PRV7103" == found.code
    assert ("These may be: gate/db/1." == found.hint) is (failing == "gate/db/1")
    assert before == course.stage.journal.entries(course.run.record.id)
    assert [] == course.done


@pytest.mark.parametrize("what", [What.INTERRUPTED, What.BEGUN, What.WAITING])
def test_a_check_that_nobody_saw_end_may_be_passed_over_and_a_start_may_not(
    tmp_path: Path, what: What
) -> None:
    run = Course(tmp_path, "gate/db/1").run
    changed = {name: replace(state, what=what) for name, state in run.tasks.items()}
    found = passable(replace(run, tasks=changed))
    assert ["gate/db/1", "step/own"] == [state.task for state in found]


def test_the_answer_of_a_person_is_not_doubted(tmp_path: Path) -> None:
    run = Course(tmp_path, "gate/db/1", "step/own").run
    no = error("PRV7084", "the answer to 'own' was 'no', not yes")
    tasks = {**run.tasks, "step/own": replace(run.tasks["step/own"], diagnostic=no)}
    assert ["gate/db/1"] == [state.task for state in doubtful(replace(run, tasks=tasks))]
