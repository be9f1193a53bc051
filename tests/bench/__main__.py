"""``scripts/bench``: measures whole processes and prints the figures beside the goals."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import comparison, large, phases, recovery, report, review, schedule, terraform
from tests.lab.daemon import Flavour
from tests.lab.requirements import boot_image_unavailable, daemon_unavailable
from tests.lab.vcsim import unavailable as vcsim_unavailable

ROOT = Path(__file__).resolve().parents[2]
PAGES = ROOT / "docs" / "performance"

_ROUNDS = 3
_ON_LIBVIRT = 500
_ON_VSPHERE = 1_000


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for; returns the exit status."""
    options = _parser().parse_args(arguments)
    chosen: list[Callable[[argparse.Namespace], None]] = [
        _SUITES[name] for name in options.suite or _USUAL
    ]
    with tempfile.TemporaryDirectory(prefix="bench-home-") as home:
        # What the program keeps for its user is kept for the benchmark only.
        os.environ |= {"XDG_CACHE_HOME": f"{home}/cache", "XDG_STATE_HOME": f"{home}/state"}
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
        help="estate: stacks on the memory provider; comparison: the same beside Terraform or "
        "OpenTofu; review: the plan of 1,000 machines in every form; libvirt: machines on a real "
        "daemon; vsphere: machines on the vSphere simulator; schedule: the runbook of a recovery "
        "plan of 5,000 machines; recovery: such a plan compiled, and a failover; prediction: "
        "drills of a shop on two real daemons, each predicted by those before it; large: "
        "one stack of 100,000 resources, and where its time goes. Left out: all but the last.",
    )
    parser.add_argument(
        "--sizes",
        type=_sizes,
        default=(100, 1_000, 10_000),
        help="resources of an estate, joined by commas (100,1000,10000)",
    )
    parser.add_argument(
        "--objects",
        type=int,
        help=f"machines on the daemon ({_ON_LIBVIRT}, and as many disks), or on the simulator "
        f"beside {_ON_VSPHERE:,}",
    )
    parser.add_argument(
        "--rounds",
        type=int,
        help=f"how many times over ({_ROUNDS}; comparison: {comparison.ROUNDS})",
    )
    parser.add_argument(
        "--tool",
        help="comparison: the program to compare with, a name or a path "
        f"(the first of {', '.join(terraform.NAMES)} that is on the PATH)",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="comparison: let it apply and destroy also more than "
        f"{terraform.WHOLE_UP_TO:,} resources, which takes hours",
    )
    parser.add_argument(
        "--write", action="store_true", help="also write the tables into docs/performance"
    )
    return parser


def _sizes(text: str) -> tuple[int, ...]:
    return tuple(int(part.replace("_", "")) for part in text.split(","))


def _estate(options: argparse.Namespace) -> None:
    rounds = options.rounds or _ROUNDS
    samples = phases.measure(options.sizes, rounds, _say)
    tables = [report.phase_rows(samples, phases.BASELINE), report.goal_rows(samples, phases.GOALS)]
    _show(tables, rounds)
    if options.write:
        text = "What an estate costs on the memory provider, and the goals. [How](README.md)."
        _write(
            "estate.md", report.page("An estate, from validate to destroy", text, tables, rounds)
        )


def _comparison(options: argparse.Namespace) -> None:
    tool = terraform.find(options.tool)
    if tool is None:
        wanted = options.tool or " or ".join(terraform.NAMES)
        _say(f"comparison: not measured: no {wanted} on the PATH")
        return
    rounds, sizes = options.rounds or comparison.ROUNDS, options.sizes
    theirs = terraform.contender(tool, max(sizes) if options.whole else terraform.WHOLE_UP_TO)
    samples = comparison.measure(theirs, sizes, rounds, _say)
    tables = comparison.tables(samples, theirs, sizes)
    _show(tables, rounds)
    if options.write:
        picture, title = "comparison.svg", f"Beside {tool.product}"
        text = comparison.text(tool, picture)
        _write("comparison.md", report.page(title, text, tables, rounds))
        _write(picture, comparison.drawing(samples, theirs, tool, sizes))


def _libvirt(options: argparse.Namespace) -> None:
    reason = daemon_unavailable(Flavour.SESSION)
    if reason is not None:
        _say(f"libvirt: not measured: {reason}")
        return
    # Imported here because the other suites also run where libvirt-python is not installed.
    from tests.bench import live  # noqa: PLC0415

    rounds = options.rounds or _ROUNDS
    objects = options.objects or _ON_LIBVIRT
    samples = live.measure(objects, rounds, _say)
    goals = live.goals(objects)
    tables = [report.phase_rows(samples, None), report.goal_rows(samples, goals)]
    _show(tables, rounds)
    if options.write:
        text = (
            "What stopped machines, each with a disk of its own, cost on a libvirt daemon: ours, "
            "the floor of bare calls for the same effect, and the goals. [How](README.md)."
        )
        _write("libvirt.md", report.page("Machines on a libvirt daemon", text, tables, rounds))


def _vsphere(options: argparse.Namespace) -> None:
    reason = vcsim_unavailable()
    if reason is not None:
        _say(f"vsphere: not measured: {reason}")
        return
    # Imported here because the other suites also run where pyvmomi is not installed.
    from tests.bench import vsphere  # noqa: PLC0415

    rounds = options.rounds or _ROUNDS
    objects = sorted({_ON_VSPHERE, options.objects or _ON_VSPHERE})
    found = vsphere.measure(objects, rounds, _say)
    tables = [
        report.phase_rows(found.samples, None),
        report.goal_rows(found.samples, vsphere.goals(objects)),
        vsphere.request_rows(found),
    ]
    _show(tables, rounds)
    if options.write:
        text = (
            "What stopped machines on the vSphere simulator cost: ours, the bare calls of pyvmomi "
            "for the same properties, the goals, and the requests. [How](README.md)."
        )
        _write("vsphere.md", report.page("Machines on a vCenter", text, tables, rounds))


def _review(options: argparse.Namespace) -> None:
    rounds = options.rounds or _ROUNDS
    samples = review.measure(rounds, _say)
    tables = [report.phase_rows(samples, None), report.goal_rows(samples, review.GOALS)]
    _show(tables, rounds)
    if options.write:
        text = (
            f"What it costs to show the plan of {review.MACHINES:,} machines, each with two disks "
            "and a snapshot, all to be created, and their graph. [How](README.md)."
        )
        _write("review.md", report.page("Plans and graphs to be read", text, tables, rounds))


def _schedule(options: argparse.Namespace) -> None:
    rounds = options.rounds or _ROUNDS
    samples = schedule.measure(rounds, _say)
    schedule.measure_compiling(samples, rounds, _say)
    tables = [report.phase_rows(samples, None), report.goal_rows(samples, schedule.GOALS)]
    _show(tables, rounds)
    if options.write:
        text = (
            f"What it costs to compile a plan of {schedule.MACHINES:,} machines and to schedule "
            "their failover, and how long that would run. [How](README.md)."
        )
        _write("schedule.md", report.page("The schedule of a runbook", text, tables, rounds))


def _recovery(options: argparse.Namespace) -> None:
    rounds = options.rounds or 1
    samples = recovery.measure(rounds, _say)
    tables = [report.phase_rows(samples, None), report.goal_rows(samples, recovery.GOALS)]
    _show(tables, rounds)
    if options.write:
        text = (
            f"What the recovery plan of {recovery.MACHINES:,} machines costs, how long its "
            f"failover would run, and a failover of {recovery.CARRIED_OUT:,} on the memory "
            "provider, whose calls take their time. [How](README.md)."
        )
        _write("recovery.md", report.page("Recovery plans", text, tables, rounds))


def _prediction(options: argparse.Namespace) -> None:
    reason = daemon_unavailable(Flavour.SYSTEM) or boot_image_unavailable()
    if reason is not None:
        _say(f"prediction: not measured: {reason}")
        return
    # Imported here because the other suites also run where libvirt-python is not installed.
    from tests.bench import prediction  # noqa: PLC0415

    rounds = options.rounds or 1
    samples, drills = prediction.measure(rounds, _say)
    tables = [prediction.drill_rows(drills), report.goal_rows(samples, prediction.GOALS)]
    _show(tables, rounds)
    if options.write:
        text = (
            "How long drills of a shop on two libvirt daemons were predicted to take, by those "
            "before them, and how long they took. [How](README.md)."
        )
        _write("prediction.md", report.page("Predictions of drills", text, tables, rounds))


def _large(options: argparse.Namespace) -> None:
    size = large.SIZE
    samples, parts = large.measure(size, _say)
    tables = [report.phase_rows(samples, phases.BASELINE), large.share_rows(parts)]
    _show(tables, 1)
    if options.write:
        text = (
            f"What a stack of {size:,} resources costs on the memory provider, once, and the "
            "shares of the parts of the program in it. [How](README.md)."
        )
        _write("large.md", report.page(f"{size:,} resources", text, tables, 1))


def _show(tables: Sequence[report.Rows], rounds: int) -> None:
    parts = [report.conditions(rounds), *map(report.text_table, tables)]
    sys.stdout.write("".join(f"\n{part}\n" for part in parts))


def _write(name: str, text: str) -> None:
    PAGES.mkdir(parents=True, exist_ok=True)
    (PAGES / name).write_text(text, encoding="utf-8")
    _say(f"written: {(PAGES / name).relative_to(ROOT)}")


def _say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


_SUITES = {
    "estate": _estate,
    "comparison": _comparison,
    "review": _review,
    "libvirt": _libvirt,
    "vsphere": _vsphere,
    "schedule": _schedule,
    "recovery": _recovery,
    "prediction": _prediction,
    "large": _large,
}
_USUAL = tuple(name for name in _SUITES if name != "large")

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
