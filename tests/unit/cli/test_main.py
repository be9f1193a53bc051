"""Every way in which a run can end: exit code, and what a person sees."""

import json
import os
import subprocess
import sys
from pathlib import Path
from unittest.mock import patch

import click
import pytest

from provisioner.cli import exitcodes
from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.main import run
from provisioner.cli.root import COMMANDS, root
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, error, warning


def failing(problem: BaseException):
    """Make ``provisioner version`` fail with ``problem``."""

    def fail(*_: object, **__: object) -> None:
        raise problem

    return patch("provisioner.cli.terminal.Terminal.print", fail)


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.DONE == run(["--version"])
    assert capsys.readouterr().out.startswith("provisioner 0.")


def test_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.ERROR == run(["pln"])
    assert "Did you mean 'plan'?" in capsys.readouterr().err


def test_missing_choice_lists_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.ERROR == run(["completion"])
    first, *_ = capsys.readouterr().err.splitlines()
    assert "error[PRV6001]: Missing argument 'SHELL'. Choose from: bash, fish, zsh" == first


def test_usage_error_is_no_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    """2 means that a plan has changes."""
    assert ExitCode.ERROR == run(["plan", "--no-such-option"])
    assert "PRV6001" in capsys.readouterr().err


def test_usage_error_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.ERROR == run(["plan", "--no-such-option", "--json"])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "PRV6001" == json.loads(captured.err)["code"]


def test_failure_reports_every_diagnostic(capsys: pytest.CaptureFixture[str]) -> None:
    problems = [error("PRV1203", "first"), error("PRV1204", "second")]
    with failing(ProvisionerError(problems)):
        assert ExitCode.ERROR == run(["version"])
    captured = capsys.readouterr()
    assert "" == captured.out
    assert "error[PRV1203]: first\n\nerror[PRV1204]: second\n\n2 errors\n" == captured.err


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        (["PRV1203"], ExitCode.ERROR),
        (["PRV3001", "PRV3001"], ExitCode.STALE),
        (["PRV3002"], ExitCode.REFUSED),
        (["PRV3001", "PRV1203"], ExitCode.ERROR),
    ],
)
def test_exit_code_of_failures(codes: list[str], expected: ExitCode) -> None:
    assert expected == exitcodes.exit_code_of([error(code, "x") for code in codes])


def test_warnings_do_not_hide_a_special_exit_code() -> None:
    found = exitcodes.exit_code_of([error("PRV3001", "stale"), warning("PRV1901", "slow")])
    assert ExitCode.STALE == found


@pytest.mark.parametrize(
    ("problem", "said"),
    [(KeyboardInterrupt(), "Interrupted."), (click.Abort(), "Nothing was changed.")],
)
def test_interrupt(problem: BaseException, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with failing(problem):
        assert 130 == run(["version"])
    assert said in capsys.readouterr().err.splitlines()


@pytest.mark.parametrize("options", [(), ("--verbose",)])
def test_where_a_defect_of_a_plugin_is_is_shown_if_asked_for(
    capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    found = error("PRV5004", "a provider failed", trace='  File "plugin.py", line 7, in open\n')
    with failing(ProvisionerError(found)):
        assert 1 == run(["version", *options])
    shown = capsys.readouterr().err.splitlines()
    assert bool(options) == ('  File "plugin.py", line 7, in open' in shown)


def test_defect_leaves_a_report_and_no_traceback(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with failing(ZeroDivisionError("by nought")):
        assert ExitCode.ERROR == run(["version", "--var", "password=hunter2", "--var=pin=1234"])
    shown = capsys.readouterr().err
    (report,) = tmp_path.iterdir()
    assert "PRV9999" in shown
    assert "Traceback" not in shown
    assert str(report) in shown.replace("\n  ", "")
    text = report.read_text()
    assert "ZeroDivisionError: by nought" in text
    assert "--var password=... --var=pin=..." in text
    assert "hunter2" not in text
    assert 0o600 == report.stat().st_mode & 0o777


def test_defect_is_traced_with_verbose(capsys: pytest.CaptureFixture[str]) -> None:
    with failing(ZeroDivisionError("by nought")):
        assert ExitCode.ERROR == run(["version", "--verbose"])
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--json", "version"], ["version", "--json"]])
def test_global_options_before_and_after_the_command(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ExitCode.DONE == run(arguments)
    assert "provisioner" in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("value", ["novalue", "=x"])
def test_variable_without_name_or_value(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ExitCode.ERROR == run(["validate", "--var", value])
    assert "NAME=VALUE" in capsys.readouterr().err


def test_reader_that_goes_away() -> None:
    """``provisioner --help | true``: no trace, no complaint."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", "schema", "--json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
        )
    finally:
        os.close(writer)
    assert (0, "") == (finished.returncode, finished.stderr)


def test_summaries_of_the_table_are_those_of_the_commands() -> None:
    context = click.Context(root)
    for name, summary in COMMANDS.items():
        command = root.get_command(context, name)
        assert command is not None
        assert command.help is not None
        first = command.help.strip().partition("\n")[0].rstrip(".")
        assert summary == first, name


def test_every_command_takes_the_global_options() -> None:
    wanted = {"--env", "--var", "--json", "--no-color", "--verbose"}
    for path, command in commands_of(root, "provisioner"):
        options = {option for parameter in command.params for option in parameter.opts}
        assert set() == wanted - options, path


def commands_of(group: click.Group, path: str):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands_of(command, f"{path} {name}")


def test_severity_has_no_other_values() -> None:
    """The renderer has a colour for each."""
    assert {"error", "warning", "note"} == {severity.value for severity in Severity}
    assert isinstance(error("PRV1", "x"), Diagnostic)
