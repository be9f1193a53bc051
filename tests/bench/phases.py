"""The life of an estate in whole processes: validate, plan, apply, plan again, change, destroy."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench import estate
from tests.bench.process import run
from tests.bench.samples import Goal, Samples, cpu_goal, memory_goal, ratio_goal

BASELINE = "baseline"
LARGE, MIDDLE = 10_000, 1_000

GOALS: tuple[Goal, ...] = (
    cpu_goal("--help", "--help", 0, 0.15),
    cpu_goal("validate 10,000", "validate", LARGE, 3.0),
    memory_goal("validate 10,000", "validate", LARGE, 150),
    cpu_goal("no-op plan of 10,000", "no-op plan", LARGE, 6.0),
    memory_goal("no-op plan of 10,000", "no-op plan", LARGE, 300),
    ratio_goal(
        "apply of 10,000 to that of 1,000",
        ("apply", LARGE),
        ("apply", MIDDLE),
        12,
        lambda cost: cost.cpu,
    ),
)

_CHANGES = 2


@dataclass(frozen=True, slots=True)
class Phase:
    """One process of a round: a program, which is given the estate's folder, and how it has to end.
    ``before`` is done first and not measured.
    """

    name: str
    program: Sequence[str]
    expected: int = 0
    before: Callable[[Path], None] | None = None


def provisioner(*arguments: str) -> list[str]:
    """The command line of the installed program."""
    return [str(Path(sys.executable).with_name("provisioner")), *arguments]


def _change_one(folder: Path) -> None:
    """Another description for the last machine."""
    path = sorted(folder.glob("resources-*.yaml"))[-1]
    head, word, tail = path.read_text(encoding="utf-8").rpartition("of the estate")
    assert word, "every machine has this description"
    path.write_text(f"{head}changed{tail}", encoding="utf-8")


PHASES = (
    Phase(BASELINE, [sys.executable, "-m", "tests.bench.baseline"]),
    Phase("validate", provisioner("validate")),
    Phase("first plan", provisioner("plan", "--detailed-exitcode"), _CHANGES),
    Phase("apply", provisioner("apply", "--yes")),
    Phase("no-op plan", provisioner("plan", "--detailed-exitcode")),
    Phase(
        "plan with one change",
        provisioner("plan", "--detailed-exitcode"),
        _CHANGES,
        _change_one,
    ),
    Phase("destroy", provisioner("destroy", "--yes")),
)
"""In this order each one finds what it needs; the exit codes say that it did."""


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
                if phase.before is not None:
                    phase.before(folder)
                cost = run([*phase.program, str(folder)], log, expected={phase.expected})
                samples.add(phase.name, size, cost)
                say(f"  {size:>6,} {phase.name}: {cost.cpu:.2f} s CPU, {cost.peak:.0f} MiB")
            shutil.rmtree(folder)
