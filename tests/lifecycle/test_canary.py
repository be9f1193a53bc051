"""Canaries: secrets of every kind go through every command, and are looked for wherever something
is written: both streams, state, journal, plans, caches, drawings, reports of crashes, exceptions,
arguments of processes.

A command or an option that is not known here makes a test fail: give it arguments below.
"""

from __future__ import annotations

import base64
import shutil
import sys
import tempfile
import traceback
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import click
import pytest

from provisioner.cli.root import root
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.redaction import Redactor
from provisioner.engine.calls import StepCalls
from provisioner.service.layout import STATE_FOLDER
from tests.lifecycle.commandline import CommandLine, Finished
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.stacks import DISK, LAN, POOL
from tests.person import Person

CORES = ("c4n4ryENV5d1f", "c4n4ryFILE77c1", "c4n4ryCMD3b2e")
"""What is looked for: it survives every way to quote a text."""
PASSWORD = f"{{\"k\": '{CORES[0]}' <\u00fc> & \\ $x/y}}"
USER_DATA = f"#cloud-config\npassword: '{CORES[1]}'\nchpasswd: \"\u00fc {CORES[1]} & <x>\"\n"
NETWORK = f"version: 2 # {CORES[2]}"

WEB = """
VirtualMachine/web
cpu: {count: %d, max: 64}
memory: {size: 256MiB}
disks: [{disk: web-root}]
nics: [{name: lan, network: lan}]
cloudInit:
  userData: {secretRef: "file://%s"}
  networkConfig: {secretRef: "command://net/lab"}
"""
SNAPSHOT = """
Snapshot/before
machine: web
"""

RECOVERY = """
apiVersion: provisioner/v1
kind: Host
metadata: {name: there}
spec: {provider: memory, connection: {path: there.jsonl, password: {secretRef: "env://PASSWORD"}}}
---
{apiVersion: provisioner/v1, kind: Site, metadata: {name: east}, spec: {hosts: [{host: here}]}}
---
{apiVersion: provisioner/v1, kind: Site, metadata: {name: west}, spec: {hosts: [{host: there}]}}
---
apiVersion: provisioner/v1
kind: SitePair
metadata: {name: both}
spec:
  first: east
  second: west
  networks: [{first: lan, second: lan-there}]
  pools: [{first: pool, second: pool-there}]
---
apiVersion: provisioner/v1
kind: ProtectionGroup
metadata: {name: shop}
spec: {sitePair: both, machines: [{machine: web}]}
---
apiVersion: provisioner/v1
kind: RecoveryPlan
metadata: {name: shop}
spec:
  groups: [{group: shop}]
  fencing: [{command: {argv: [/bin/true]}, timeout: 10s}]
  machines:
    - machine: web
      real: [{site: west, cloudInit: {userData: {secretRef: "env://PASSWORD"}}}]
"""
THERE = (
    "Network/lan-there\nhost: there\nmode: isolated",
    "StoragePool/pool-there\nhost: there\ntype: dir\npath: /srv/there",
)
STACK = """
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {defaults: {host: here}}
"""

TELLING: tuple[dict[str, Any], ...] = (
    {"call": "open", "effect": "retryable", "tells": True},
    {"call": "observe", "effect": "retryable", "tells": True},
    {"call": "discover", "effect": "retryable", "tells": True},
    *(
        {"call": call, "effect": "noted", "tells": True, "times": 0}
        for call in ("create", "update", "delete", "adopt", "revert")
    ),
)
"""An endpoint that says all it knows, and does what it is told nevertheless."""

RUNS: dict[str, list[list[str]]] = {
    "init": [["../made"]],
    "validate": [[]],
    "plan": [[]],
    "apply": [["--yes"], ["first.plan"]],
    "adopt": [["--yes"]],
    "destroy": [["--yes"]],
    "discover": [["here", "-o", "found"]],
    "drift": [[]],
    "graph": [[]],
    "show": [[], ["VirtualMachine/web"], ["first.plan"]],
    "state list": [[]],
    "state show": [["VirtualMachine/web"]],
    "state history": [[]],
    "state verify": [[]],
    "state backup": [["backup.db"]],
    "state restore": [["first.db", "--yes"]],
    "state forget": [["VirtualMachine/web", "--yes"]],
    "state unlock": [[]],
    "console": [["web", "--log"]],
    "snapshot revert": [["before", "--yes"]],
    "dr check": [[], ["shop"]],
    "dr plan": [["shop", "test"], ["shop", "failover"]],
    "dr compile": [["shop", "-o", "shop.dr", "--key", "first.key"]],
    "dr key": [["another.key"]],
    "dr test": [["shop"]],
    "dr cleanup": [["shop"]],
    "dr migrate": [["shop", "--yes"]],
    "dr failover": [["shop", "--yes"]],
    "dr reprotect": [["shop", "--yes"]],
    "dr failback": [["shop", "--yes"]],
    "dr status": [["shop"]],
    "dr answer": [["shop", "yes"]],
    "dr cancel": [["shop"]],
    "dr resume": [["shop"]],
    "dr rollback": [["shop", "--yes"]],
    "dr history": [["shop"]],
    "dr report": [["shop"], ["shop", "--key", "first.key"]],
    "replicate run": [["shop"]],
    "replicate watch": [["shop", "--rounds", "1"]],
    "replicate status": [["shop"]],
    "providers": [[]],
    "schema": [[], ["../schemas"]],
    "completion": [["bash"]],
    "version": [[]],
}
"""How each command is called. In the stack's folder stand a plan, ``first.plan``, a backup,
``first.db``, and a key to sign with, ``first.key``.
"""

VALUES: dict[str, list[str]] = {
    "--adopt": ["VirtualMachine/*"],
    "--allow-data-loss": ["Disk/web-root", "VirtualMachine/web"],
    "--exclude": ["Disk/*"],
    "--image": ["image.raw"],
    "--impact-of": ["Network/lan"],
    "--kind": ["VirtualMachine"],
    "--limit": ["5"],
    "--match": ["*"],
    "--name": ["name"],
    "--operation": ["00000000-0000-0000-0000-000000000000"],
    "--parallel": ["2"],
    "--pass-over": ["gate/web/1"],
    "--point": ["web=1"],
    "--rounds": ["1"],
    "--running-at": ["west"],
    "--stack": ["."],
    "--target": ["VirtualMachine/*"],
    "--trust-site": ["west"],
    "--with": ["web"],
    "--without": ["web"],
}
"""Values of options that take some: flags, choices and files to write are found by themselves."""


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from leaves(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(leaves(root))
SHARED = {option for item in root.params for option in item.opts}


def variants(command: click.Command, numbers: Iterator[int]) -> Iterator[list[str]]:
    """Every option of the command by itself, with every choice that it has."""
    yield []
    for item in command.params:
        if not isinstance(item, click.Option) or SHARED.intersection(item.opts):
            continue
        name = item.opts[-1]
        if item.is_flag or item.count:
            yield from ([option] for option in (*item.opts[-1:], *item.secondary_opts))
        elif name in VALUES:
            yield from ([name, value] for value in VALUES[name])
        elif isinstance(item.type, click.Choice):
            yield from ([name, str(choice)] for choice in item.type.choices)
        elif isinstance(item.type, click.Path | click.File):
            yield [name, f"written-{next(numbers)}"]
        else:
            pytest.fail(f"VALUES has none for {name} of 'provisioner {command.name}'")


def disguises(core: str) -> Iterator[bytes]:
    """What to look for."""
    yield core.encode()
    yield core.encode().hex().encode()
    for before in range(3):
        whole = base64.b64encode(bytes(before) + core.encode())
        yield whole[(before * 8 + 5) // 6 : (before + len(core)) * 8 // 6]


NEEDLES = tuple(needle for core in CORES for needle in disguises(core))


def leaks(data: bytes) -> list[bytes]:
    """The needles in it, wherever lines were broken."""
    whole = b"".join(data.split())
    return [needle for needle in NEEDLES if needle in whole]


class Estate:
    """A stack with a canary of each scheme, which was applied, and all that is written."""

    def __init__(self, cli: CommandLine, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.cli = cli
        self.place = place
        """Where everything but the stack's folder lies; what keeps secrets is in ``keeps``."""
        self.keeps = place / "keeps"
        self.runs: list[Finished] = []
        self._counts = count(1)
        for folder in ("home/.config/provisioner", "tmp", "keeps"):
            (place / folder).mkdir(parents=True)
        self._numbers = count()
        (self.keeps / "user-data").write_text(USER_DATA, encoding="utf-8")
        self._program("net", f"print({NETWORK!r})\nprint({NETWORK!r}, file=sys.stderr)")
        (place / "home/.config/provisioner/config.yaml").write_text(
            "secrets: {commands: {net: {run: [net], argument: '[a-z]+'}}}"
        )
        for name in ("CACHE", "STATE", "DATA", "CONFIG"):
            monkeypatch.delenv(f"XDG_{name}_HOME", raising=False)
        monkeypatch.setenv("HOME", str(place / "home"))
        monkeypatch.setenv("PATH", str(self.keeps))
        monkeypatch.setenv("PASSWORD", PASSWORD)
        monkeypatch.setenv("TMPDIR", str(place / "tmp"))
        monkeypatch.setattr(tempfile, "tempdir", str(place / "tmp"))
        cli.secret("env://PASSWORD")
        cli.write("image.raw", "no image")
        cli.write("stack.yaml", STACK)
        cli.write("recovery.yaml", RECOVERY)
        self.edit()

    def _program(self, name: str, body: str) -> None:
        """A program that writes down with what arguments it and its caller were started."""
        path = self.keeps / name
        path.write_text(
            f"#!{sys.executable}\nimport os, sys\n"
            f"with open({str(self.place / 'arguments')!r}, 'ab') as file:\n"
            "    for process in ('self', os.getppid()):\n"
            "        file.write(open(f'/proc/{process}/cmdline', 'rb').read())\n"
            f"{body}\n",
            encoding="utf-8",
        )
        path.chmod(0o700)

    def edit(self) -> None:
        """Change what has to be applied."""
        web = WEB % (next(self._counts) % 60 + 1, self.keeps / "user-data")
        self.cli.declare(LAN, POOL, DISK, web, SNAPSHOT, *THERE)

    def run(self, *arguments: str) -> Finished:
        finished = self.cli(*arguments)
        self.runs.append(finished)
        return finished

    def run_all_ways(self, path: str) -> None:
        """Run a command with each of its options."""
        for base in RUNS[path]:
            for variant in variants(COMMANDS[path], self._numbers):
                for form in ("--verbose",), ("--verbose", "--json"):
                    self.edit()
                    done = self.run(*path.split(), *base, *variant, *form)
                    assert "PRV9999" not in done.err, done.err
                    assert variant or "PRV6001" not in done.err, done.err

    def leaks(self) -> list[tuple[object, list[bytes]]]:
        """Where something is to be found that should not be."""
        streams = [(run, leaks((run.out + run.err).encode())) for run in self.runs]
        files = [
            (path, leaks(path.read_bytes()) + leaks(str(path).encode())) for path in self.files()
        ]
        return [(where, found) for where, found in (*streams, *files) if found]

    def files(self) -> list[Path]:
        """Every file that was written, but for those that hold the secrets."""
        every = [*self.cli.root.rglob("*"), *self.place.rglob("*")]
        return [path for path in every if path.is_file() and not path.is_relative_to(self.keeps)]

    def said(self) -> str:
        return "".join(run.out + run.err for run in self.runs)


@pytest.fixture
def estate(
    cli: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Estate:
    estate = Estate(cli, tmp_path_factory.mktemp("place"), monkeypatch)
    assert [0, 0] == [
        estate.run("apply", "--yes").code,
        estate.run("state", "backup", "first.db").code,
    ]
    estate.edit()
    assert 0 == estate.run("plan", "-o", "first.plan").code
    assert 0 == estate.run("dr", "key", "first.key").code
    cli.outside.add("Network", "of-others", {"mode": "isolated"})
    cli.faults(*TELLING)
    return estate


def test_every_command_is_known_here() -> None:
    assert sorted(COMMANDS) == sorted(RUNS)


def test_a_stored_recovery_plan_is_among_what_is_looked_through(estate: Estate) -> None:
    done = estate.run("dr", "compile", *RUNS["dr compile"][0])
    assert (0, "") == (done.code, done.err)
    assert estate.cli.root / "shop.dr" in estate.files()


def test_a_report_of_a_run_is_among_what_is_looked_through(estate: Estate) -> None:
    assert 0 != estate.run("dr", "test", "shop").code
    for form in ("json", "markdown", "html", "text"):
        arguments = ("--format", form, "-o", f"report.{form}", "--key", "first.key")
        assert 0 == estate.run("dr", "report", "shop", *arguments).code
    assert {f"report.{form}" for form in ("json", "html")} <= {path.name for path in estate.files()}
    assert [] == estate.leaks()


@pytest.mark.parametrize("path", COMMANDS)
def test_no_command_shows_or_writes_a_secret(estate: Estate, path: str) -> None:
    estate.run_all_ways(path)
    assert [] == estate.leaks()


def test_what_is_searched_is_there(estate: Estate) -> None:
    """The other tests would pass if nothing were written, or nothing told."""
    estate.run("apply", "--yes", "--verbose")
    estate.run("state", "show", "VirtualMachine/web", "--json")
    estate.cli.outside.change("Network", "lan", ("cidr",), "10.0.1.0/24")
    assert 2 == estate.run("drift", "--verbose").code
    names = {path.name for path in estate.files()}
    assert {
        "state.db",
        "first.plan",
        "first.db",
        "cache.key",
        "sightings.json",
        "arguments",
    } <= names
    assert any(path.is_relative_to(estate.place / "home/.cache") for path in estate.files())
    for reference in ("env://PASSWORD", f"file://{estate.keeps}/user-data", "command://net/lab"):
        assert f"(secret {reference})" in "".join(estate.said().split("\n"))
    shutil.copy(estate.keeps / "user-data", estate.place / "stolen")
    assert [estate.place / "stolen"] == [where for where, _ in estate.leaks()]
    assert [b"c4n4ryFILE77c1"] == leaks(USER_DATA.encode())
    assert leaks(base64.b64encode(b"admin:" + NETWORK.encode()))


EFFECTS = [
    *(("create", effect) for effect in ("terminal", "retryable", "lost-answer", "defect")),
    *(("observe", effect) for effect in ("terminal", "retryable", "undetermined", "defect")),
    *(("open", effect) for effect in ("terminal", "defect")),
]


@pytest.mark.parametrize(("call", "effect"), EFFECTS)
def test_no_failure_tells_a_secret(
    cli: CommandLine,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    effect: str,
) -> None:
    estate = Estate(cli, tmp_path_factory.mktemp("place"), monkeypatch)
    rule = {"call": call, "effect": effect, "tells": True, "times": 0, "seconds": 0.001}
    cli.faults(rule | ({"address": "VirtualMachine/*"} if call != "open" else {}))
    for form in ("--verbose",), ("--verbose", "--json"):
        assert estate.run("apply", "--yes", *form).code in (1, 4, 6)
        estate.run("plan", *form)
        estate.run("drift", *form)
        listed = estate.run("state", "history", "--json")
        for operation in listed.json if listed.code == 0 else ():
            estate.run("state", "history", "--operation", operation["operation"], *form)
    assert "(secret env://PASSWORD)" in estate.said()
    assert [] == estate.leaks()


def crashing(*_: object, **__: object) -> None:
    """A defect that has all secrets in its words, and in those of what it came from."""
    try:
        raise KeyError(PASSWORD, NETWORK)
    except KeyError as problem:
        raise RuntimeError(f"{USER_DATA!r} and {USER_DATA}") from problem


@pytest.mark.parametrize("form", [(), ("--verbose",), ("--json",), ("--verbose", "--json")])
def test_no_crash_tells_a_secret(
    estate: Estate, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setattr(StepCalls, "_record", crashing)
    crashed = estate.run("apply", "--yes", *form)
    assert (1, True) == (crashed.code, "PRV9999" in crashed.err)
    reports = [path for path in estate.files() if path.name.startswith("provisioner-crash-")]
    report = crashed.err if "--verbose" in form else reports[0].read_text(encoding="utf-8")
    assert ("--verbose" not in form) == bool(reports)
    assert "KeyError" in report
    assert "(secret command://net/lab)" in report
    assert [] == estate.leaks()


def test_no_secret_is_on_the_screen(estate: Estate) -> None:
    """The view that is drawn again and again on a terminal is another one."""
    person = Person(estate.cli.root, "apply", "--yes", "--verbose")
    assert 0 == person.leave()
    estate.runs.append(Finished(0, person.screen, ""))
    assert "(secret env://PASSWORD)" in person.screen
    assert [] == estate.leaks()


@pytest.mark.parametrize(("call", "effect"), EFFECTS)
def test_no_exception_says_a_secret(scenario: Scenario, call: str, effect: str) -> None:
    """What a use-case raises, or reports, for whoever calls it without a command line."""
    scenario.environ["PASSWORD"] = PASSWORD
    rule = f"{{call: {call}, effect: {effect}, tells: true, times: 0, seconds: 0.001}}"
    scenario.write(
        "host.yaml",
        "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: here}\n"
        "spec: {provider: memory, connection: {password: {secretRef: 'env://PASSWORD'}, "
        f"faults: [{rule}]}}}}\n",
    )
    scenario.declare(LAN)
    try:
        said = repr(scenario.apply())
    except ProvisionerError as problem:
        said = "".join(traceback.format_exception(problem)) + repr(problem.diagnostics)
    assert "(secret env://PASSWORD)" in said
    assert [] == leaks(said.encode())


def test_a_canary_sings_where_it_is_not_protected(
    estate: Estate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without redaction the tests above would find what the endpoint tells: in the streams, and in
    state, and in what sessions remember."""

    def unprotected(_: Redactor, text: str) -> str:
        return text

    monkeypatch.setattr(Redactor, "text", unprotected)
    monkeypatch.setattr(Redactor, "data", unprotected)
    monkeypatch.setattr(Redactor, "is_in", lambda *_: False)
    estate.run("apply", "--yes", "--verbose")
    places = [where for where, _ in estate.leaks()]
    assert any(isinstance(where, Path) and where.suffix == ".memory" for where in places)
    assert estate.runs[-1] in places
    assert estate.cli.root / STATE_FOLDER / "default" / "state.db" in places
