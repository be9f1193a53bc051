"""The executor: order, limits, failures, stopping, and steps that never answer."""

import threading
from collections.abc import Callable

import pytest

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.clock import SystemClock
from provisioner.engine.executor import Execution, Executor, Limits
from provisioner.engine.plan import Known, Step
from provisioner.engine.stop import StopSignal


def step(name: str, *needs: str, endpoint: str = "here") -> Step:
    known = Known(Address("Thing", name), endpoint, name, "0", 0, {})
    return Step(
        f"Thing/{name}",
        Action.CREATE,
        known,
        "absent",
        depends_on=tuple(f"Thing/{n}" for n in needs),
    )


class Run:
    """One run of the executor with a record of what happened."""

    def __init__(self, carry_out: Callable[[str], bool], limits: Limits | None = None) -> None:
        self.order: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.gave_up: list[str] = []
        self.stop = StopSignal()
        self.most = 0
        self._under_way = 0
        self._lock = threading.Lock()
        self._limits = limits or Limits()
        self._carry_out_name = carry_out

    def _carry_out(self, item: Step) -> bool:
        name = item.address.name
        with self._lock:
            self.order.append(name)
            self._under_way += 1
            self.most = max(self.most, self._under_way)
        try:
            return self._carry_out_name(name)
        finally:
            with self._lock:
                self._under_way -= 1

    def __call__(self, *steps: Step) -> Execution:
        return Executor(
            steps,
            carry_out=self._carry_out,
            skipped=lambda item, reason: self.skipped.append((item.address.name, reason)),
            gave_up=lambda item, _seconds: self.gave_up.append(item.address.name),
            limits=self._limits,
            clock=SystemClock(),
            stop=self.stop,
        ).run()


def test_a_step_runs_after_all_it_depends_on() -> None:
    run = Run(lambda _name: True)
    result = run(step("a"), step("b", "a"), step("c", "a"), step("d", "b", "c"))
    assert ("Thing/a", "Thing/d") == (result.done[0], result.done[-1])
    assert 4 == len(result.done)
    assert run.order.index("d") > max(run.order.index("b"), run.order.index("c"))


def test_nothing_to_run_is_a_run() -> None:
    assert Execution((), (), (), ()) == Run(lambda _name: True)()


def test_a_failure_skips_only_what_depends_on_it() -> None:
    run = Run(lambda name: name != "a")
    result = run(step("a"), step("b", "a"), step("c", "b"), step("x"), step("y", "x"))
    assert {"Thing/x", "Thing/y"} == set(result.done)
    assert ("Thing/a",) == result.failed
    assert [
        ("b", "Thing/a was not carried out"),
        ("c", "Thing/b was not carried out"),
    ] == run.skipped


@pytest.mark.parametrize(
    ("limits", "most"), [(Limits(total=3), 3), (Limits(endpoints={"here": 2}), 2)]
)
def test_limits_hold(limits: Limits, most: int) -> None:
    gate = threading.Semaphore(0)
    run = Run(lambda _name: gate.acquire(timeout=10), limits)
    releaser = threading.Timer(0.3, lambda: gate.release(12))
    releaser.start()
    result = run(*(step(f"s{index}") for index in range(12)))
    releaser.join()
    assert 12 == len(result.done)
    assert most == run.most


def test_a_full_endpoint_does_not_hold_up_another() -> None:
    gate = threading.Event()

    def carry_out(name: str) -> bool:
        if name.startswith("slow"):
            return gate.wait(10)
        if name == "fast2":
            gate.set()
        return True

    run = Run(carry_out, Limits(total=3, endpoints={"slow": 1}))
    slow = [step(f"slow{index}", endpoint="slow") for index in range(3)]
    result = run(*slow, *(step(f"fast{index}", endpoint="fast") for index in range(3)))
    assert 6 == len(result.done)


def test_the_first_request_ends_after_the_steps_under_way() -> None:
    run = Run(lambda _name: bool(run.stop.request()))
    result = run(step("a"), step("b", "a"))
    assert (("Thing/a",), ("Thing/b",), ()) == (result.done, result.skipped, result.abandoned)
    assert [("b", "the run was stopped")] == run.skipped


def test_the_second_request_abandons_the_steps_under_way() -> None:
    release = threading.Event()

    def carry_out(_name: str) -> bool:
        run.stop.request()
        run.stop.request()
        return release.wait(10)

    run = Run(carry_out)
    result = run(step("a"), step("b", "a"))
    release.set()
    assert ((), ("Thing/a",), ("Thing/b",)) == (result.done, result.abandoned, result.skipped)


def test_a_step_that_never_answers_is_given_up_and_the_others_go_on() -> None:
    release = threading.Event()
    run = Run(
        lambda name: release.wait(30) if name == "hangs" else True,
        Limits(total=1, step_seconds=0.2, grace_seconds=0.1),
    )
    result = run(step("hangs"), step("after", "hangs"), step("other"))
    release.set()
    assert (("Thing/other",), ("Thing/hangs",), ("Thing/after",)) == (
        result.done,
        result.failed,
        result.skipped,
    )
    assert ["hangs"] == run.gave_up


def test_an_endpoint_may_take_longer_than_others() -> None:
    limits = Limits(step_seconds=30, endpoint_seconds={"slow": 7200})
    assert (7200, 30) == (limits.seconds("slow"), limits.seconds("here"))
