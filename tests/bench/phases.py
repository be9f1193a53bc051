"""The life of an estate in whole processes: validate, plan, apply, plan again, change, destroy."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import estate
from tests.bench.process import Cost, run
from tests.bench.samples import Goal, Samples, cpu_goal, memory_goal, ratio_goal

BASELINE = "baseline"
VALIDATE = "validate"
FIRST_PLAN = "first plan"
APPLY = "apply"
NO_OP_PLAN = "no-op plan"
VALIDATE_AGAIN = "validate again"
COLD_PLAN = "no-op plan, no cache"
CHANGED_PLAN = "plan with one change"
DESTROY = "destroy"
LARGE, MIDDLE = 10_000, 1_000

GOALS: tuple[Goal, ...] = (
    cpu_goal("--help", "--help", 0, 0.15),
    cpu_goal("validate 10,000", VALIDATE, LARGE, 3.0),
    memory_goal("validate 10,000", VALIDATE, LARGE, 150),
    cpu_goal("validate 10,000 again", VALIDATE_AGAIN, LARGE, 1.0),
    cpu_goal("no-op plan of 10,000", NO_OP_PLAN, LARGE, 3.0),
    cpu_goal("no-op plan of 10,000, no cache", COLD_PLAN, LARGE, 6.0),
    memory_goal("no-op plan of 10,000", NO_OP_PLAN, LARGE, 300),
    ratio_goal(
        "apply of 10,000 to that of 1,000",
        (APPLY, LARGE),
        (APPLY, MIDDLE),
        12,
        lambda cost: cost.cpu,
    ),
)

CHANGES = 2
"""How a plan with ``--detailed-exitcode`` ends that has something to do."""


Command = Callable[[Path], Sequence[str]]
"""The command line of a program for an estate in this folder."""


@dataclass(frozen=True, slots=True)
class Phase:
    """One process of a round: a program, and how it has to end. ``before`` is done first and not
    measured. ``mark`` is a sign that its figures carry in tables, for a remark below them.
    """

    name: str
    command: Command
    expected: int = 0
    before: Callable[[Path], None] | None = None
    mark: str = ""

    def run(self, folder: Path, log: Path, environment: Mapping[str, str] | None = None) -> Cost:
        """Do what comes before, then measure; raises UnexpectedExitError where the program does
        not end as it has to.
        """
        if self.before is not None:
            self.before(folder)
        return run(self.command(folder), log, {self.expected}, environment)


def provisioner(*arguments: str) -> list[str]:
    """The command line of the installed program."""
    return [str(Path(sys.executable).with_name("provisioner")), *arguments]


def change_one(folder: Path) -> None:
    """Another description for the last machine, in whatever language its file is written."""
    path = sorted(folder.glob("resources-*"))[-1]
    head, word, tail = path.read_text(encoding="utf-8").rpartition("of the estate")
    assert word, "every machine has this description"
    path.write_text(f"{head}changed{tail}", encoding="utf-8")


def _on(*program: str) -> Command:
    return lambda folder: [*program, str(folder)]


def life(*options: str) -> tuple[Phase, ...]:
    """The life of an estate. In this order each phase finds what it needs; the exit codes say that
    it did. ``options`` are what every command is told besides.
    """
    plan = _on(*provisioner("plan", "--detailed-exitcode", *options))
    return (
        Phase(VALIDATE, _on(*provisioner("validate", *options))),
        Phase(FIRST_PLAN, plan, CHANGES),
        Phase(APPLY, _on(*provisioner("apply", "--yes", *options))),
        Phase(NO_OP_PLAN, plan),
        Phase(CHANGED_PLAN, plan, CHANGES, change_one),
        Phase(DESTROY, _on(*provisioner("destroy", "--yes", *options))),
    )


LIFE = life()
PHASES = (
    Phase(BASELINE, _on(sys.executable, "-m", "tests.bench.baseline")),
    *LIFE[:1],
    Phase(VALIDATE_AGAIN, _on(*provisioner("validate"))),
    *LIFE[1:4],
    Phase(COLD_PLAN, _on(*provisioner("plan", "--detailed-exitcode", "--no-cache"))),
    *LIFE[4:],
)
"""The life as it is measured beside nobody: also what the cache of manifests saves."""


def measure(sizes: Sequence[int], rounds: int, say: Callable[[str], None]) -> Samples:
    """Run every phase at every size, ``rounds`` times over, so that a noisy minute does not hit one
    phase alone.
    """
    samples = Samples()
    # The first run of all compiles Python's modules; it is not what is measured.
    measure_round([5], Samples())
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        measure_round(sizes, samples, say)
    return samples


def measure_round(
    sizes: Sequence[int], samples: Samples, say: Callable[[str], None] = lambda _: None
) -> None:
    """Run every phase once at every size."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        log = Path(scratch) / "log"
        samples.add("--help", 0, run(provisioner("--help"), log))
        for size in sizes:
            folder = Path(scratch) / f"estate-{size}"
            estate.write(folder, size)
            for phase in PHASES:
                cost = phase.run(folder, log)
                samples.add(phase.name, size, cost)
                say(f"  {size:>6,} {phase.name}: {cost.cpu:.2f} s CPU, {cost.peak:.0f} MiB")
            shutil.rmtree(folder)
