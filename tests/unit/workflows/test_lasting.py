"""What a run that is gone on with does anew: what was true at a moment and is relied on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engine.stop import StopSignal
from provisioner.providers.api import Terminal
from provisioner.workflows import events
from provisioner.workflows.actions import Work
from provisioner.workflows.runbook import OnFailure, Runbook, Task
from provisioner.workflows.runs import Outcome, Run, What
from tests.unit.workflows.acting import TROUBLE, Act, Stage, runbook, task, whats


def passing(name: str, *needs: str, on_failure: OnFailure = OnFailure.STOP) -> Task:
    """A task whose result does not last."""
    return replace(task(name, *needs, on_failure=on_failure), lasting=False)


class Course:
    """Runs whose tasks are noted as they are done; those in ``failing`` fail."""

    def __init__(self, folder: Path, *failing: str) -> None:
        self.stage = Stage(folder, act=Act(self._perform))
        self.failing = set(failing)
        self.done: list[str] = []

    def _perform(self, work: Work) -> None:
        if work.task.id in self.failing:
            raise Terminal(TROUBLE)
        self.done.append(work.task.id)

    def start(self, *tasks: Task) -> Run:
        return self.stage.start(*tasks)

    def resume(self, *failing: str) -> Run:
        self.failing, self.done = set(failing), []
        return self.stage.runner().resume("bob")


def test_what_does_not_last_is_done_anew_before_what_needs_it(tmp_path: Path) -> None:
    course = Course(tmp_path, "start")
    course.start(passing("fence"), passing("fenced", "fence"), task("start", "fenced"))
    assert ["fence", "fenced"] == course.done
    assert Outcome.SUCCEEDED is course.resume().record.outcome
    assert ["fence", "fenced", "start"] == course.done


def test_it_is_not_when_all_that_needs_it_itself_is_done(tmp_path: Path) -> None:
    course = Course(tmp_path, "gate")
    course.start(passing("fence"), task("start", "fence"), task("gate", "start"))
    course.resume()
    assert ["gate"] == course.done


def test_what_lasts_stays_done_and_what_comes_behind_it_waits_for_the_proof(
    tmp_path: Path,
) -> None:
    course = Course(tmp_path, "promote")
    course.start(
        passing("fence"),
        task("turn", "fence"),
        task("promote", "turn"),
        task("start", "promote", "fence"),
    )
    run = course.resume()
    assert ["fence", "promote", "start"] == course.done
    assert {What.DONE} == set(whats(run).values())


@pytest.mark.parametrize("policy", [OnFailure.STOP, OnFailure.HOLD])
def test_a_proof_that_fails_the_second_time_begins_nothing_and_undoes_nothing(
    tmp_path: Path, policy: OnFailure
) -> None:
    course = Course(tmp_path, "promote")
    course.start(
        passing("fence", on_failure=policy),
        task("turn", "fence"),
        task("promote", "turn"),
        task("start", "promote", "fence"),
    )
    run = course.resume("fence")
    assert [] == course.done
    rest = What.SKIPPED if policy is OnFailure.STOP else What.HELD
    expected = {"fence": What.FAILED, "turn": What.DONE, "promote": rest, "start": rest}
    assert expected == whats(run)
    held = [event.task for event in course.stage.events if isinstance(event, events.TaskHeld)]
    assert "turn" not in held
    assert Outcome.SUCCEEDED is course.resume().record.outcome
    assert ["fence", "promote", "start"] == course.done


def test_a_run_that_is_stopped_before_the_proof_still_says_that_it_was_done_once(
    tmp_path: Path,
) -> None:
    course = Course(tmp_path, "start")
    course.start(passing("fence"), task("start", "fence"))
    course.stage.stop.request()
    run = course.resume()
    assert (Outcome.CANCELLED, []) == (run.record.outcome, course.done)
    assert What.DONE is whats(run)["fence"]
    course.stage.stop = StopSignal()
    course.resume()
    assert ["fence", "start"] == course.done


@pytest.mark.parametrize("lasting", [True, False])
def test_an_answer_counts_no_longer_than_what_was_asked(tmp_path: Path, *, lasting: bool) -> None:
    course = Course(tmp_path, "start")
    question = replace(task("fence", action="ask"), lasting=lasting)

    def answer(event: object) -> None:
        if isinstance(event, events.TaskWaiting):
            last = course.stage.journal.last()
            assert last is not None
            course.stage.journal.answer(last.id, "fence", "yes", "bob")

    course.stage.listener = answer
    course.start(question, task("start", "fence"))
    course.resume()
    asked = len(course.stage.told(events.TaskWaiting))
    assert (1 if lasting else 2) == asked


def test_the_newest_of_what_was_done_twice_is_told(tmp_path: Path) -> None:
    course = Course(tmp_path, "start")
    first = course.start(passing("fence"), task("start", "fence")).tasks["fence"]
    second = course.resume().tasks["fence"]
    assert first.ended is not None
    assert second.begun is not None
    assert first.ended < second.begun


def test_a_runbook_from_before_has_the_digest_that_it_had() -> None:
    found = runbook(task("a"), passing("b", "a"))
    documents = found.as_json()["tasks"]
    assert [False, True] == ["lasting" in item for item in documents]
    assert found == Runbook.of(found.as_json())
    assert found.digest == Runbook.of(found.as_json()).digest
