"""What ends, hangs or comes too late on vSphere while machines are made, changed and removed: the
simulator itself, its answers, tasks whose beginning nobody heard of, rights, names.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provisioner.engine.events import StepRetrying
from tests.lab.launcher import runs
from tests.lab.vcsim import Vcsim
from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

from tests.faults.vspherecourses import COURSES, LARGER, ON, SPEC, WEB, converge
from tests.faults.vspherestack import Ended, Outsider, VsphereStack

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("vsphere-faults-ends"),
]
WRITES = {
    "create": ("CreateVM_Task", "PowerOnVM_Task"),
    "change live": ("ReconfigVM_Task",),
    "change with a restart": ("PowerOffVM_Task", "ReconfigVM_Task", "PowerOnVM_Task"),
    "adopt": ("ReconfigVM_Task",),
    "delete": ("PowerOffVM_Task", "Destroy_Task"),
}
QUICK = (("create", "CreateVM_Task"), ("change with a restart", "PowerOffVM_Task"))
AT = [(course, method) for course, methods in WRITES.items() for method in methods]


def at_writes(*quick: tuple[str, str]) -> list[Any]:
    """Every call that changes something; without --slow these."""
    return [pytest.param(*at, marks=[] if at in quick else pytest.mark.slow) for at in AT]


@pytest.mark.parametrize(("course", "method"), at_writes(*QUICK))
def test_an_answer_that_comes_too_late(stack: VsphereStack, course: str, method: str) -> None:
    """The client has given up when the endpoint begins: what it asked for is done after all."""
    stack.read = 1.0
    stack.configure()
    meant = COURSES[course]
    meant.prepare(stack)
    stack.declare(dict(meant.wanted))
    with stack.vcsim.fault(method, Act.SLEEP, seconds=1.4) as rule:
        ended = stack.apply(adopting=meant.adopting)
        assert 1 == rule.hits
    assert ("done", ("PRV5308",)) == (ended.outcome, ended.retried)
    time.sleep(0.5)  # until the late call has come
    again = stack.apply(adopting=meant.adopting)
    assert "done" == again.outcome
    converge(stack, meant, again, course)


@contextmanager
def revived(vcsim: Vcsim) -> Iterator[None]:
    """A block in which the simulator is started again as soon as it is dead, once."""
    over, first = threading.Event(), vcsim.pid

    def watch() -> None:
        while not over.wait(0.02):
            if not runs(first):
                vcsim.start()
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()


@pytest.mark.parametrize(("course", "method"), at_writes(*QUICK))
@pytest.mark.parametrize("revive", [True, False], ids=["comes back", "stays away"])
def test_the_endpoint_dies(stack: VsphereStack, course: str, method: str, revive: bool) -> None:
    """What was recorded is gone with it: the next run makes what is wanted."""
    meant = COURSES[course]
    meant.prepare(stack)
    stack.declare(dict(meant.wanted))
    stack.vcsim.fault(method, Act.EXIT)
    if revive:
        with revived(stack.vcsim):
            ended = stack.apply(adopting=meant.adopting)
    else:
        ended = stack.apply(adopting=meant.adopting)
        assert ["PRV5307"] == ended.codes, ended
        unreachable = stack.apply()
        assert ("refused", ["PRV5301"]) == (unreachable.outcome, unreachable.codes)
        stack.vcsim.start()
    if ended.problems:
        assert ended.codes[0] in ("PRV5307", "PRV5315", "PRV3005"), ended
    again = stack.apply()
    assert "done" == again.outcome, f"{ended}; then {again}"
    converge(stack, meant, again, course)


@pytest.mark.parametrize(("course", "method"), at_writes(QUICK[0]))
def test_a_handler_that_panics(stack: VsphereStack, course: str, method: str) -> None:
    """It leaves its object locked: what is asked of that hangs until the endpoint is started
    again."""
    stack.read, stack.step = 1.0, 2.5
    stack.configure()
    meant = COURSES[course]
    meant.prepare(stack)
    stack.declare(dict(meant.wanted))
    stack.vcsim.fault(method, Act.PANIC)
    ended = stack.apply(adopting=meant.adopting)
    assert [] == [code for code in ended.codes if code not in ("PRV5307", "PRV5308")], ended
    assert ended.codes, ended
    stack.vcsim.kill()
    stack.vcsim.start()
    again = stack.apply()
    assert "done" == again.outcome, f"{ended}; then {again}"
    converge(stack, meant, again, course)


# Creations whose beginning nobody heard of


@contextmanager
def unheard_creation(vcsim: Vcsim, method: str = "CreateVM_Task") -> Iterator[None]:
    """A block in which a creation is begun and its answer lost; until it is released nothing finds
    what is made."""
    with vcsim.fault(method, Act.LOSE), vcsim.fault(method, Act.HOLD):
        yield


@pytest.mark.parametrize("method", ["CreateVM_Task", "CreateSnapshot_Task"])
def test_a_lost_creation_is_waited_for(stack: VsphereStack, method: str) -> None:
    stack.declare({WEB: SPEC, "Snapshot/clean": {"machine": "web"}})
    released: list[threading.Timer] = []

    def release_soon(_: StepRetrying) -> None:
        released.append(threading.Timer(0.3, stack.vcsim.release))
        released[-1].start()

    stack.on_retry = release_soon
    before = stack.vcsim.counts().get(method, 0)
    with unheard_creation(stack.vcsim, method):
        ended = stack.apply()
    for timer in released:
        timer.join()
    assert ("done", ("PRV5307",)) == (ended.outcome, ended.retried)
    assert before + 1 == stack.vcsim.counts()[method]
    converge(stack, COURSES["create"], ended, "waited for")


@pytest.mark.parametrize("ends", ["before the next plan", "while it is applied"])
def test_a_lost_creation_that_ends_in_the_next_run(stack: VsphereStack, ends: str) -> None:
    stack.step = 0.5
    stack.configure()
    stack.declare({WEB: SPEC})
    before = stack.vcsim.counts().get("CreateVM_Task", 0)
    with unheard_creation(stack.vcsim):
        ended = stack.apply()
    assert ("failed", ["PRV5308"]) == (ended.outcome, ended.codes)
    assert [] == Outsider(stack.vcsim).machines()
    stack.step = 60.0
    stack.configure()
    timer = threading.Timer(0.0 if ends == "before the next plan" else 1.0, stack.vcsim.release)
    timer.start()
    if ends == "before the next plan":
        timer.join()
    again = stack.apply()
    timer.join()
    assert "done" == again.outcome, again
    assert before + 1 == stack.vcsim.counts()["CreateVM_Task"]
    converge(stack, COURSES["create"], again, ends)


def test_answers_that_are_lost_in_every_attempt(stack: VsphereStack) -> None:
    stack.declare({WEB: SPEC})
    with stack.vcsim.fault("CreateVM_Task|PowerOnVM_Task", Act.LOSE, times=0):
        ended = stack.apply()
    converge(stack, COURSES["create"], ended, "lost every time")


# A machine that was switched off for a change


def test_a_change_that_is_refused_while_the_machine_is_off(stack: VsphereStack) -> None:
    """It runs again as it did before, and the message says so."""
    COURSES["change with a restart"].prepare(stack)
    stack.declare({WEB: LARGER})
    refusal: dict[str, Any] = {"fault": "InvalidVmConfig", "details": {"property": "memoryMB"}}
    with stack.vcsim.fault("ReconfigVM_Task", Act.FAIL, skip=1, **refusal):
        ended = stack.apply()
    [problem] = ended.problems
    assert "PRV5313" == problem.code
    assert "runs again as it did before" in problem.detail
    [found] = Outsider(stack.vcsim).machines()
    assert (64, ON) == (found.memory, found.power)


def test_a_machine_that_cannot_be_started_again_is_work_for_the_next_plan(
    stack: VsphereStack,
) -> None:
    """Though nobody says what its power has to be."""
    COURSES["change with a restart"].prepare(stack)
    stack.declare({WEB: LARGER})
    full: dict[str, Any] = {"fault": "InsufficientMemoryResourcesFault"}
    with stack.vcsim.fault("PowerOnVM_Task", Act.FAIL, times=0, **full):
        ended = stack.apply()
    [problem] = ended.problems
    assert "PRV5314" == problem.code
    assert "could not be brought back" in problem.detail
    [found] = Outsider(stack.vcsim).machines()
    assert (64, "poweredOff") == (found.memory, found.power)
    stack.declare({WEB: SPEC})
    [step] = stack.plan().steps
    assert ["it was switched off for a change, and was not brought back yet"] == [
        change.reason for change in step.changes
    ]
    stack.declare({WEB: LARGER})
    again = stack.apply()
    converge(stack, COURSES["change with a restart"], again, "started later")


def test_a_machine_that_is_to_be_off_by_now_is_not_brought_back(stack: VsphereStack) -> None:
    COURSES["change with a restart"].prepare(stack)
    stack.declare({WEB: LARGER})
    full: dict[str, Any] = {"fault": "InsufficientMemoryResourcesFault"}
    with stack.vcsim.fault("PowerOnVM_Task", Act.FAIL, times=0, **full):
        assert ["PRV5314"] == stack.apply().codes
    stack.declare({WEB: {**SPEC, "power": "stopped"}})
    stack.vcsim.reset_counts()
    assert "done" == stack.apply().outcome
    assert 0 == stack.vcsim.counts().get("PowerOnVM_Task", 0)
    assert [] == stack.steps()


# Rights and names


DB = "VirtualMachine/db"


def test_a_right_that_one_user_lacks_on_one_object(stack: VsphereStack) -> None:
    """What needs it fails, and says which right on what; the rest is done."""
    stack.user = stack.vcsim.options.users[-1][0]
    stack.configure()
    stack.declare({WEB: SPEC, DB: SPEC})
    assert "done" == stack.apply().outcome
    [web] = Outsider(stack.vcsim).named("web")
    changed = {**SPEC, "description": "changed"}
    stack.declare({WEB: changed, DB: changed})
    lacking: dict[str, Any] = {
        "fault": "NoPermission",
        "details": {"privilegeId": "VirtualMachine.Config.Annotation"},
    }
    with stack.vcsim.fault(
        "ReconfigVM_Task", Act.FAULT, target=web.moid, user=stack.user, times=0, **lacking
    ):
        ended = stack.apply()
    assert ("partial", ["PRV5304"]) == (ended.outcome, ended.codes)
    [problem] = ended.problems
    assert (
        "The user lacks VirtualMachine.Config.Annotation on VirtualMachine /DC0/vm/web "
        f"({web.moid})."
    ) == problem.detail
    assert "changed" == Outsider(stack.vcsim).named("db")[0].note
    assert ["update VirtualMachine/web"] == stack.steps()
    assert "done" == stack.apply().outcome
    assert [] == stack.steps()


def test_somebody_else_takes_the_name_before_it_is_made(stack: VsphereStack) -> None:
    """After the plan was made; and once more, when the apply looked for it in vain already."""
    outsider = Outsider(stack.vcsim)
    stack.declare({WEB: SPEC})

    def make() -> None:
        outsider.make("web")

    ended = stack.apply(between=make)
    assert "refused" == ended.outcome
    assert ["PRV3001"] == ended.codes
    assert ["poweredOff"] == [item.power for item in outsider.machines()]
    assert ["PRV2010"] == stack.apply().codes

    outsider.clear()
    with stack.vcsim.fault("CreateVM_Task", Act.SLEEP, seconds=0.5):
        seen = stack.vcsim.counts().get("CreateVM_Task", 0)
        late: list[Ended] = []
        run = threading.Thread(target=lambda: late.append(stack.apply()))
        run.start()
        while stack.vcsim.counts().get("CreateVM_Task", 0) == seen:
            time.sleep(0.01)
        make()
        run.join()
    assert [["PRV5318"]] == [item.codes for item in late]
    assert ["poweredOff"] == [item.power for item in outsider.machines()]


def test_a_machine_of_that_name_in_another_folder_is_no_obstacle(stack: VsphereStack) -> None:
    outsider = Outsider(stack.vcsim)
    outsider.make("web", folder="elsewhere")
    stack.declare({WEB: SPEC})
    ended = stack.apply()
    assert "done" == ended.outcome, ended
    assert ["/DC0/vm/elsewhere/web", "/DC0/vm/web"] == [item.path for item in outsider.machines()]
    assert [] == stack.steps()
