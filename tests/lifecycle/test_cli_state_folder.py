"""``PROVISIONER_STATE``: the state lies elsewhere than beside the stack, which may be a checkout
that is made anew for each run."""

import shutil
from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import LAN


@pytest.fixture
def states(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path_factory.mktemp("states")
    monkeypatch.setenv("PROVISIONER_STATE", str(folder))
    return folder


def test_another_checkout_finds_what_was_applied(
    cli: CommandLine, states: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cli.declare(LAN)
    assert 0 == cli("apply", "--yes").code
    assert (states / "default" / "state.db").is_file()
    assert not (cli.root / ".provisioner").exists()
    other = tmp_path_factory.mktemp("checkout") / "stack"
    shutil.copytree(cli.root, other)
    assert 0 == cli("plan", "--detailed-exitcode", other).code
    assert ["Network/lan"] == [
        item["address"] for item in cli("state", "list", "--json", other).json["resources"]
    ]


def test_a_plan_made_in_one_checkout_is_applied_in_another(
    cli: CommandLine, states: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cli.declare(LAN)
    cli("plan", "-o", "first.plan")
    other = tmp_path_factory.mktemp("checkout") / "stack"
    shutil.copytree(cli.root, other)
    cli("plan", "-o", "second.plan", other)
    assert 0 == cli("apply", "first.plan", "--stack", other).code
    assert 3 == cli("apply", "second.plan").code


def test_a_folder_is_not_shared_by_two_stacks(cli: CommandLine, states: Path) -> None:
    cli.declare(LAN)
    cli("apply", "--yes")
    cli.write(
        "stack.yaml", "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: b}\nspec: {}\n"
    )
    finished = cli("plan", "--json")
    assert (1, ["PRV4010"]) == (finished.code, finished.codes)


def test_a_relative_path_is_refused(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROVISIONER_STATE", "states")
    cli.declare(LAN)
    finished = cli("plan", "--json")
    assert (1, ["PRV6042"]) == (finished.code, finished.codes)
