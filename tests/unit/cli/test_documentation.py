"""docs/command-line.md and docs/plan-format.md say what the program has."""

import re
from dataclasses import fields
from pathlib import Path

import click
import pytest

from provisioner.cli.exitcodes import ExitCode
from provisioner.cli.root import COMMANDS, root
from provisioner.engine import events
from provisioner.service.model import event_json, plan_json
from tests.unit.cli import plans

DOCS = Path(__file__).resolve().parents[3] / "docs"
COMMAND_LINE = (DOCS / "command-line.md").read_text(encoding="utf-8")
PLAN_FORMAT = (DOCS / "plan-format.md").read_text(encoding="utf-8")


def commands(group: click.Group, path: str = "") -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, f"{path}{name} ")
        else:
            found.append((f"{path}{name}", command))
    return found


@pytest.mark.parametrize("name", [name for name, _ in commands(root)])
def test_every_command_is_described(name: str) -> None:
    assert re.search(rf"^\| `{name}[ `]", COMMAND_LINE, re.MULTILINE)


def test_no_command_is_made_up() -> None:
    known = {name for name, _ in commands(root)} | {"state ..."}
    described = set(re.findall(r"^\| `([a-z]+(?: [a-z.]+)?)[ `]", COMMAND_LINE, re.MULTILINE))
    groups = {name.split()[0] for name in known}
    assert set() == {name for name in described if name.split()[0] in groups} - known


@pytest.mark.parametrize(("name", "command"), commands(root))
def test_every_option_is_described(name: str, command: click.Command) -> None:
    missing = [
        option.opts[-1]
        for option in command.params
        if isinstance(option, click.Option)
        and option.opts[-1] not in ("--help", "--name", "--limit", "--format", "--output")
        and f"`{option.opts[-1]}" not in COMMAND_LINE
    ]
    assert [] == missing


def test_every_exit_code_is_described() -> None:
    documented = re.findall(r"^\| (\d+) \|", COMMAND_LINE, re.MULTILINE)
    assert [str(int(code)) for code in ExitCode] == documented


def test_every_event_is_described() -> None:
    for name in (
        "PhaseStarted",
        "StepStarted",
        "StepProgress",
        "StepRetrying",
        "StepFinished",
        "StepFailed",
        "StepSkipped",
        "StepKept",
    ):
        kind = getattr(events, name)
        example = kind(**{field.name: "" for field in fields(kind)})
        data = event_json(example)
        (line,) = re.findall(rf"^\| `{data['event']}` \| (.*) \|$", COMMAND_LINE, re.MULTILINE)
        assert [] == [key for key in data if key != "event" and f"`{key}`" not in line]


def test_every_key_of_a_plan_is_described() -> None:
    document = plan_json(plans.updates())
    step = document["steps"][0]
    change = document["steps"][0]["changes"][0]
    for key in [*document, *step, *step["resource"], *change]:
        assert f"`{key}`" in PLAN_FORMAT, key


def test_root_help_names_every_command() -> None:
    assert set(COMMANDS) == {name.split()[0] for name, _ in commands(root)}
