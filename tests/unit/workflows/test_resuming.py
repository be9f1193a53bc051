"""Runs that end before their end: cancelled here or elsewhere, taken over, resumed, rolled back."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.providers.api import Retryable
from provisioner.workflows import events
from provisioner.workflows.actions import Done, NotDone, Work
from provisioner.workflows.journal import Journal
from provisioner.workflows.runbook import OnFailure
from provisioner.workflows.runs import Outcome, Run, What
from tests.unit.workflows.acting import (
    SECONDS,
    TROUBLE,
    Act,
    Stage,
    busy,
    codes,
    far_away,
    runbook,
    task,
    whats,
)


def on(kind: type[events.RunEvent], call: Callable[[], object]) -> Callable[[object], None]:
    """A listener that calls at an event of this kind."""

    def listener(event: object) -> None:
        if isinstance(event, kind):
            call()

    return listener


def waiting_for(gate: threading.Event) -> Act:
    """An action that ends when the gate is opened."""

    def perform(_work: Work) -> None:
        gate.wait(SECONDS)

    return Act(perform)


def code_of(call: Callable[[], object]) -> str:
    with pytest.raises(ProvisionerError) as refused:
        call()
    return refused.value.diagnostics[0].code


def test_the_first_request_to_stop_awaits_what_is_under_way(tmp_path: Path) -> None:
    stopped = threading.Event()
    stage = Stage(tmp_path, act=waiting_for(stopped))

    def listener(event: object) -> None:
        if isinstance(event, events.TaskStarted):
            stage.stop.request()
        elif isinstance(event, events.RunStopping):
            stopped.set()

    stage.listener = listener
    run = stage.start(task("a"), task("b", "a"))
    assert {"a": What.DONE, "b": What.SKIPPED} == whats(run)
    assert Outcome.CANCELLED is run.record.outcome
    assert ["ann"] == [entry.actor for entry in run.cancellations]


def test_the_second_one_leaves_at_once(tmp_path: Path) -> None:
    gate = threading.Event()
    stage = Stage(tmp_path, act=waiting_for(gate))
    stage.listener = on(events.TaskStarted, lambda: (stage.stop.request(), stage.stop.request()))
    run = stage.start(task("a"), task("b", "a"))
    gate.set()
    assert {"a": What.BEGUN, "b": What.SKIPPED} == whats(run)
    assert Outcome.CANCELLED is run.record.outcome


def test_a_stop_after_the_last_task_cancels_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.listener = on(events.TaskDone, stage.stop.request)
    assert Outcome.SUCCEEDED is stage.start(task("a")).record.outcome


@pytest.mark.parametrize("action", [Act(busy), None])
def test_what_only_waits_is_interrupted(tmp_path: Path, action: Act | None) -> None:
    stage = Stage(tmp_path, wait=action) if action else Stage(tmp_path)
    kind = events.TaskRetrying if action else events.TaskWaiting
    # Two retries may be told at once, and a second request would leave the task behind.
    stage.listener = on(kind, lambda: stage.stop.stopping or stage.stop.request())
    run = stage.start(task("a", action="wait" if action else "ask"))
    assert {"a": What.INTERRUPTED} == whats(run)
    assert Outcome.CANCELLED is run.record.outcome


def test_another_process_cancels_through_the_journal(tmp_path: Path) -> None:
    stage, other = Stage(tmp_path), Journal(tmp_path / "runs.db")
    stage.listener = on(events.TaskWaiting, lambda: other.cancel("bob"))
    run = stage.start(task("a", action="ask"), task("b", "a"))
    assert {"a": What.INTERRUPTED, "b": What.SKIPPED} == whats(run)
    assert ["bob"] == [entry.actor for entry in run.cancellations]
    assert [events.RunStopping("cancelled by bob", 1)] == stage.told(events.RunStopping)


def test_another_process_answers_through_the_journal(tmp_path: Path) -> None:
    stage, other = Stage(tmp_path), Journal(tmp_path / "runs.db")

    def answer() -> None:
        run = other.last()
        assert run is not None
        assert {"a": What.WAITING} == whats(other.run(run.id))
        other.answer(run.id, "a", "yes", "bob")

    stage.listener = on(events.TaskWaiting, answer)
    run = stage.start(task("a", action="ask"))
    assert {"answer": "yes"} == run.tasks["a"].result
    assert [("bob", "yes")] == [(item.actor, item.detail["text"]) for item in run.answers]
    assert [events.TaskAnswered("a", "yes", "bob")] == stage.told(events.TaskAnswered)


def test_what_failed_with_an_answer_asks_again_when_it_is_resumed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    texts = iter(["no", "yes"])

    def answer() -> None:
        run = stage.journal.last()
        assert run is not None
        stage.journal.answer(run.id, "a", next(texts), "bob")

    stage.listener = on(events.TaskWaiting, answer)
    assert Outcome.STOPPED is stage.start(task("a", action="ask")).record.outcome
    assert Outcome.SUCCEEDED is stage.runner().resume("ann").record.outcome
    assert 2 == len(stage.told(events.TaskWaiting))


def test_a_question_is_answered_once_and_only_while_it_is_open(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    found: list[str] = []

    def answers() -> None:
        run = stage.journal.last()
        assert run is not None
        found.append(code_of(lambda: stage.journal.answer(run.id, "b", "yes", "bob")))
        stage.journal.answer(run.id, "a", "yes", "bob")
        found.append(code_of(lambda: stage.journal.answer(run.id, "a", "no", "eve")))

    stage.listener = on(events.TaskWaiting, answers)
    run = stage.start(task("a", action="ask"), task("b", "a"))
    found.append(code_of(lambda: stage.journal.answer(run.record.id, "a", "no", "eve")))
    assert ["PRV7005"] * 3 == found
    assert Outcome.SUCCEEDED is run.record.outcome


def interrupted(stage: Stage, *, effects: list[str]) -> Run:
    """A run of a, b and c that was stopped after a; each leaves its effect once."""

    def observe(work: Work) -> Done | NotDone:
        return Done({"seen": True}) if work.task.id in effects else NotDone()

    def perform(work: Work) -> Done:
        effects.append(work.task.id)
        return Done({"made": len(work.results)})

    stage.actions["act"] = Act(perform, observe)
    stage.listener = on(events.TaskStarted, stage.stop.request)
    return stage.start(task("a"), task("b", "a"), task("c", "b"))


def test_what_is_done_is_not_repeated_and_its_result_is_used(tmp_path: Path) -> None:
    first, effects = Stage(tmp_path), list[str]()
    assert {"a": What.DONE, "b": What.SKIPPED, "c": What.SKIPPED} == whats(
        interrupted(first, effects=effects)
    )
    second = Stage(tmp_path)
    second.actions = first.actions
    run = second.runner().resume("bob")
    assert ["a", "b", "c"] == effects
    assert [{"made": 0}, {"made": 1}, {"made": 2}] == [state.result for state in run.tasks.values()]
    assert Outcome.SUCCEEDED is run.record.outcome
    assert ["ann", "bob"] == [carrier.actor for carrier in run.carriers]
    assert events.RunStarted(run.record.id, "plan", "test", 3, 1) == second.events[0]


def test_what_was_begun_is_observed_first(tmp_path: Path) -> None:
    first, effects = Stage(tmp_path), list[str]()
    run = interrupted(first, effects=effects)
    effects.append("b")  # it had its effect, and nobody was told
    first.stop, first.listener = Stage(tmp_path).stop, lambda _event: None
    resumed = first.runner().resume("bob")
    assert run.record.id == resumed.record.id
    assert ["a", "b", "c"] == effects
    assert [False, True, False] == [state.observed for state in resumed.tasks.values()]


def test_what_failed_or_was_held_is_tried_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    tasks = [
        task("bad", action="fail", on_failure=OnFailure.HOLD),
        task("after", "bad"),
        task("other"),
    ]
    assert Outcome.IN_PART is stage.start(*tasks).record.outcome
    stage.actions["fail"] = Act()
    run = stage.runner().resume("ann")
    assert {"bad": What.DONE, "after": What.DONE, "other": What.DONE} == whats(run)
    assert Outcome.SUCCEEDED is run.record.outcome


def test_a_request_to_cancel_holds_for_the_run_until_it_is_resumed(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.listener = on(events.TaskWaiting, lambda: stage.journal.cancel("bob"))
    stage.start(task("a", action="ask"))
    stage.actions["ask"] = Act()
    assert Outcome.SUCCEEDED is stage.runner().resume("ann").record.outcome


@pytest.mark.parametrize("begun", [False, True])
def test_there_may_be_nothing_to_resume(tmp_path: Path, *, begun: bool) -> None:
    stage = Stage(tmp_path)
    if begun:
        stage.start(task("a"))
    assert "PRV7003" == code_of(lambda: stage.runner().resume("ann"))


def test_a_run_rolls_another_one_back(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    first = stage.start(task("a", action="fail"))
    undone = stage.runner().start(runbook(task("z"), mode="undo"), "bob", undoes=first.record.id)
    assert first.record.id == undone.record.undoes
    assert "PRV7003" == code_of(
        lambda: stage.runner().start(runbook(task("z")), "bob", undoes="never")
    )


def test_a_run_that_is_taken_over_goes_no_further(tmp_path: Path) -> None:
    stage, other = Stage(tmp_path), Journal(tmp_path / "runs.db")

    def take_over() -> None:
        far_away(stage.path)
        other.resume("bob", consent=True)

    stage.listener = on(events.TaskWaiting, take_over)
    assert "PRV7006" == code_of(lambda: stage.start(task("a", action="ask"), task("b", "a")))
    last = other.last()
    assert last is not None
    assert last.is_open
    assert {"a": What.WAITING, "b": None} == whats(other.run(last.id))
    assert "bob" == last.carrier.actor


def test_a_run_that_is_ended_from_elsewhere_goes_no_further(tmp_path: Path) -> None:
    stage, other = Stage(tmp_path), Journal(tmp_path / "runs.db")

    def end() -> None:
        far_away(stage.path)
        other.cancel("bob", consent=True)

    stage.listener = on(events.TaskWaiting, end)
    assert "PRV7006" == code_of(lambda: stage.start(task("a", action="ask"), task("b", "a")))
    last = other.last()
    assert last is not None
    assert Outcome.CANCELLED is last.outcome


def test_when_the_journal_fails_what_is_under_way_is_awaited(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    ended: list[str] = []
    full = threading.Event()

    class Full(Journal):
        def write(self, run: str, notes: object) -> None:
            if ended:
                full.set()
                raise ProvisionerError(TROUBLE)
            super().write(run, notes)  # type: ignore[arg-type]  # as it came

    def perform(work: Work) -> None:
        if work.task.id == "slow":
            assert full.wait(SECONDS)
        ended.append(work.task.id)

    stage.journal, stage.actions["act"] = Full(stage.path), Act(perform)
    assert "PRV5001" == code_of(lambda: stage.start(task("slow"), task("a"), task("b", "a")))
    assert ["a", "slow"] == ended
    last = stage.journal.last()
    assert last is not None
    assert stage.journal.is_orphaned(last.id)
    assert {"slow": What.BEGUN, "a": What.BEGUN, "b": None} == whats(stage.journal.run(last.id))
    stage.journal = Journal(stage.path)
    assert Outcome.SUCCEEDED is stage.runner().resume("ann").record.outcome


def test_while_one_runner_is_at_work_no_other_begins(tmp_path: Path) -> None:
    stage, gate, begun = Stage(tmp_path), threading.Event(), threading.Event()
    stage.actions["act"] = waiting_for(gate)
    stage.listener = on(events.TaskStarted, begun.set)
    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(lambda: stage.start(task("a")))
        assert begun.wait(SECONDS)
        other = Stage(tmp_path)
        refused = [
            code_of(lambda: other.start(task("a"))),
            code_of(lambda: other.runner().resume("bob")),
        ]
        gate.set()
        assert Outcome.SUCCEEDED is future.result(SECONDS).record.outcome
    assert ["PRV7001", "PRV7002"] == refused


@pytest.mark.parametrize("at_work", [False, True])
def test_when_the_sink_fails_others_may_go_on_once_nothing_is_under_way_here(
    tmp_path: Path, *, at_work: bool
) -> None:
    gate = threading.Event()
    stage = Stage(tmp_path, slow=waiting_for(gate))

    def broken(event: object) -> None:
        if isinstance(event, events.TaskFailed):
            raise BrokenPipeError

    stage.listener = broken
    slow = [task("slow", action="slow")] if at_work else []
    with pytest.raises(BrokenPipeError):
        stage.start(*slow, task("bad", action="fail"), task("b"))
    gate.set()
    last = stage.journal.last()
    assert last is not None
    assert (True, not at_work) == (last.is_open, stage.journal.is_orphaned(last.id))


def test_a_retry_may_ask_again(tmp_path: Path) -> None:
    asked = []

    def perform(work: Work) -> Done:
        if (text := work.signals.answer()) is None:
            asked.append(1)
            raise Retryable(TROUBLE, after=0.02)
        return Done({"text": text})

    stage = Stage(tmp_path, ask=Act(perform))

    def answer() -> None:
        run = stage.journal.last()
        assert run is not None
        if len(stage.told(events.TaskRetrying)) == 2:
            stage.journal.answer(run.id, "a", "yes", "bob")

    stage.listener = on(events.TaskRetrying, answer)
    run = stage.start(task("a", action="ask"))
    assert ({"text": "yes"}, []) == (run.tasks["a"].result, codes(run))
