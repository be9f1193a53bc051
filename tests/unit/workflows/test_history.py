"""Predictions from what tasks took before."""

from pathlib import Path

from provisioner.workflows.actions import Done, NotDone, Work
from provisioner.workflows.history import Basis, Estimate, Sample, estimates, expected, samples
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runs import Outcome, What
from tests.unit.workflows.acting import Act, Stage, runbook, task

PLAN = runbook(task("a"), task("b"), task("c", action="other"))


def recorded(journal: Journal, book: Runbook, seconds: dict[str, float]) -> None:
    run = journal.begin(book, "ann").id
    notes = [
        Note(What.DONE, name, book.by_id[name].action, took, {"observed": False, "again": False})
        for name, took in seconds.items()
    ]
    journal.end(run, Outcome.SUCCEEDED, notes)


def test_a_task_is_estimated_from_itself_or_else_from_its_like() -> None:
    known = [Sample("a", "act", seconds) for seconds in (3.0, 1.0, 2.0)]
    found = estimates(PLAN, [*known, Sample("gone", "act", 10.0)])
    assert {
        "a": Estimate(2.0, 3.0, 3, Basis.TASK),
        "b": Estimate(2.5, 10.0, 4, Basis.ACTION),
    } == found
    assert {"a": 2.0, "b": 2.5, "c": 7.0} == expected(PLAN, found, otherwise=7.0)


def test_of_a_hundred_samples_ninety_five_stay_below() -> None:
    seconds = [float(number) for number in range(1, 101)]
    assert Estimate(50.5, 95.0, 100, Basis.TASK) == Estimate.of(seconds, Basis.TASK)


def test_the_last_runs_of_the_mode_count(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    for seconds in (1.0, 2.0, 3.0):
        recorded(journal, PLAN, {"a": seconds})
    recorded(journal, Runbook("plan", "failover", PLAN.tasks), {"a": 50.0})
    assert [Sample("a", "act", 2.0), Sample("a", "act", 3.0)] == samples([journal], "test", 2)
    assert [Sample("a", "act", 50.0)] == samples([journal], "failover")


def test_several_journals_are_read_and_none_is_made(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / name) for name in ("one.db", "two.db", "none.db")]
    recorded(journals[0], PLAN, {"a": 1.0})
    recorded(journals[1], PLAN, {"b": 2.0})
    assert 2 == len(samples(journals, "test"))
    assert not (tmp_path / "none.db").exists()


def test_what_was_done_already_or_in_part_says_nothing(tmp_path: Path) -> None:
    def observe(work: Work) -> Done | NotDone:
        return Done() if work.task.id == "seen" else NotDone()

    stage = Stage(tmp_path, act=Act(observe=observe))
    tasks = (task("whole"), task("seen"), task("again", action="fail"))
    stage.start(*tasks)
    stage.actions["fail"] = Act()
    stage.runner().resume("ann")
    assert ["whole"] == [sample.task for sample in samples([stage.journal], "test")]


def test_how_long_somebody_thought_is_known_of_that_question_alone(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "runs.db")
    run = journal.begin(PLAN, "ann").id
    journal.write(run, [Note(What.WAITING, "a", "act")])
    done = {"observed": False, "again": False}
    notes = [Note(What.DONE, "a", "act", 600.0, done), Note(What.DONE, "b", "act", 1.0, done)]
    journal.end(run, Outcome.SUCCEEDED, notes)
    found = estimates(runbook(task("a"), task("new")), samples([journal], "test"))
    assert {"a": 600.0, "new": 1.0} == {name: item.median for name, item in found.items()}
