"""Outputs that are closed or full: a word about it, no trace, and an exit code that says so."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.cli.applying import confirm_plan
from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import ProvisionerError
from tests.unit.cli import plans

FULL = Path("/dev/full")


def shell(redirection: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The program as a shell starts it, with redirections."""
    return subprocess.run(
        ["sh", "-c", f'"$0" "$@" {redirection}', sys.executable, "-m", "provisioner", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    "arguments", [["version"], ["version", "--json"], ["--help"]], ids=" ".join
)
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-"])
def test_an_output_that_cannot_be_written(redirection: str, arguments: list[str]) -> None:
    finished = shell(redirection, *arguments)
    assert 1 == finished.returncode
    assert "PRV6017" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert 1 == finished.stderr.count("could not be written")


@pytest.mark.parametrize("redirection", ["2>&-", "<&-", "2>/dev/full"])
def test_the_other_streams_do_not_matter(redirection: str) -> None:
    finished = shell(redirection, "version")
    assert (0, "") == (finished.returncode, finished.stderr)
    assert "provider API" in finished.stdout


def test_no_file_takes_the_place_of_a_closed_stream() -> None:
    code = (
        "import os; from provisioner.cli.streams import hold_standard_streams;"
        "hold_standard_streams(); print(os.open(os.devnull, os.O_RDONLY))"
    )
    finished = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" <&- 2>&-', sys.executable, code], capture_output=True, text=True
    )
    assert "3\n" == finished.stdout


def test_what_a_library_draws_cannot_fail_either(monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        terminal = Terminal({})
        file = terminal.guarded()
        file.write("a")
        file.flush()
        file.write("b")
        assert terminal.is_lost
        # What was left in the buffer has gone: the interpreter would fail over it at the end.
        assert not os.isatty(stream.fileno())
        stream.flush()


def test_a_plan_that_was_not_shown_is_not_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    with FULL.open("w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        terminal = Terminal({})
        terminal.print(["Plan: 2 to create."])
        with pytest.raises(ProvisionerError) as refused:
            confirm_plan(terminal, plans.creations(), yes=False)
        stream.flush()
    assert "the plan could not be shown" == refused.value.diagnostics[0].summary
