"""``scripts/bench``: measures whole processes and prints the figures beside the goals."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import phases, report
from tests.lab.daemon import Flavour
from tests.lab.requirements import daemon_unavailable

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "performance"


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; returns the exit status."""
    options = _parser().parse_args(arguments)
    chosen: list[Callable[[argparse.Namespace], None]] = [
        _SUITES[name] for name in options.suite or _SUITES
    ]
    for suite in chosen:
        suite(options)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure provisioner as whole processes; print the figures beside the goals.",
    )
    parser.add_argument(
        "suite",
        nargs="*",
        choices=[[], *_SUITES],
        metavar="SUITE",
        help="estate: stacks on the memory provider; libvirt: reading a real daemon. "
        "Left out: both.",
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=(100, 1_000, 10_000),
        help="resources of an estate, joined by commas (100,1000,10000)",
    )
    parser.add_argument(
        "--objects", type=int, default=500, help="machines, and disks, on the daemon (500)"
    )
    parser.add_argument("--rounds", type=int, default=3, help="how many times over (3)")
    parser.add_argument(
        "--write", action="store_true", help="also write the tables into docs/performance"
    )
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def _estate(options: argparse.Namespace) -> None:
    samples = phases.measure(options.sizes, options.rounds, _say)
    tables = [report.phase_rows(samples, phases.BASELINE), report.goal_rows(samples, phases.GOALS)]
    _show(tables, options.rounds)
    if options.write:
        text = "What an estate costs on the memory provider, and the goals. [How](README.md)."
        _write(
            "estate.md",
            report.page("An estate, from validate to destroy", text, tables, options.rounds),
        )


def _libvirt(options: argparse.Namespace) -> None:
    reason = daemon_unavailable(Flavour.SESSION)
    if reason is not None:
        _say(f"libvirt: not measured: {reason}")
        return
    # Imported here because the other suite also runs where libvirt-python is not installed.
    from tests.bench import observation  # noqa: PLC0415

    samples = observation.measure(options.objects, options.rounds, _say)
    goals = observation.goals(options.objects)
    tables = [report.phase_rows(samples, None), report.goal_rows(samples, goals)]
    _show(tables, options.rounds)
    if options.write:
        text = "What reading a libvirt daemon costs, and the goals. [How](README.md)."
        _write("libvirt.md", report.page("Reading a libvirt daemon", text, tables, options.rounds))


def _show(tables: Sequence[report.Rows], rounds: int) -> None:
    parts = [report.conditions(rounds), *map(report.text_table, tables)]
    sys.stdout.write("".join(f"\n{part}\n" for part in parts))


def _write(name: str, text: str) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / name).write_text(text, encoding="utf-8")
    _say(f"written: {(PAGES / name).relative_to(ROOT)}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


_SUITES = {"estate": _estate, "libvirt": _libvirt}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
