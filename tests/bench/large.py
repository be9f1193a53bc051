"""A stack as large as any: that it works at all, what it costs, and where that goes."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.bench import estate, phases, report
from tests.bench.phases import APPLY, DESTROY, NO_OP_PLAN, VALIDATE
from tests.bench.process import run
from tests.bench.samples import Samples
from tests.bench.shares import PARTS, REST

SIZE = 100_000

COMMANDS: Mapping[str, tuple[str, ...]] = {
    VALIDATE: ("validate", "--no-cache"),
    APPLY: ("apply", "--yes"),
    NO_OP_PLAN: ("plan",),
    DESTROY: ("destroy", "--yes"),
}
"""What is taken apart, in this order."""

Shares = Mapping[str, Mapping[str, float]]
"""Seconds of each part of the program, by command."""


def measure(size: int, say: Callable[[str], None]) -> tuple[Samples, Shares]:
    """Run every phase once, then some of them again under the profiler."""
    samples = Samples()
    phases.measure_round([size], samples, say)
    return samples, take_apart(size, say)


def take_apart(size: int, say: Callable[[str], None]) -> Shares:
    """The shares of an estate of this size."""
    found = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch:
        folder, result = Path(scratch) / "estate", Path(scratch) / "shares.json"
        estate.write(folder, size)
        for name, arguments in COMMANDS.items():
            program = [sys.executable, "-m", "tests.bench.shares", str(result), *arguments]
            run([*program, str(folder)], Path(scratch) / "log")
            found[name] = json.loads(result.read_text(encoding="utf-8"))
            say(f"  {size:>6,} {name}, profiled")
    return found


def share_rows(shares: Shares) -> report.Rows:
    """A row for each part of the program: its share of each command, in hundredths."""
    rows: list[tuple[str, ...]] = [("share of CPU time, %", *shares)]
    for part in (*PARTS.values(), REST):
        cells = (100 * found.get(part, 0) / sum(found.values()) for found in shares.values())
        rows.append((part, *(f"{cell:.0f}" for cell in cells)))
    return rows
