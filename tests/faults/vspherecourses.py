"""Steps of a machine on vSphere, and that each ends well in the end, whatever went wrong with
it. Called by the tests of faults.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.faults.vspherestack import Ended, Outsider, VsphereStack, twice


@dataclass(frozen=True)
class Course:
    """One step of a machine's life. ``prepare`` brings about what is there before it; ``wanted`` is
    what is declared, ``left`` what there is in the end, by name: memory in MiB, note, power.
    """

    prepare: Callable[[VsphereStack], None]
    wanted: Mapping[str, Any]
    left: Mapping[str, tuple[int, str, str]]
    adopting: bool = False


ON = "poweredOn"
WEB = "VirtualMachine/web"
SMALL = 64
SPEC = {"memory": {"size": f"{SMALL}MiB"}, "description": "made", "shutdownTimeout": "0s"}
NOTED = {**SPEC, "description": "changed"}
LARGER = {**SPEC, "memory": {"size": "128MiB"}}


def nothing(stack: VsphereStack) -> None:
    """Whatever was made is gone."""
    Outsider(stack.vcsim).clear()


def machine(stack: VsphereStack) -> None:
    """A machine as it was made first."""
    outsider = Outsider(stack.vcsim)
    found = outsider.machines()
    if found:
        outsider.change(
            found[0].moid, off=found[0].memory > SMALL, annotation="made", memoryMB=SMALL
        )
        return
    stack.declare({WEB: SPEC})
    assert "done" == stack.apply().outcome


def foreign_machine(stack: VsphereStack) -> None:
    """A machine of nobody, and none that was recorded."""
    nothing(stack)
    stack.declare({})
    assert "done" == stack.apply().outcome
    Outsider(stack.vcsim).make("web", on=True, annotation="made")


COURSES = {
    "create": Course(nothing, {WEB: SPEC}, {"web": (64, "made", ON)}),
    "change live": Course(machine, {WEB: NOTED}, {"web": (64, "changed", "poweredOn")}),
    "change with a restart": Course(machine, {WEB: LARGER}, {"web": (128, "made", "poweredOn")}),
    "adopt": Course(foreign_machine, {WEB: SPEC}, {"web": (64, "made", ON)}, adopting=True),
    "delete": Course(machine, {}, {}),
}


def converge(stack: VsphereStack, course: Course, ended: Ended, where: str) -> None:
    """What it says is fit for a person; nothing is there twice; the next run ends well and leaves
    nothing to do.
    """
    for problem in ended.problems:
        text = f"{problem} {problem.detail} {problem.hint}"
        assert problem.code.startswith("PRV53"), where
        assert problem.hint, where
        assert not [word for word in ("Traceback", "0x", "vim.fault") if word in text], text
    outsider = Outsider(stack.vcsim)
    assert [] == twice(outsider.machines()), where
    if ended.outcome != "done":
        again = stack.apply(adopting=course.adopting)
        assert ("done", []) == (again.outcome, again.codes), f"{where}; then {again}"
    assert [] == stack.steps(), where
    stack.verify()
    assert dict(course.left) == {
        item.name: (item.memory, item.note, item.power) for item in outsider.machines()
    }, where
