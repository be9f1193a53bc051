"""Plans of many machines on the vSphere simulator, in whole processes, each beside its floor.

A simulator gets as many stopped machines as asked for, another one as many as Terraform was
measured with. A round reads all of them with the bare calls (:mod:`tests.bench.vsphere_floor`),
plans with nothing to do and nothing remembered, and plans with what that has remembered; first as
fast as the simulator answers, then with a delay of every call.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import vsphere_stack
from tests.bench.phases import provisioner
from tests.bench.process import run
from tests.bench.report import Rows
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal
from tests.lab.vcsim import Options, Vcsim
from tests.lab.vcsim_rules import Act

FLOOR = "bare calls"
COLD = "no-op plan, nothing remembered"
WARM = "no-op plan"
CREATE = "apply: create all"
DELAY = 0.02
"""Seconds that every call takes longer in half of the figures."""
DELAYED = f", {DELAY * 1000:.0f} ms a call"
"""What the name of a phase has at its end there."""

OF_TERRAFORM = 300
"""Machines that Terraform was measured with."""
THEIR_PLAN = 23.3
"""CPU seconds of its plan right after its own apply, with its vsphere provider, on this simulator
and a machine like those that this benchmark runs on. It was not empty.
"""
_AHEAD = 15
_PAGES = "ContinueRetrievePropertiesEx"
_MEMORIES = "*.memory"


@dataclass(slots=True)
class Found:
    """What was measured: costs, and the requests of a phase at a size, further pages of answers
    left out.
    """

    samples: Samples = field(default_factory=Samples)
    requests: dict[tuple[str, int], int] = field(default_factory=dict)
    pages: dict[tuple[str, int], int] = field(default_factory=dict)


def goals(objects: Iterable[int]) -> tuple[Goal, ...]:
    """What a vCenter with so many machines is held against, for several numbers of them."""
    found = [
        ratio_goal(
            f"{phase} to the bare calls, {number:,} machines{delay}",
            (phase + delay, number),
            (FLOOR + delay, number),
            limit,
            lambda cost: cost.wall,
        )
        for number in objects
        for delay in ("", DELAYED)
        for phase, limit in ((COLD, 1.5), (WARM, 0.3))
    ]
    text = f"no-op plan of {OF_TERRAFORM}, a 15th of Terraform's"
    return (*found, cpu_goal(text, COLD, OF_TERRAFORM, THEIR_PLAN / _AHEAD))


def request_rows(found: Found) -> Rows:
    """A row for each phase and size, below the heading."""
    rows: list[tuple[str, ...]] = [("phase", "size", "requests", "further pages")]
    for (phase, size), number in found.requests.items():
        rows.append((phase, f"{size:,}", str(number), str(found.pages[phase, size])))
    return rows


def measure(objects: Iterable[int], rounds: int, say: Callable[[str], None]) -> Found:
    """Measure so many machines, for several numbers of them and for that of Terraform, ``rounds``
    times over.
    """
    found = Found()
    for size in sorted({OF_TERRAFORM, *objects}):
        with Vcsim(Options(machines=0)) as vcsim, tempfile.TemporaryDirectory() as scratch:
            say(f"{size:,} machines")
            Estate(vcsim, Path(scratch), size, found, say).live(rounds)
    return found


class Estate:
    """The machines of one simulator."""

    def __init__(
        self, vcsim: Vcsim, folder: Path, size: int, found: Found, say: Callable[[str], None]
    ) -> None:
        self._vcsim = vcsim
        self._folder = folder
        self._size = size
        self._found = found
        self._say = say
        self._stack = str(folder / "stack")
        self._environment = {
            vsphere_stack.PASSWORD: vcsim.password,
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def live(self, rounds: int) -> None:
        vsphere_stack.write(self._folder / "stack", self._size, self._vcsim)
        self._measure(CREATE, provisioner("apply", "--yes", self._stack))
        for _ in range(rounds):
            self._plans("")
        with self._vcsim.fault(".*", Act.SLEEP, times=0, seconds=DELAY):
            for _ in range(rounds):
                self._plans(DELAYED)

    def _plans(self, delay: str) -> None:
        vcsim = self._vcsim
        reached = (vcsim.host, str(vcsim.port), vcsim.user, vcsim.password, str(vcsim.ca))
        self._measure(FLOOR + delay, [sys.executable, "-m", "tests.bench.vsphere_floor", *reached])
        for memory in self._folder.glob(f"cache/**/{_MEMORIES}"):
            memory.unlink()
        plan = provisioner("plan", "--detailed-exitcode", self._stack)
        self._measure(COLD + delay, plan)
        self._measure(WARM + delay, plan)

    def _measure(self, phase: str, program: Sequence[str]) -> None:
        self._vcsim.reset_counts()
        cost = run(program, self._folder / "log", {0}, self._environment)
        counts = self._vcsim.reset_counts()
        key = phase, self._size
        self._found.samples.add(phase, self._size, cost)
        self._found.pages[key] = counts.pop(_PAGES, 0)
        self._found.requests[key] = sum(counts.values())
        self._say(f"  {phase}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU")
