"""The same estate, lived through by us and by Terraform or OpenTofu, phase by phase in turns.

In each round, and at each size, a phase of ours and the same one of theirs run one after the other:
the machine is the same for both. What is said about the two are ratios of such pairs.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.bench import chart, phases, report
from tests.bench.contender import COLD, OURS, PROVISIONER, Contender
from tests.bench.phases import APPLY, DESTROY, LARGE, MIDDLE, NO_OP_PLAN, VALIDATE
from tests.bench.process import Cost
from tests.bench.samples import Goal, Samples, lead_goal, ratio_goal
from tests.bench.terraform import GENERATED, Tool

ROUNDS = 1
"""How many rounds there are unless somebody says otherwise. One takes ten minutes, nearly all of
them Terraform's, and the differences that are looked for are not of a few hundredths.
"""

NAMES = tuple(phase.name for phase in phases.LIFE)


class Quantity(NamedTuple):
    """A figure of a cost, what a table calls it and how it writes it."""

    name: str
    figure: Callable[[Cost], float]
    shown: Callable[[float], str]


CPU = Quantity("CPU seconds", lambda cost: cost.cpu, report.figure)
WALL = Quantity("seconds", lambda cost: cost.wall, report.figure)
PEAK = Quantity("peak MiB", lambda cost: cost.peak, "{:,.0f}".format)
QUANTITIES = (CPU, WALL, PEAK)


def goals(theirs: Contender) -> tuple[Goal, ...]:
    """What we are held against."""

    def lead(phase: str, size: int, times: float, quantity: Quantity) -> Goal:
        text = f"{phase} of {size:,}: {theirs.name} to us, {quantity.name}"
        pair = theirs.key(phase, size), PROVISIONER.key(phase, size)
        return lead_goal(text, *pair, times, quantity.figure)

    def linear(phase: str) -> Goal:
        text = f"{phase} of {LARGE:,} to that of {MIDDLE:,}, {CPU.name}"
        pair = PROVISIONER.key(phase, LARGE), PROVISIONER.key(phase, MIDDLE)
        return ratio_goal(text, *pair, LARGE / MIDDLE * 1.2, CPU.figure)

    return (
        lead(NO_OP_PLAN, MIDDLE, 10, CPU),
        lead(APPLY, MIDDLE, 20, CPU),
        lead(NO_OP_PLAN, MIDDLE, 5, PEAK),
        lead(VALIDATE, LARGE, 5, CPU),
        lead(NO_OP_PLAN, LARGE, 30, CPU),
        linear(APPLY),
        linear(DESTROY),
    )


def measure(
    theirs: Contender, sizes: Sequence[int], rounds: int, say: Callable[[str], None]
) -> Samples:
    """Run every phase of every contender at every size, ``rounds`` times over."""
    samples = Samples()
    contenders = (*OURS, theirs)
    # The first run of all compiles Python's modules; it is not what is measured.
    measure_round(contenders, [5], Samples())
    for number in range(1, rounds + 1):
        say(f"round {number} of {rounds}")
        measure_round(contenders, sizes, samples, say)
    return samples


def measure_round(
    contenders: Sequence[Contender],
    sizes: Sequence[int],
    samples: Samples,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Run every phase once at every size, the contenders taking turns."""
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
            log = Path(scratch) / "log"
            folders = [Path(scratch) / f"estate-{number}" for number in range(len(contenders))]
            for contender, folder in zip(contenders, folders, strict=True):
                contender.write(folder, size)
            for name in NAMES:
                for contender, folder in zip(contenders, folders, strict=True):
                    phase = contender.phase(name, size)
                    if phase is None:
                        continue
                    cost = phase.run(folder, log, contender.environment)
                    samples.add(*contender.key(name, size), cost)
                    say(
                        f"  {size:>6,} {name}: {contender.name} {cost.cpu:.2f} s CPU, "
                        f"{cost.wall:.2f} s, {cost.peak:.0f} MiB"
                    )


def rows(
    samples: Samples, theirs: Contender, sizes: Sequence[int], quantity: Quantity
) -> report.Rows:
    """A table of one quantity: what each contender needs for each phase and size (the median of the
    rounds), and how many times ours theirs is. Empty where something was not measured.
    """
    heading = (
        quantity.name,
        "resources",
        *(contender.name for contender in (*OURS, theirs)),
        *(f"x {ours.name}" for ours in OURS),
    )
    found: list[tuple[str, ...]] = [heading]
    for size in sizes:
        for name in NAMES:
            cells = [_cell(samples, it, name, size, quantity) for it in (*OURS, theirs)]
            pairs = [(theirs.key(name, size), ours.key(name, size)) for ours in OURS]
            times = [_times(samples, above, below, quantity) for above, below in pairs]
            found.append((name, f"{size:,}", *cells, *times))
    return found


def _cell(samples: Samples, it: Contender, name: str, size: int, quantity: Quantity) -> str:
    phase = it.phase(name, size)
    if phase is None or it.key(name, size) not in samples:
        return ""
    return quantity.shown(samples.figure(it.key(name, size), quantity.figure).median) + phase.mark


def _times(
    samples: Samples, above: tuple[str, int], below: tuple[str, int], quantity: Quantity
) -> str:
    if not (above in samples and below in samples):
        return ""
    return f"{samples.ratio(above, below, quantity.figure).median:.1f}"


def tables(samples: Samples, theirs: Contender, sizes: Sequence[int]) -> list[report.Rows]:
    """The tables of a run: one for each quantity, and the goals."""
    return [
        *(rows(samples, theirs, sizes, quantity) for quantity in QUANTITIES),
        report.goal_rows(samples, goals(theirs)),
    ]


def drawing(samples: Samples, theirs: Contender, tool: Tool, sizes: Sequence[int]) -> str:
    """The CPU seconds as a picture, in SVG."""
    lines = [
        chart.Line(it.name, {name: _points(samples, it, name, sizes) for name in NAMES})
        for it in (theirs, *OURS)
    ]
    remark = ""
    if any(phase.mark for size in sizes for phase in theirs.phases(size)):
        remark = (
            f"Hollow: on a state that the benchmark wrote. {tool.product} was not made to apply "
            "and destroy so many."
        )
    return chart.draw(
        f"CPU seconds for an estate: {tool.product} {tool.version} and provisioner",
        "resources",
        "CPU seconds",
        lines,
        remark,
    )


def _points(samples: Samples, it: Contender, name: str, sizes: Sequence[int]) -> list[chart.Point]:
    found = []
    for size in sizes:
        phase, key = it.phase(name, size), it.key(name, size)
        if phase is not None and key in samples:
            value = samples.figure(key, CPU.figure).median
            found.append(chart.Point(size, value, hollow=bool(phase.mark)))
    return found


def text(tool: Tool, picture: str) -> str:
    """What stands above the tables of the page."""
    return "\n\n".join(
        (
            f"The same estate, by us and by {tool.product} {tool.version} with its built-in "
            "`terraform_data` and a local state file, phase by phase in turns; what we are held "
            "against is in the last table. [How, how fair that is, and where the time "
            "goes](README.md#beside-terraform).",
            f"![CPU seconds of each phase over the number of resources]({picture})",
            "To measure again: `scripts/bench comparison --write`.",
            f"The last columns say how many times ours {tool.product}'s figure is; the goals are "
            f"about `{PROVISIONER.name}`, as anybody runs it. `{COLD.name}`: the same with "
            "`--no-cache`. "
            f"`{GENERATED}`: measured on a state that the benchmark wrote, in {tool.product}'s own "
            "form. Empty: not measured (`--whole` does, which takes Terraform hours).",
        )
    )
