"""``--json``: results on the output, diagnostics on the error stream, nothing else."""

import re
from pathlib import Path

import pytest

from provisioner.cli.root import root
from provisioner.service.model import plan_json
from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import ALL
from tests.unit.cli import plans
from tests.unit.cli.test_documentation import commands


def test_apply_prints_an_event_a_line(shop: CommandLine) -> None:
    lines = shop("apply", "--yes", "--json").lines
    assert "plan" == lines[0]["event"]
    assert 4 == len(lines[0]["plan"]["steps"])
    finished = [line for line in lines if line["event"] == "step-finished"]
    assert 4 == len(finished)
    # Those of planning end before the first line.
    assert ["verify", "apply"] == [
        line["phase"] for line in lines if line["event"] == "phase-started"
    ]
    last = lines[-1]
    assert ("finished", "done", 0) == (last["event"], last["outcome"], last["exitCode"])
    assert sorted(last["done"]) == sorted(line["step"] for line in finished)


def test_failures_are_in_the_last_line(shop: CommandLine) -> None:
    shop.faults({"call": "create", "address": "Disk/*", "effect": "terminal", "times": 0})
    finished = shop("apply", "--yes", "--json")
    last = finished.lines[-1]
    assert (6, 6, "partial") == (finished.code, last["exitCode"], last["outcome"])
    assert ["PRV5902"] == [item["code"] for item in last["diagnostics"]]
    assert ["VirtualMachine/web"] == last["skipped"]


def test_errors_are_lines_on_the_error_stream(shop: CommandLine) -> None:
    shop.write("bad.yaml", "apiVersion: provisioner/v1\nkind: Netwrk\nmetadata: {name: a}\n")
    failed = shop("plan", "--json")
    assert (1, "") == (failed.code, failed.out)
    assert failed.codes


def test_validate_prints_its_diagnostics_as_the_result(shop: CommandLine) -> None:
    assert True is shop("validate", "--json").json["valid"]
    shop.write("bad.yaml", "apiVersion: provisioner/v1\nkind: Netwrk\nmetadata: {name: a}\n")
    failed = shop("validate", "--json")
    assert 1 == failed.code
    assert False is failed.json["valid"]
    (diagnostic,) = failed.json["diagnostics"]
    assert ("bad.yaml", 2) == (diagnostic["source"]["file"], diagnostic["source"]["line"])


# What docs/command-line.md says of each document

ROOT = Path(__file__).parents[2]


def documented() -> dict[str, set[str]]:
    """The keys by command, as the table has them."""
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    table = text.partition("| command | document |\n")[2].partition("\n\n")[0]
    found: dict[str, set[str]] = {}
    for line in table.splitlines()[1:]:
        _, commands, keys, _ = line.split("|")
        for command in re.findall(r"`([^`]+)`", commands):
            found[command] = set(re.findall(r"`([a-zA-Z]+)`", keys))
    return found


def test_every_command_has_a_row() -> None:
    rows = {" ".join(re.findall(r"^[a-z]+(?: [a-z]+)?", name)) for name in documented()}
    names = {name for name, _ in commands(root)}
    assert names - {"completion"} == rows


READING = {
    "plan": ["plan"],
    "show PLANFILE": ["show", "first.plan"],
    "drift": ["drift"],
    "graph": ["graph"],
    "show": ["show"],
    "show ADDRESS": ["show", "VirtualMachine/web"],
    "validate": ["validate"],
    "state list": ["state", "list"],
    "state show": ["state", "show", "VirtualMachine/web"],
    "state history": ["state", "history"],
    "state verify": ["state", "verify"],
    "state unlock": ["state", "unlock"],
    "providers": ["providers"],
    "version": ["version"],
    "state backup": ["state", "backup", "saved.db"],
    "state forget": ["state", "forget", "Disk/*", "--yes"],
    "state restore": ["state", "restore", "older.db", "--yes"],
    "snapshot revert": ["snapshot", "revert", "before", "--yes"],
    "init": ["init", "DIR"],
    "schema": ["schema", "DIR"],
    "dr key": ["dr", "key", "DIR"],
}


@pytest.mark.parametrize("command", READING)
def test_a_document_is_what_its_row_says(
    shop: CommandLine, command: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    shop.declare(*ALL, "Snapshot/before\nmachine: web\n")
    shop("plan", "-o", "first.plan")
    shop("apply", "first.plan")
    shop("state", "backup", "older.db")
    elsewhere = str(tmp_path_factory.mktemp("elsewhere") / "new")
    arguments = [elsewhere if item == "DIR" else item for item in READING[command]]
    finished = shop(*arguments, "--json")
    assert (0, "") == (finished.code, finished.err)
    document = finished.json[0] if isinstance(finished.json, list) else finished.json
    given = set(document)
    if command in ("plan", "show PLANFILE"):
        given -= set(plan_json(plans.nothing()))
    assert given <= documented()[command]
    # Of a list of resources each has its keys, too.
    for item in document.get("resources", ()) if command != "validate" else ():
        keys = documented()["state show" if command == "state list" else command]
        assert set(item) <= keys
