"""The life of many machines on a real libvirt daemon, in whole processes, each beside its floor.

A private daemon holds as many stopped machines as disks. A round creates all of them, plans with
nothing to do, changes each machine, and destroys everything; after each of these, or as soon as the
daemon is in the same state again, the bare calls for the same effect run as a process of their own
(:mod:`tests.bench.floor`).
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import libvirt_stack, observation
from tests.bench.phases import CHANGES, provisioner
from tests.bench.process import Cost, run
from tests.bench.samples import Goal, Samples, cpu_goal, ratio_goal
from tests.lab.daemon import Flavour, LibvirtDaemon

CREATE = "apply: create all"
PLAN = "no-op plan"
CHANGE = "apply: change each"
DESTROY = "destroy"
FLOOR = " (floor)"
"""What the name of a phase has at its end where the bare calls are meant."""

_PLANS = 3
"""How often the plan is taken in each round: it is over in half a second."""

THEIR_PLAN = 64 / 50
"""CPU seconds for each machine that a no-op plan of 50 machines and 50 volumes took Terraform with
its libvirt provider 0.9, measured on a machine like those that this benchmark runs on.
"""


def goals(objects: int) -> tuple[Goal, ...]:
    """What a daemon with this many machines, and as many disks, is held against."""

    def floor(phase: str, limit: float) -> Goal:
        pair = (phase, objects), (phase + FLOOR, objects)
        return ratio_goal(f"{phase} to its floor", *pair, limit, lambda cost: cost.wall)

    return (
        floor(PLAN, 2),
        floor(CREATE, 1.5),
        floor(CHANGE, 1.5),
        ratio_goal(
            f"observation of {objects:,} machines to the bare calls",
            (observation.OBSERVATION, objects),
            (observation.BARE, objects),
            2,
            lambda cost: cost.wall,
        ),
        cpu_goal(f"no-op plan of {objects:,} machines", PLAN, objects, 3.0),
        cpu_goal("no-op plan, a 60th of Terraform's", PLAN, objects, THEIR_PLAN * objects / 60),
    )


def measure(objects: int, rounds: int, say: Callable[[str], None]) -> Samples:
    """Live the life ``rounds`` times over."""
    samples = Samples()
    with LibvirtDaemon(Flavour.SESSION) as daemon, tempfile.TemporaryDirectory() as scratch:
        for number in range(1, rounds + 1):
            say(f"round {number} of {rounds}")
            folder = Path(scratch) / str(number)
            _Round(daemon.uri, folder, objects, samples, say).live(daemon.directory / "volumes")
    return samples


class _Round:
    """One life of the machines."""

    def __init__(
        self, uri: str, folder: Path, objects: int, samples: Samples, say: Callable[[str], None]
    ) -> None:
        self._uri = uri
        self._stack = folder / "stack"
        self._saved = folder / "saved"
        self._saved.mkdir(parents=True)
        self._log = folder / "log"
        self._objects = objects
        self._samples = samples
        self._say = say

    def live(self, volumes: Path) -> None:
        libvirt_stack.write(self._stack, self._objects, self._uri, volumes)
        self._ours(CREATE, "apply", "--yes")
        for _ in range(_PLANS):
            self._ours(PLAN, "plan", "--detailed-exitcode")
            self._floor(PLAN, "read")
        observation.measure(self._stack, self._uri, self._objects, self._samples)
        self._floor("", "save")
        libvirt_stack.change_each(self._stack)
        self._ours("", "plan", "--detailed-exitcode", expected=CHANGES)
        self._ours(CHANGE, "apply", "--yes")
        disks = libvirt_stack.disks(self._objects)
        consents = [part for disk in disks for part in ("--allow-data-loss", disk)]
        self._ours(DESTROY, "destroy", "--yes", *consents)
        self._floor(CREATE, "create")
        self._floor(CHANGE, "change")
        self._floor(DESTROY, "destroy")

    def _ours(self, phase: str, *arguments: str, expected: int = 0) -> None:
        self._run(phase, [*provisioner(*arguments), str(self._stack)], expected)

    def _floor(self, phase: str, verb: str) -> None:
        program = [sys.executable, "-m", "tests.bench.floor", verb, self._uri, str(self._saved)]
        self._run(phase and phase + FLOOR, program, 0)

    def _run(self, phase: str, program: Sequence[str], expected: int) -> None:
        """Run a program and note what it cost, unless it is no phase."""
        cost: Cost = run(program, self._log, {expected})
        if phase:
            self._samples.add(phase, self._objects, cost)
            self._say(f"  {phase}: {cost.wall:.2f} s, {cost.cpu:.2f} s CPU")
