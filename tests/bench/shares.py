"""Where a command spends its CPU time, by the parts of the program.

    python -m tests.bench.shares RESULT ARGUMENT...

runs ``provisioner ARGUMENT...`` in this process under Python's profiler, on the CPU clock of each
thread, and writes to RESULT, as JSON, the seconds of each part. What a function of the standard
library or of C costs counts for whoever called it. Profiling makes everything slower, and calls of
Python more than work in C, so these are shares and no times.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeAlias

import provisioner
import provisioner_plugins

_Function: TypeAlias = tuple[str, int, str]
_Stats: TypeAlias = Mapping[_Function, tuple[int, int, float, float, Mapping[_Function, Any]]]

REST = "start and the rest"

_LEVELS = 40
"""How many callers up somebody of ours is looked for; what goes round in circles stays over."""

PARTS = {
    "manifest": "reading manifests",
    "state": "state and journal",
    "engine": "planning and carrying out",
    "plugins": "the memory provider",
    "cli": "output",
}
"""What the packages are called in a table."""

_CODE = Path(provisioner.__file__).parent
_PLUGINS = Path(str(next(iter(provisioner_plugins.__path__))))


def profile(arguments: list[str]) -> _Stats:
    """Run the command; the statistics of all its threads. Raises SystemExit where it fails."""
    from provisioner.cli.main import run  # noqa: PLC0415 - its import is not what is asked for

    profiles: list[cProfile.Profile] = []
    real = threading.Thread.run

    def profiled(thread: threading.Thread) -> None:
        own = cProfile.Profile(time.thread_time)
        profiles.append(own)
        own.runcall(real, thread)

    threading.Thread.run = profiled  # type: ignore[method-assign, assignment]
    main = cProfile.Profile(time.thread_time)
    try:
        code = main.runcall(run, arguments)
    finally:
        threading.Thread.run = real  # type: ignore[method-assign]
    if code:
        sys.exit(code)
    stats = pstats.Stats(main)
    for own in profiles:
        own.create_stats()
        if own.stats:
            stats.add(own)
    found: _Stats = stats.stats  # type: ignore[attr-defined]  # missing in the stubs
    return found


def shares(stats: _Stats) -> dict[str, float]:
    """Seconds by part of the program, the largest first."""
    result: Counter[str] = Counter()
    pending = Counter({function: figures[2] for function, figures in stats.items()})
    for _ in range(_LEVELS):
        handed_on: Counter[_Function] = Counter()
        for function, seconds in pending.items():
            part = _part_of(function[0])
            callers = stats[function][4] if function in stats else {}
            if part is not None or not callers:
                result[part or REST] += seconds
                continue
            whole = sum(figures[2] for figures in callers.values()) or 1.0
            for caller, figures in callers.items():
                handed_on[caller] += seconds * figures[2] / whole
        pending = handed_on
    result[REST] += sum(pending.values())
    return dict(result.most_common())


def _part_of(file: str) -> str | None:
    """The part to which a file of ours belongs; None for a file of others."""
    path = Path(file)
    if path.is_relative_to(_PLUGINS):
        return PARTS["plugins"]
    if path.is_relative_to(_CODE):
        package = path.relative_to(_CODE).parts[0]
        return PARTS.get(package) if package in PARTS else _shared(package)
    return None


def _shared(package: str) -> str | None:
    """What all parts use counts for those who use it."""
    return None if package in ("core", "providers", "service") else REST


def main(result: str, *arguments: str) -> None:
    """See the head of the module."""
    found = shares(profile(list(arguments)))
    Path(result).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
