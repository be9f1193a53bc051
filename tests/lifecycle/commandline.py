"""The program itself under test: a stack in a folder whose memory endpoint is a file, so that each
run of a command finds what the one before left.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.main import run
from provisioner.providers.api import Endpoint
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.scenario import Scenario
from tests.lifecycle.stacks import ALL

OBJECTS = "objects.jsonl"
SECONDS = 60


@dataclass(frozen=True, slots=True)
class Finished:
    """How a run of the program ended, and what it wrote."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The output as one JSON document."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """The output as JSON documents, one a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def codes(self) -> list[str]:
        """The codes of the diagnostics of a run with ``--json``."""
        return [json.loads(line)["code"] for line in self.err.splitlines() if line[:1] == "{"]


class CommandLine:
    """A stack and the program. Commands run in this process, in the stack's folder, without a
    terminal."""

    def __init__(
        self, root: Path, capture: Callable[[], tuple[str, str]], *faults: Mapping[str, Any]
    ) -> None:
        self.root = root
        self._secret: str | None = None
        self._capture = capture
        self._scenario = Scenario(root)
        self.faults(*faults)
        self.declare = self._scenario.declare
        self.write = self._scenario.write

    def faults(self, *rules: Mapping[str, Any]) -> None:
        """What goes wrong on the endpoint from now on; each run counts anew."""
        self._rules = rules
        self._write_host()

    def secret(self, reference: str) -> None:
        """Have the endpoint ask for a secret."""
        self._secret = reference
        self._write_host()

    def _write_host(self) -> None:
        connection: dict[str, Any] = {"path": OBJECTS}
        if self._rules:
            connection["faults"] = list(self._rules)
        if self._secret is not None:
            connection["password"] = {"secretRef": self._secret}
        self._scenario.write(
            "host.yaml",
            "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: here}\n"
            f"spec: {{provider: memory, connection: {json.dumps(connection)}}}\n",
        )

    def __call__(self, *arguments: str | Path) -> Finished:
        """Run one command."""
        self._capture()
        code = run([str(argument) for argument in arguments])
        out, err = self._capture()
        return Finished(code, out, err)

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start one command as a process of its own."""
        return subprocess.Popen(
            self.start_arguments(*arguments),
            cwd=self.root,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
            **options,
        )

    @staticmethod
    def start_arguments(*arguments: str) -> list[str]:
        """How the program is started as a process."""
        return [sys.executable, "-m", "provisioner", *arguments]

    @property
    def outside(self) -> Outside:
        """Somebody else on the same endpoint."""
        endpoint = Endpoint("here", "memory", {"path": OBJECTS})
        return Outside(MemoryProvider().inventory(endpoint, self.root))

    def objects(self) -> list[str]:
        """What is on the endpoint: ``Kind/name``, sorted."""
        return sorted(f"{item.kind}/{item.name}" for item in self.outside.objects())


@pytest.fixture
def cli(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> CommandLine:
    """The program in the folder of an empty stack."""
    monkeypatch.chdir(tmp_path)

    def capture() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return CommandLine(tmp_path, capture)


@pytest.fixture
def shop(cli: CommandLine) -> CommandLine:
    """The program in the folder of a stack with a network, a pool, a disk and a machine."""
    cli.declare(*ALL)
    return cli
