"""Everything that can go wrong with a call to vSphere, at every call of every step that makes,
changes, takes over or removes a machine.

Each time the step is tried again within the same apply, or fails with words that a person can use;
nothing is ever there twice; the next run ends well, and leaves nothing to do.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.vcsim_rules import Act, Rule

pytest.importorskip("pyVmomi")

from tests.faults.vspherecourses import COURSES, Course, converge
from tests.faults.vspherestack import VsphereStack

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(600),
    pytest.mark.xdist_group("vsphere-faults"),
]

EVERY_CALL = ".*"
WRITES = ".*_Task"
"""All that changes a machine is a task."""
CHANGING = {
    "create": 2,
    "change live": 1,
    "change with a restart": 5,
    "adopt": 1,
    "delete": 2,
}
"""How often each of them does so while nothing goes wrong."""
MOST = 80
# pyvmomi reads no such fault without a task in it.
TASK = {"task": {"_typeName": "ManagedObjectReference", "type": "Task", "value": "task-1"}}


@dataclass(frozen=True)
class Fault:
    """What happens to one call. ``code``: what the step fails with; None if it is tried again."""

    act: Act
    code: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


FAULTS = {
    "dropped request": Fault(Act.REFUSE),
    "dropped answer": Fault(Act.LOSE),
    "truncated answer": Fault(Act.CUT),
    "503": Fault(Act.STATUS, details={"status": 503}),
    "401": Fault(Act.STATUS, details={"status": 401}),
    "session terminated": Fault(Act.EXPIRE),
    "task in progress": Fault(Act.FAULT, details={"fault": "TaskInProgress", "details": TASK}),
    "concurrent access": Fault(Act.FAULT, details={"fault": "ConcurrentAccess"}),
    "no permission": Fault(
        Act.FAULT,
        "PRV5304",
        {"fault": "NoPermission", "details": {"privilegeId": "VirtualMachine.Config.Settings"}},
    ),
    "system error": Fault(
        Act.FAULT, "PRV5317", {"fault": "SystemError", "details": {"reason": ""}}
    ),
}
OF_TASKS = {
    "failing task": Fault(
        Act.FAIL, "PRV5313", {"fault": "InvalidVmConfig", "details": {"property": "numCPUs"}}
    ),
    "task that found it busy": Fault(
        Act.FAIL, details={"fault": "TaskInProgress", "details": TASK}
    ),
}


def wrong_at_every(stack: VsphereStack, fault: Fault, course: Course, calls: str) -> int:
    """Do it again and again, with the n-th call going wrong; how many calls there were."""
    for number in range(MOST):
        course.prepare(stack)
        stack.declare(dict(course.wanted))
        rules: list[Rule] = []

        def begin(skip: int = number, rules: list[Rule] = rules) -> None:
            rules.append(stack.vcsim.fault(calls, fault.act, skip=skip, **fault.details))

        ended = stack.apply(adopting=course.adopting, between=begin)
        hit = rules[0].hits > 0
        rules[0].remove()
        where = f"call {number}: {ended}"
        if not hit or fault.code is None:
            assert "done" == ended.outcome, where
            assert hit or not ended.retried, where
        elif calls == WRITES:
            assert [fault.code] == ended.codes, where
        else:  # whether a session is logged out is nobody's business
            assert ended.codes in ([fault.code], []), where
        converge(stack, course, ended, where)
        if not hit:
            return number
    raise AssertionError(f"more than {MOST} calls")


@pytest.mark.parametrize("course", COURSES)
@pytest.mark.parametrize("fault", [*FAULTS, *OF_TASKS])
def test_any_call_that_changes_something_goes_wrong(
    stack: VsphereStack, fault: str, course: str
) -> None:
    calls = wrong_at_every(stack, {**FAULTS, **OF_TASKS}[fault], COURSES[course], WRITES)
    assert CHANGING[course] == calls


def every_call() -> Iterator[Any]:
    """What goes wrong in which step; without --slow what tells most."""
    for name in FAULTS:
        for course in COURSES:
            quick = name == "dropped answer" and course in ("create", "change with a restart")
            yield pytest.param(name, course, marks=[] if quick else pytest.mark.slow)


@pytest.mark.parametrize(("fault", "course"), [*every_call()])
def test_any_call_goes_wrong(stack: VsphereStack, fault: str, course: str) -> None:
    assert 10 < wrong_at_every(stack, FAULTS[fault], COURSES[course], EVERY_CALL)
