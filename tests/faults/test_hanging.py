"""Calls that hang: to their deadline, and beyond it. What does not need them goes on, and what
comes of them later is understood.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.engine import apply
from provisioner.engine.apply import Applier, ApplyReport
from provisioner.engine.executor import Limits
from provisioner.providers.api import Description
from provisioner.providers.capabilities import CONSOLE
from provisioner.service import snapshot
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.commandline import SECONDS, CommandLine
from tests.lifecycle.scenario import HOST, Scenario, outline
from tests.lifecycle.stacks import ALL

STEP = 0.4
GRACE = 0.4
READ = "300ms"
NEVER = 3600
"""Seconds that no test waits for."""


@pytest.fixture
def scenario(tmp_path: Path) -> Scenario:
    """A stack with a network, a pool, a disk and a machine."""
    scenario = Scenario(tmp_path)
    scenario.declare(*ALL)
    return scenario


def apply_in_a_hurry(scenario: Scenario) -> ApplyReport:
    """Apply with steps that may take less than a second."""
    plan = scenario.plan(max_impact="replace")
    workspace = scenario.workspace()
    with (
        workspace.store(plan.stack) as store,
        workspace.sessions(scenario.events.append) as sessions,
    ):
        applier = Applier(
            store,
            sessions,
            scenario.events.append,
            workspace.clock,
            "tester",
            rules=workspace.catalog,
            step_seconds=STEP,
        )
        return applier.run(plan)


def with_fault(scenario: Scenario, rule: str) -> None:
    connection = f"provider: memory, connection: {{faults: [{rule}]}}"
    scenario.write("host.yaml", HOST.replace("provider: memory", connection))


def test_until_its_deadline(scenario: Scenario) -> None:
    """The provider gives up in time: the step has failed, and is made by the next run."""
    with_fault(scenario, "{call: create, address: Network/lan, effect: hang, times: 1}")
    report = apply_in_a_hurry(scenario)
    assert ("partial", ("Network/lan",)) == (report.outcome, report.failed)
    assert {"StoragePool/pool", "Disk/web-root"} == set(report.done)
    assert ["PRV5904"] == [problem.code for problem in report.problems]
    assert "done" == scenario.apply().outcome
    assert [] == outline(scenario.plan())


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that is late is given up in less than a second."""
    hurried = apply._limits

    def limits(*arguments: object) -> Limits:
        return replace(hurried(*arguments), grace_seconds=GRACE)  # type: ignore[arg-type]  # passed through

    monkeypatch.setattr(apply, "_limits", limits)


@pytest.mark.usefixtures("hasty")
def test_beyond_its_deadline(scenario: Scenario) -> None:
    """A call that heeds no deadline is given up. It may still have its effect, when nobody waits
    for it any more: the next run finds what it made and makes nothing twice.
    """
    late = 4 * (STEP + GRACE)
    with_fault(scenario, f"{{call: create, address: Network/lan, effect: delay, seconds: {late}}}")
    began = time.monotonic()
    report = apply_in_a_hurry(scenario)
    assert time.monotonic() - began < late
    assert ("partial", ("Network/lan",)) == (report.outcome, report.failed)
    assert ("VirtualMachine/web",) == report.skipped
    assert ["PRV3003"] == [problem.code for problem in report.problems]
    assert ["Network/lan"] == [str(intent.address) for intent in scenario.state().open_intents]
    assert "Network/lan" not in scenario.objects()

    time.sleep(late)
    assert "Network/lan" in scenario.objects()
    plan = scenario.plan()
    assert ["create Network/lan", "create VirtualMachine/web"] == outline(plan)
    assert "done" == scenario.apply(plan).outcome
    assert ["Disk/web-root", "Network/lan", "StoragePool/pool", "VirtualMachine/web"] == (
        scenario.objects()
    )
    assert () == scenario.state().open_intents
    assert [] == outline(scenario.plan())


# Two hosts, of which one never answers

MADE = "Network/{0}-a\nhost: {0}\nmode: isolated\n", "Network/{0}-b\nhost: {0}\nmode: isolated\n"
CHANGED = "Network/{0}-a\nhost: {0}\nmode: isolated\nmtu: 1400\n"
FATES = {
    # What is there, what is wanted; what the host that answers has in the end.
    "create": ((), MADE, ["there-a", "there-b"]),
    "update": (MADE, (CHANGED, MADE[1]), ["there-a 1400", "there-b"]),
    "delete": (MADE, MADE[1:], ["there-b"]),
}


def hosts(*faults: str) -> str:
    """Two hosts; faults are those of the first."""
    return "\n---\n".join(
        "apiVersion: provisioner/v1\nkind: Host\n"
        f"metadata: {{name: {name}}}\nspec: {{provider: memory, limits: {{readTimeout: {READ}}}, "
        f"connection: {{path: {name}.jsonl, faults: [{', '.join(rules)}]}}}}\n"
        for name, rules in (("here", faults), ("there", ()))
    )


def on_both(documents: Sequence[str]) -> list[str]:
    return [text.format(host) for text in documents for host in ("here", "there")]


def networks(root: Path, host: str) -> list[str]:
    """The networks on a host, with their MTU if they have one."""
    lines = (root / f"{host}.jsonl").read_text().splitlines()
    latest = {line["id"]: line for line in map(json.loads, lines)}
    there = [line for line in latest.values() if not line.get("gone")]
    return sorted(f"{line['name']} {line['spec'].get('mtu', '')}".strip() for line in there)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("call", FATES)
def test_a_step_that_never_returns(tmp_path: Path, call: str) -> None:
    """It is reported, the other host has all it is to have, and the next run does the rest."""
    before, after, expected = FATES[call]
    scenario = Scenario(tmp_path)
    scenario.write("host.yaml", hosts())
    scenario.declare(*on_both(before))
    scenario.apply()
    scenario.declare(*on_both(after))
    never = f"{{call: {call}, address: Network/here-a, effect: delay, seconds: {NEVER}}}"
    scenario = Scenario(tmp_path, new=False)
    scenario.write("host.yaml", hosts(never))
    report = apply_in_a_hurry(scenario)
    assert ("partial", ("Network/here-a",), ["PRV3003"]) == (
        report.outcome,
        report.failed,
        [problem.code for problem in report.problems],
    )
    assert expected == networks(tmp_path, "there")
    scenario = Scenario(tmp_path, new=False)
    scenario.write("host.yaml", hosts())
    assert "done" == scenario.apply(max_impact="replace").outcome
    assert [name.replace("there", "here") for name in expected] == networks(tmp_path, "here")
    assert ([], ()) == (outline(scenario.plan()), scenario.state().open_intents)


@pytest.mark.parametrize("call", ["open", "observe"])
@pytest.mark.parametrize("command", ["plan", "apply", "destroy"])
def test_a_host_that_never_answers_while_it_is_read(
    cli: CommandLine, call: str, command: str
) -> None:
    """The command ends and names the host; what is on the other one can be worked on."""
    cli.write("host.yaml", hosts())
    cli.declare(*on_both(MADE))
    assert 0 == cli("apply", "--yes").code
    never = f"{{call: {call}, effect: hang, seconds: {NEVER}, times: 0}}"
    cli.write("host.yaml", hosts(never))
    yes = ("--yes",) if command in ("apply", "destroy") else ()
    process = cli.start(command, *yes, "--json")
    out, err = process.communicate(timeout=SECONDS)
    assert (1, "") == (process.returncode, out)
    (problem,) = [json.loads(line) for line in err.splitlines()]
    assert ("PRV3003", "Host/here") == (problem["code"], problem["address"])
    assert 0 == cli(command, *yes, "--exclude", "Network/here-*").code


@pytest.mark.parametrize("call", ["open", "observe"])
def test_drift_tells_what_is_on_the_other_one(cli: CommandLine, call: str) -> None:
    cli.write("host.yaml", hosts())
    cli.declare(*on_both(MADE))
    assert 0 == cli("apply", "--yes").code
    never = f"{{call: {call}, effect: hang, seconds: {NEVER}, times: 0}}"
    cli.write("host.yaml", hosts(never))
    process = cli.start("drift", "--json")
    out, _ = process.communicate(timeout=SECONDS)
    found = json.loads(out)["resources"]
    assert 2 == process.returncode
    assert {"PRV3003"} == {item["problem"]["code"] for item in found if "problem" in item}
    assert {"here": "unknown", "there": "converged"} == {
        item["address"].removeprefix("Network/").partition("-")[0]: item["condition"]
        for item in found
    }


def test_a_host_that_stops_answering_between_plan_and_apply(cli: CommandLine) -> None:
    cli.write("host.yaml", hosts())
    cli.declare(*on_both(MADE))
    # The plan opens a session and observes; apply verifies with the same one.
    rules = (
        "{call: observe, effect: delay, seconds: 0, times: 2}",
        f"{{call: observe, effect: hang, seconds: {NEVER}, times: 0}}",
    )
    cli.write("host.yaml", hosts(*rules))
    process = cli.start("apply", "--yes")
    out, err = process.communicate(timeout=SECONDS)
    assert 1 == process.returncode, out + err
    assert "PRV3003" in err
    assert "not locked" in cli("state", "unlock").out
    assert [] == networks(cli.root, "there")
    cli.write("host.yaml", hosts())
    assert 0 == cli("apply", "--yes").code


# What is asked of one machine

SNAPSHOT = "Snapshot/before\nmachine: web\n"
LIMITED = (
    f"apiVersion: provisioner/v1\nkind: Host\nmetadata: {{name: here}}\nspec: {{provider: memory, "
    f"limits: {{readTimeout: {READ}, stepTimeout: {READ}}}, "
    "connection: {path: objects.jsonl, faults: [RULE]}}\n"
)


def limited(cli: CommandLine, rule: str = "") -> None:
    """A host that is not waited for long."""
    cli.write("host.yaml", LIMITED.replace("RULE", rule))


def test_going_back_to_a_snapshot_that_never_ends(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up like a step: its intent stays open, and the next run looks."""
    monkeypatch.setattr(snapshot, "GRACE_SECONDS", GRACE)
    limited(cli)
    cli.declare(*ALL, SNAPSHOT)
    assert 0 == cli("apply", "--yes").code
    limited(cli, f"{{call: revert, effect: delay, seconds: {NEVER}}}")
    late = cli("snapshot", "revert", "before", "--yes", "--json")
    assert (1, ["PRV3003"]) == (late.code, late.codes)
    assert "reverting to Snapshot/before: no answer after 0.7 s" in late.err
    newest = cli("state", "history", "--json").json[0]
    assert ("revert", "failed") == (newest["kind"], newest["outcome"])
    assert "not locked" in cli("state", "unlock").out
    assert "The last run did not finish" in cli("state", "list").err
    limited(cli)
    assert 0 == cli("apply", "--yes").code
    assert "" == cli("state", "list").err


@pytest.mark.parametrize("option", [["--log"], ["--graphics"], []])
def test_a_console_that_never_opens(
    cli: CommandLine, monkeypatch: pytest.MonkeyPatch, option: list[str]
) -> None:
    limited(cli)
    cli.declare(*ALL)
    assert 0 == cli("apply", "--yes").code
    never = threading.Event()
    for name in ("serial_log", "graphics", "serial"):
        monkeypatch.setattr(MemorySession, name, lambda *_: never.wait(NEVER), raising=False)
    described = MemoryProvider.describe

    def with_console(provider: MemoryProvider) -> Description:
        description = described(provider)
        return replace(description, capabilities=description.capabilities | {CONSOLE})

    monkeypatch.setattr(MemoryProvider, "describe", with_console)
    late = cli("console", "web", *option)
    never.set()
    assert (1, True) == (late.code, "PRV3003" in late.err)
    assert "no answer after 0.3 s while" in " ".join(late.err.split())


# A call that hangs in what Python waits for at its end

HANGING = f"""
import sys, tempfile, time
from concurrent.futures import ThreadPoolExecutor
from provisioner.cli.main import main
from provisioner_plugins.memory.session import MemorySession

key = tempfile.TemporaryDirectory(dir=".", prefix="key-")

def hang(*_, **__):
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(time.sleep, {NEVER}).result()

MemorySession.observe = hang
sys.exit(main())
"""
"""The program, with a plugin that has an executor of its own and a folder for a key."""


@pytest.mark.parametrize("end", ["given up", "interrupted"])
def test_an_executor_of_a_plugin_keeps_nobody(cli: CommandLine, end: str) -> None:
    """The program ends, and leaves nothing in its folders."""
    waits = READ if end == "given up" else "1h"
    cli.write("host.yaml", hosts().replace(READ, waits))
    cli.declare(*on_both(MADE))
    program = [sys.executable, "-c", HANGING, "plan"]
    process = subprocess.Popen(
        program,
        cwd=cli.root,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        if end == "interrupted":
            assert process.stderr is not None
            while "Observing" not in process.stderr.readline():
                assert process.poll() is None
            process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=SECONDS)
    finally:
        process.kill()
    expected = (1, True) if end == "given up" else (130, False)
    assert expected == (process.returncode, "PRV3003" in err)
    assert [] == list(cli.root.glob("key-*"))
