"""The runner: order, lanes, results, looking first, trying again, and what follows a failure."""

import threading
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Retryable, Terminal
from provisioner.workflows import events
from provisioner.workflows.actions import Done, Work
from provisioner.workflows.limits import Limits
from provisioner.workflows.runbook import OnFailure
from provisioner.workflows.runs import Outcome, What
from tests.unit.workflows.acting import (
    SECONDS,
    TROUBLE,
    Act,
    Stage,
    SteppedClock,
    ask,
    codes,
    task,
    whats,
)

GO_ON, HOLD, STOP = OnFailure.GO_ON, OnFailure.HOLD, OnFailure.STOP


def test_nothing_to_do_is_a_run(tmp_path: Path) -> None:
    run = Stage(tmp_path).start()
    assert (Outcome.SUCCEEDED, {}) == (run.record.outcome, run.tasks)


def test_a_task_gets_the_results_of_all_that_comes_before_it(tmp_path: Path) -> None:
    found = {}

    def perform(work: Work) -> Done:
        found[work.task.id] = {name: dict(result) for name, result in work.results.items()}
        return Done({"said by": work.task.id})

    stage = Stage(tmp_path, act=Act(perform))
    run = stage.start(task("a"), task("b", "a"), task("c", "b"), task("x"), task("y", "x"))
    assert Outcome.SUCCEEDED is run.record.outcome
    assert {"a": {"said by": "a"}, "b": {"said by": "b"}} == found["c"]
    assert {"said by": "c"} == run.tasks["c"].result


def test_what_does_not_come_before_a_task_is_not_among_its_results(tmp_path: Path) -> None:
    missing = []

    def perform(work: Work) -> None:
        if work.task.id == "c":
            missing.append("x" in work.results)

    Stage(tmp_path, act=Act(perform)).start(task("a"), task("x"), task("c", "a"))
    assert [False] == missing


def test_what_is_done_already_is_not_done_again(tmp_path: Path) -> None:
    def observe(_work: Work) -> Done:
        return Done({"found": True})

    def perform(_work: Work) -> None:
        raise AssertionError

    stage = Stage(tmp_path, act=Act(perform, observe))
    state = stage.start(task("a")).tasks["a"]
    assert (What.DONE, True, {"found": True}) == (state.what, state.observed, state.result)


def test_lanes_hold_and_do_not_hold_up_one_another(tmp_path: Path) -> None:
    lock, gate, both = threading.Lock(), threading.Event(), threading.Barrier(2)
    under_way = {"slow": 0, "fast": 0}
    most = dict(under_way)

    def perform(work: Work) -> None:
        lane = work.task.lane
        with lock:
            under_way[lane] += 1
            most[lane] = max(most[lane], under_way[lane])
        if lane == "slow":
            both.wait(SECONDS)
            assert gate.wait(SECONDS)
        elif work.task.id == "fast5":
            gate.set()
        with lock:
            under_way[lane] -= 1

    tasks = [task(f"{lane}{n}", lane=lane) for lane in ("slow", "fast") for n in range(6)]
    run = Stage(tmp_path, act=Act(perform)).start(*tasks, lanes={"slow": 2, "fast": 1})
    assert Outcome.SUCCEEDED is run.record.outcome
    assert {"slow": 2, "fast": 1} == most


def test_what_leads_the_longest_way_is_begun_first(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.limits = Limits(parallel=1)
    stage.expected = {"short": 5, "long": 5, "after": 20}
    stage.start(task("short"), task("long"), task("after", "long"))
    started = [event.task for event in stage.events if isinstance(event, events.TaskStarted)]
    assert ["long", "after", "short"] == started


def test_what_may_work_later_is_tried_again(tmp_path: Path) -> None:
    tries = []

    def perform(_work: Work) -> Done:
        tries.append(1)
        if len(tries) < 3:
            raise Retryable(TROUBLE, after=0.01)
        return Done()

    stage = Stage(tmp_path, act=Act(perform))
    state = stage.start(task("a")).tasks["a"]
    assert (What.DONE, 3, False) == (state.what, state.attempts, state.observed)
    assert [
        events.TaskRetrying("a", 2, 0.01, TROUBLE),
        events.TaskRetrying("a", 3, 0.02, TROUBLE),
    ] == stage.told(events.TaskRetrying)


def test_it_is_tried_until_the_deadline(tmp_path: Path) -> None:
    clock = SteppedClock()

    def perform(_work: Work) -> Done:
        clock.step(1)
        raise Retryable(TROUBLE, after=0.001)

    stage = Stage(tmp_path, act=Act(perform))
    stage.clock = clock
    run = stage.start(task("a", seconds=5))
    diagnostic = run.tasks["a"].diagnostic
    assert ["PRV7011"] == codes(run)
    assert diagnostic is not None
    assert "a: not done within 5 s" == diagnostic.summary
    assert "Tried 5 times; the last time: the machine is on fire." == diagnostic.detail
    assert "Put it out." == diagnostic.hint


def test_a_task_that_does_not_come_back_is_left_behind(tmp_path: Path) -> None:
    gate = threading.Event()

    def perform(work: Work) -> None:
        if work.task.id == "hangs":
            gate.wait(SECONDS)

    stage = Stage(tmp_path, act=Act(perform))
    run = stage.start(
        task("hangs", seconds=0.1, on_failure=HOLD, lane="one"),
        task("next", lane="one"),
        task("after", "hangs"),
        lanes={"one": 1},
    )
    gate.set()
    assert {"hangs": What.FAILED, "next": What.DONE, "after": What.HELD} == whats(run)
    assert ["PRV7011"] == codes(run)
    assert ["hangs"] == [name for name, state in run.tasks.items() if state.abandoned]


def test_what_fails_for_good_says_why(tmp_path: Path) -> None:
    run = Stage(tmp_path).start(task("a", action="fail"))
    assert (Outcome.STOPPED, (TROUBLE,)) == (
        run.record.outcome,
        tuple(state.diagnostic for state in run.failed),
    )


def test_the_first_error_of_several_is_kept(tmp_path: Path) -> None:
    def perform(_work: Work) -> Done:
        raise ProvisionerError([TROUBLE, error("PRV5002", "and wet")])

    run = Stage(tmp_path, act=Act(perform)).start(task("a"))
    assert ["PRV5001"] == codes(run)


@pytest.mark.parametrize("result", [{"not JSON": object()}, {"not JSON": float("nan")}])
def test_a_result_that_cannot_be_kept_is_a_defect(
    tmp_path: Path, result: dict[str, object]
) -> None:
    stage = Stage(tmp_path, act=Act(lambda _work: Done(result)))  # type: ignore[arg-type]  # on purpose
    assert ["PRV7012"] == codes(stage.start(task("a")))


@pytest.mark.parametrize("defect", [RuntimeError("oops"), SystemExit(3)])
def test_a_defect_of_an_action_fails_its_task_and_nothing_else(
    tmp_path: Path, defect: BaseException
) -> None:
    def perform(work: Work) -> None:
        if work.task.id == "a":
            raise defect

    stage = Stage(tmp_path, act=Act(perform))
    run = stage.start(task("a", on_failure=HOLD), task("b"))
    assert {"a": What.FAILED, "b": What.DONE} == whats(run)
    assert ["PRV7012"] == codes(run)


def test_where_there_are_no_more_threads_the_task_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refused(thread: threading.Thread) -> None:
        if thread.name == "task a":
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refused)
    run = Stage(tmp_path).start(task("a", on_failure=HOLD), task("b"))
    assert {"a": What.FAILED, "b": What.DONE} == whats(run)
    assert ["PRV7013"] == codes(run)


def test_stop_begins_nothing_more_and_awaits_what_is_under_way(tmp_path: Path) -> None:
    failed = threading.Event()

    def perform(_work: Work) -> None:
        assert failed.wait(SECONDS)

    stage = Stage(tmp_path, slow=Act(perform))
    stage.listener = lambda event: failed.set() if isinstance(event, events.TaskFailed) else None
    run = stage.start(task("slow", action="slow"), task("bad", action="fail"), task("next", "slow"))
    assert {"slow": What.DONE, "bad": What.FAILED, "next": What.SKIPPED} == whats(run)
    assert Outcome.STOPPED is run.record.outcome


def test_hold_holds_what_depends_on_it(tmp_path: Path) -> None:
    run = Stage(tmp_path).start(
        task("bad", action="fail", on_failure=HOLD),
        task("after", "bad"),
        task("later", "after"),
        task("other"),
        task("both", "other", "later"),
    )
    assert {
        "bad": What.FAILED,
        "after": What.HELD,
        "later": What.HELD,
        "other": What.DONE,
        "both": What.HELD,
    } == whats(run)
    assert {"bad"} == {state.held_by for state in run.held}
    assert Outcome.IN_PART is run.record.outcome


def test_go_on_goes_on(tmp_path: Path) -> None:
    run = Stage(tmp_path).start(task("bad", action="fail", on_failure=GO_ON), task("b", "bad"))
    assert {"bad": What.FAILED, "b": What.DONE} == whats(run)
    assert Outcome.IN_PART is run.record.outcome


def test_an_unknown_action_is_refused_before_anything_begins(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    with pytest.raises(ProvisionerError) as refused:
        stage.start(task("a"), task("b", action="dance"))
    assert ["PRV7010"] == [item.code for item in refused.value.diagnostics]
    assert "Unknown actions: dance." == refused.value.diagnostics[0].detail
    assert [] == stage.journal.runs()


def test_progress_is_told(tmp_path: Path) -> None:
    stage = Stage(tmp_path, act=Act(lambda work: work.progress("copying", 3, 7)))
    stage.start(task("a"))
    assert [events.TaskProgress("a", "copying", 3, 7)] == stage.told(events.TaskProgress)


def test_events_tell_a_run_from_its_beginning_to_its_end(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    run = stage.start(task("a"), task("b", "a"))
    assert ["RunStarted", "TaskStarted", "TaskDone", "TaskStarted", "TaskDone", "RunEnded"] == [
        type(event).__name__ for event in stage.events
    ]
    assert events.RunStarted(run.record.id, "plan", "test", 2, 0) == stage.events[0]
    assert events.RunEnded(run.record.id, "succeeded") == stage.events[-1]


def test_what_comes_after_a_held_task_goes_on(tmp_path: Path) -> None:
    later = replace(task("later"), after=("down", "needy"))
    stage = Stage(tmp_path)
    run = stage.start(task("down", action="fail", on_failure=HOLD), task("needy", "down"), later)
    expected = {"down": What.FAILED, "needy": What.HELD, "later": What.DONE}
    assert expected == whats(run)


def test_what_comes_after_another_waits_for_its_end(tmp_path: Path) -> None:
    seen = []
    stage = Stage(tmp_path, act=Act(lambda work: seen.append(work.task.id)))
    stage.start(task("first"), replace(task("later"), after=("first",)))
    assert ["first", "later"] == seen


def test_what_is_put_out_begins_nothing_more_and_ends_what_it_has_begun(tmp_path: Path) -> None:
    stage, others, heard = Stage(tmp_path), threading.Event(), threading.Event()
    done: list[str] = []

    def put_out() -> ProvisionerError | None:
        return ProvisionerError(TROUBLE) if others.is_set() else None

    def listen(event: events.RunEvent) -> None:
        if isinstance(event, events.RunStopping):
            heard.set()

    def perform(work: Work) -> None:
        others.set()
        assert heard.wait(SECONDS)
        done.append(work.task.id)

    stage.put_out, stage.listener = put_out, listen
    stage.actions["act"] = Act(perform)
    with pytest.raises(ProvisionerError) as refused:
        stage.start(task("a"), task("b", "a"))
    (run,) = stage.journal.runs()
    assert (TROUBLE, ["a"]) == (refused.value.diagnostics[0], done)
    assert (Outcome.STOPPED, {"a": What.DONE, "b": What.SKIPPED}) == (
        run.outcome,
        whats(stage.journal.run(run.id)),
    )


@pytest.mark.parametrize("asked_first", [True, False])
def test_no_question_holds_up_a_run_that_has_stopped(tmp_path: Path, asked_first: bool) -> None:
    stage, asked, stopped = Stage(tmp_path), threading.Event(), threading.Event()

    def listen(event: events.RunEvent) -> None:
        if isinstance(event, events.TaskWaiting):
            asked.set()
        if isinstance(event, events.RunStopping):
            stopped.set()

    def bad(_work: Work) -> Done:
        assert asked.wait(SECONDS) or not asked_first
        raise Terminal(TROUBLE)

    def late(work: Work) -> Done:
        assert stopped.wait(SECONDS)
        return ask(work)

    stage.listener = listen
    stage.actions |= {"bad": Act(bad), "late": Act(late)}
    if not asked_first:
        asked.set()
    question = task("question", action="ask" if asked_first else "late")
    run = stage.start(task("bad", action="bad", on_failure=STOP), question)
    assert (What.INTERRUPTED, Outcome.STOPPED) == (run.tasks["question"].what, run.record.outcome)


@pytest.mark.parametrize(
    ("policy", "behind"), [(STOP, What.HELD), (HOLD, What.HELD), (GO_ON, What.DONE)]
)
def test_a_question_ends_when_nothing_that_it_serves_can_succeed_any_more(
    tmp_path: Path, policy: OnFailure, behind: What
) -> None:
    stage, asked = Stage(tmp_path), threading.Event()
    stage.listener = lambda event: asked.set() if isinstance(event, events.TaskWaiting) else None

    def late(_work: Work) -> Done:
        assert asked.wait(SECONDS)
        raise Terminal(TROUBLE)

    stage.actions["late"] = Act(late)
    run = stage.start(
        task("late", action="late", on_failure=HOLD),
        task("served", "late"),
        replace(task("question", action="ask", on_failure=policy), serves=("served",)),
        task("behind", "question"),
    )
    assert (What.HELD, "late") == (run.tasks["question"].what, run.tasks["question"].held_by)
    assert (behind, Outcome.IN_PART) == (run.tasks["behind"].what, run.record.outcome)


def test_it_is_asked_when_the_run_is_gone_on_with(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    run = stage.start(
        task("bad", action="fail", on_failure=HOLD),
        task("served", "bad"),
        task("first"),
        replace(task("question", "first", action="ask"), serves=("served",)),
    )
    assert What.HELD is run.tasks["question"].what
    stage.actions["fail"] = Act()
    stage.listener = lambda event: (
        stage.journal.answer(run.record.id, "question", "yes", "ann")
        if isinstance(event, events.TaskWaiting)
        else None
    )
    assert Outcome.SUCCEEDED is stage.runner().resume("ann").record.outcome
