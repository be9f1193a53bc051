"""The program in this process, in the folder of a stack on a real host."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from provisioner.cli.main import run
from tests.lab.daemon import LibvirtDaemon
from tests.lifecycle.commandline import Finished
from tests.lifecycle.refused import check_errors, diagnostics
from tests.lifecycle.scenario import Scenario

HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {{name: here}}
spec:
  provider: kvm
  accelerator: {accelerator}
  connection: {connection}
"""
EVERYTHING_MAY_GO = ("--max-impact", "replace", "--allow-data-loss", "Disk/data")


class Lab:
    """A stack in a folder and the program in this process."""

    def __init__(self, root: Path, capture: Callable[[], tuple[str, str]]) -> None:
        self.root = root
        self.base = ""
        """What a test has applied before it begins."""
        self._capture = capture
        self._scenario = Scenario(root)
        self.declare = self._scenario.declare

    def host(self, uri: str, more: str = "", *, accelerator: str = "tcg") -> None:
        """Reach the host in this way from now on."""
        text = HOST.format(accelerator=accelerator, connection=f'{{uri: "{uri}"{more}}}')
        self._scenario.write("host.yaml", text)

    def __call__(self, *arguments: str) -> Finished:
        self._capture()
        code = run(arguments)
        return Finished(code, *self._capture())

    def check_refused(self, *errors: str, commands: tuple[str, ...] = ("plan", "apply")) -> None:
        """These commands end with exit code 1 and exactly these errors; what is recorded stays."""
        history = self("state", "history", "--json").out
        for command in commands:
            refused = self(command, "--json", *(["--yes"] if command == "apply" else []))
            assert 1 == refused.code
            check_errors(self.root, diagnostics(refused), errors)
        assert history == self("state", "history", "--json").out

    def check_converged(self) -> None:
        """An apply ends well and leaves nothing to do."""
        finished = self("apply", "--yes", *EVERYTHING_MAY_GO)
        assert 0 == finished.code, finished.err
        assert 0 == self("plan", "--detailed-exitcode").code


def lab_in(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Lab:
    """The program in a folder."""
    monkeypatch.chdir(folder)

    def capture() -> tuple[str, str]:
        captured = capsys.readouterr()
        return captured.out, captured.err

    return Lab(folder, capture)


def pool(daemon: LibvirtDaemon, lab: Lab) -> str:
    """A pool in a folder of the test's own."""
    return f"StoragePool/bad-hosts\ntype: dir\npath: {daemon.directory}/{lab.root.name}\n"
