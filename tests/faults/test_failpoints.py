"""SIGKILL at every point that a run reaches: in the lock, the journal, the transaction, the call of
the provider, the outcome, and the release.

After each death the journal, the state and the endpoint's own record are compared: what was
acknowledged is recorded, nothing was done without an intent that was durable before it, the next
run looks before it acts, finishes, and makes nothing twice.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.state.model import JournalPhase, State
from provisioner.state.sqlite import SqliteStore
from tests.faults.failpoints import POINTS, SESSION, SHARED, STACK_NAME, STATE
from tests.lifecycle.commandline import SECONDS, CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

RECORD = "reached.jsonl"
ROOT = Path(__file__).resolve().parents[2]
INTENDED = {"update": ("update", "rename")}
"""Actions that make a call that is not called like them."""
CHANGING = [f"{call}.before" for call in SESSION if call != "observe"]

OLD = "Disk/old\npool: pool\nsize: 1GiB\nretention: delete\n"
SCRATCH = "Disk/scratch\npool: pool\nsize: 1GiB\nretention: delete\n"
SPARE = "StoragePool/spare\ntype: dir\npath: /srv/spare\n"
FOREIGN = "Network/foreign\nmode: isolated\n"


@dataclass(frozen=True)
class Journey:
    """From what is there to what is wanted, how, and what must be there in the end: names of
    objects with their generation.
    """

    before: Sequence[str]
    after: Sequence[str]
    objects: Sequence[str]
    options: Sequence[str] = ()
    never: Sequence[str] = ()
    """Points that it does not reach."""
    parallel: int = 1


def disks(first: int, end: int, size: str = "1GiB") -> list[str]:
    return [
        f"Disk/disk-{number}\npool: pool\nsize: {size}\nretention: delete\n"
        for number in range(first, end)
    ]


JOURNEYS = {
    "create": Journey(
        (),
        (LAN, POOL, DISK, WEB),
        ("Disk/web-root 0", "Network/lan 0", "StoragePool/pool 0", "VirtualMachine/web 0"),
        never=("update", "adopt", "delete"),
    ),
    "change": Journey(
        (LAN, POOL, SPARE, DISK, OLD, SCRATCH, WEB),
        (
            FOREIGN,
            LAN.replace("Network/lan", "Network/inner\nmetadata.renamedFrom: lan"),
            POOL,
            SPARE.replace("/srv/spare", "/srv/other"),
            DISK,
            SCRATCH + "format: raw\n",
            WEB.replace("network: lan", "network: inner").replace("count: 1", "count: 2"),
        ),
        (
            "Disk/scratch 1",
            "Disk/web-root 0",
            "Network/foreign 0",
            # A rename leaves the object its name.
            "Network/lan 0",
            "StoragePool/pool 0",
            "StoragePool/spare 0",
            "VirtualMachine/web 0",
        ),
        (
            *("--adopt", "Network/foreign", "--max-impact", "replace"),
            *("--allow-data-loss", "Disk/old", "--allow-data-loss", "Disk/scratch"),
        ),
        never=("record_endpoints",),
    ),
}
REACHED = [
    (name, point)
    for name, journey in JOURNEYS.items()
    for point in POINTS
    if point.partition(".")[0] not in journey.never
]
ONCE = ("lock", "record_endpoints", "begin", "finish", "release", "adopt")
"""Calls that a run makes once."""
AT_ONCE = Journey(
    (POOL, *disks(0, 8)),
    (POOL, *disks(4, 8, "2GiB"), *disks(8, 16)),
    (*sorted(f"Disk/disk-{number} 0" for number in range(4, 16)), "StoragePool/pool 0"),
    tuple(f"--allow-data-loss=Disk/disk-{number}" for number in range(4)),
    parallel=8,
)
"""Eight threads create, change and delete, and share transactions of the state."""
_times: dict[str, Counter[str]] = {}


@pytest.mark.parametrize(
    ("name", "point", "which"),
    [
        (name, point, which)
        for name, point in REACHED
        for which in ("first", "last")
        if which == "first" or point.partition(".")[0] not in ONCE
    ],
)
def test_a_run_may_die_at_any_point(cli: CommandLine, name: str, point: str, which: str) -> None:
    journey = JOURNEYS[name]
    prepare(cli, journey)
    number = 1 if which == "first" else times(cli, name)[point]
    die_and_finish(cli, journey, point, number)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("point", SHARED)
def test_a_run_may_die_in_a_transaction_that_threads_share(
    cli: CommandLine, point: str, number: int
) -> None:
    prepare(cli, AT_ONCE)
    slow = {"effect": "delay", "times": 0, "seconds": 0.03}
    cli.faults(*({"call": call, **slow} for call in ("create", "update", "delete")))
    lines = die_and_finish(cli, AT_ONCE, point, number)
    assert lines[-1]["tickets"] > 1


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(("name", "point"), REACHED)
def test_it_may_die_there_each_time(
    cli: CommandLine, name: str, point: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    journey = JOURNEYS[name]
    prepare(cli, journey)
    kept = tmp_path_factory.mktemp("prepared")
    shutil.copytree(cli.root, kept, dirs_exist_ok=True)
    for number in range(2, times(cli, name)[point]):
        for item in cli.root.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        shutil.copytree(kept, cli.root, dirs_exist_ok=True)
        die_and_finish(cli, journey, point, number)


@pytest.mark.parametrize("name", JOURNEYS)
def test_a_run_reaches_all_these_points(cli: CommandLine, name: str) -> None:
    prepare(cli, JOURNEYS[name])
    expected = {point for journey, point in REACHED if journey == name}
    assert expected == times(cli, name).keys()


def prepare(cli: CommandLine, journey: Journey) -> None:
    """The beginning of a journey, and what is wanted in the end."""
    if journey.before:
        cli.declare(*journey.before)
        made = cli("apply", "--yes")
        assert 0 == made.code, made.out + made.err
    if FOREIGN in journey.after:
        cli.outside.add("Network", "foreign", {"mode": "isolated"})
    cli.declare(*journey.after)


def times(cli: CommandLine, name: str) -> Counter[str]:
    """How often an undisturbed run of a journey that is prepared reaches each point."""
    if name not in _times:
        with TemporaryDirectory() as folder:
            copy = Path(folder) / "stack"
            shutil.copytree(cli.root, copy)
            finished = apply(copy, JOURNEYS[name])
            assert 0 == finished.returncode, finished.stderr
            points = (line["point"] for line in reached(copy))
            _times[name] = Counter(point for point in points if point in POINTS)
    return _times[name]


def apply(folder: Path, journey: Journey, *kill: str) -> subprocess.CompletedProcess[str]:
    """Apply; ``kill``: where to die."""
    options = ("--parallel", str(journey.parallel), *journey.options)
    disk = ("--disk", "0.01") if journey.parallel > 1 else ()
    return subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.failpoints", RECORD, *kill, *disk),
            *("apply", "--json", "--yes", *options),
        ],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def reached(folder: Path) -> list[dict[str, Any]]:
    """The points that the last run reached, in order; forgets them."""
    path = folder / RECORD
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    return lines


def die_and_finish(
    cli: CommandLine, journey: Journey, point: str, number: int
) -> list[dict[str, Any]]:
    """A run dies; what it leaves is as promised, and the next run finishes it. Returns the points
    that the dead one reached.
    """
    died = apply(cli.root, journey, "--kill", point, str(number))
    assert -signal.SIGKILL == died.returncode, died.stdout + died.stderr
    lines = reached(cli.root)
    assert (point, number) == (lines[-1]["point"], lines[-1]["number"])
    check_intents(lines)
    if (cli.root / STATE).exists():
        verified = cli("state", "verify")
        assert 0 == verified.code, verified.out + verified.err
    check_records(cli, journey, died.stdout, lines)

    finished = apply(cli.root, journey)
    assert 0 == finished.returncode, finished.stdout + finished.stderr
    after = reached(cli.root)
    check_intents(after)
    check_looks_first(after)
    assert sorted(journey.objects) == generations(cli)
    again = cli("plan", "--json", "--detailed-exitcode", *journey.options)
    assert (0, []) == (again.code, again.json["steps"])
    assert 0 == cli("state", "verify").code
    assert "" == cli("state", "list").err
    return lines


def check_intents(lines: Sequence[dict[str, Any]]) -> None:
    """Whatever was asked of the provider was written down before, durably."""
    for line in lines:
        if line["point"] in CHANGING:
            call = line["point"].partition(".")[0]
            allowed = {f"{action} {line['subject']}" for action in INTENDED.get(call, (call,))}
            assert allowed & {*line["intents"]}, line


def check_records(
    cli: CommandLine, journey: Journey, out: str, lines: Sequence[dict[str, Any]]
) -> None:
    """What the dead run had acknowledged is in the journal and in the state, and every object that
    it made is known to one of the two.
    """
    events = [json.loads(line) for line in out.splitlines()]
    told = {event["step"] for event in events if event["event"] == "step-finished"}
    settled = sum(line["point"] == "settle.after" for line in lines)
    with closing(SqliteStore(cli.root / STATE, stack=STACK_NAME)) as store:
        state, journal = store.read(), store.journal()
    done = [record for record in journal if record.phase is JournalPhase.DONE]
    before = 0 if not journey.before else len({*journey.before})
    assert told <= {record.step for record in done}
    assert settled <= len(done) - before
    for event in events:
        if event["event"] == "step-finished" and event["action"] in ("create", "update", "adopt"):
            assert Address.of(event["address"]) in state.entries
        if event["event"] == "step-finished" and event["action"] == "delete":
            assert event["step"].endswith("#old") or Address.of(event["address"]) not in (
                state.entries
            )
    known = known_to(state)
    strangers = [item for item in cli.outside.objects() if item.owner and item.id not in known]
    assert [] == strangers


def known_to(state: State) -> set[str]:
    """Identities of all objects that are recorded, or were about to be made."""
    recorded = {str(entry.external_id) for entry in state.entries.values()}
    intended = {str(intent.detail["uid"]) for intent in state.open_intents if intent.detail}
    taken = {str(intent.detail.get("external_id")) for intent in state.open_intents}
    return recorded | intended | taken


def check_looks_first(lines: Sequence[dict[str, Any]]) -> None:
    """Nothing is asked of the provider about an object that was not looked at in this run."""
    seen: set[str] = set()
    for line in lines:
        if line["point"] == "observe.after":
            seen.update(line["subject"].split())
        elif line["point"] in CHANGING:
            assert line["subject"] in {name.partition("#")[0] for name in seen}


def generations(cli: CommandLine) -> list[str]:
    """What is on the endpoint, with its generation."""
    found = []
    for item in cli.outside.objects():
        assert item.owner is not None
        found.append(f"{item.kind}/{item.name} {item.owner.generation}")
    return sorted(found)
