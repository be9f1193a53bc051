"""Shell completion: scripts for three shells, and candidates for what was typed so far."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.state.sqlite import SqliteStore
from tests.conformance.stores import entry, record


def complete(*words: str, folder: Path | None = None) -> str:
    """What the program answers bash for the last word: lines of a kind and a text."""
    finished = subprocess.run(
        [sys.executable, "-m", "provisioner"],
        cwd=folder,
        env={
            **os.environ,
            "_PROVISIONER_COMPLETE": "bash_complete",
            "COMP_WORDS": " ".join(["provisioner", *words]),
            "COMP_CWORD": str(len(words)),
        },
        capture_output=True,
        text=True,
    )
    assert "" == finished.stderr
    return finished.stdout


def candidates(*words: str, folder: Path | None = None) -> list[str]:
    """What bash would offer for the last word."""
    lines = complete(*words, folder=folder).splitlines()
    return [line.partition(",")[2] for line in lines if line]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts(shell: str) -> None:
    finished = subprocess.run(
        [sys.executable, "-m", "provisioner", "completion", shell], capture_output=True, text=True
    )
    assert (0, "") == (finished.returncode, finished.stderr)
    assert f"_PROVISIONER_COMPLETE={shell}_complete" in finished.stdout


def test_bash_takes_the_script() -> None:
    script = subprocess.run(
        [sys.executable, "-m", "provisioner", "completion", "bash"], capture_output=True, text=True
    ).stdout
    checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True)
    assert (0, "") == (checked.returncode, checked.stderr)


def test_commands() -> None:
    assert {
        "show",
        "state",
        "snapshot",
        "schema",
    } == set(candidates("s"))


def test_commands_of_a_group() -> None:
    assert {"restore"} == set(candidates("state", "re"))


def test_options() -> None:
    assert {"--max-impact"} == set(candidates("plan", "--max"))


def test_values() -> None:
    assert ["replace", "restart"] == sorted(candidates("plan", "--max-impact", "re"))


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A stack of which a machine and a disk were applied."""
    (tmp_path / "stack.yaml").write_text(
        "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: shop}\n"
        "spec:\n  variables:\n    memory: {type: size, default: 1GiB}\n    mtu: {type: integer}\n"
        "  environments: {dev: {}, prod: {}}\n"
    )
    (tmp_path / "all.yaml").write_text(
        "kind: Host\nmetadata: {name: here}\n---\n"
        "kind: Network\nmetadata:\n  labels: {a: b}\n\n  name: lan\nspec: {name: other}\n---\n"
        "kind: VirtualMachine\nmetadata: {labels: {a: b}, name: 'web-${replica.index}'}\nspec: {}\n"
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "broken.yaml").write_bytes(b"kind: Disk\nmetadata: [\xc3\xa9")
    for environment in (None, "dev"):
        store = SqliteStore(
            tmp_path / ".provisioner" / (environment or "default") / "state.db",
            stack="shop",
            environment=environment,
        )
        record(store, *(entry(f"web-{n}") for n in ([1, 2] if environment is None else [3])))
        store.close()
    return tmp_path


def test_addresses_declared_and_recorded(stack: Path) -> None:
    every = {f"VirtualMachine/web-{end}" for end in ("1", "2", "*")} | {"Network/lan"}
    for option in ("--target", "--exclude", "--adopt"):
        assert every == set(candidates("plan", option, "", folder=stack))
    assert {"Network/lan"} == set(candidates("plan", "--target", "Net", folder=stack))


def test_addresses_that_were_applied(stack: Path) -> None:
    recorded = ["VirtualMachine/web-1", "VirtualMachine/web-2"]
    for words in (
        ["destroy", "--allow-data-loss", ""],
        ["state", "show", ""],
        ["state", "forget", "V"],
    ):
        assert recorded == candidates(*words, folder=stack)
    assert ["VirtualMachine/web-3"] == candidates("state", "show", "--env", "dev", "", folder=stack)


def test_names_of_machines(stack: Path) -> None:
    assert ["web-1", "web-2"] == candidates("console", "w", folder=stack)


def test_environments_and_variables(stack: Path) -> None:
    assert ["dev", "prod"] == candidates("plan", "--env", "", folder=stack)
    assert ["prod"] == candidates("--env", "p", folder=stack)
    assert ["memory=", "mtu="] == candidates("plan", "--var", "m", folder=stack)


def test_a_stack_in_another_folder(stack: Path) -> None:
    assert ["dev", "prod"] == candidates("plan", str(stack), "--env", "")


@pytest.mark.parametrize("command", ["plan", "destroy", "drift", "init", "schema"])
def test_only_folders_where_a_folder_is_meant(stack: Path, command: str) -> None:
    assert ["dir"] == kinds(command, "", folder=stack)


def test_files_where_a_plan_file_may_stand(stack: Path) -> None:
    assert ["file"] == kinds("apply", "", folder=stack)
    assert "file" == kinds("show", "", folder=stack)[0]


def kinds(*words: str, folder: Path) -> list[str]:
    finished = complete(*words, folder=folder)
    return [line.partition(",")[0] for line in finished.splitlines()]


@pytest.mark.parametrize("state", [b"rubbish", None])
def test_nothing_is_said_where_nothing_can_be_read(tmp_path: Path, state: bytes | None) -> None:
    if state is not None:
        path = tmp_path / ".provisioner" / "default" / "state.db"
        path.parent.mkdir(parents=True)
        path.write_bytes(state)
    (tmp_path / "stack.yaml").write_text("kind: Stack\nspec: [\n")
    for words in (["plan", "--target", ""], ["plan", "--env", ""], ["state", "show", ""]):
        assert [] == candidates(*words, folder=tmp_path)


def test_completion_reads_no_schema_and_opens_no_endpoint(stack: Path) -> None:
    code = (
        "import sys; from provisioner.cli.main import run\n"
        "try: run([])\n"
        "finally: print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    environ = {
        **os.environ,
        "_PROVISIONER_COMPLETE": "bash_complete",
        "COMP_WORDS": "provisioner plan --target ",
        "COMP_CWORD": "3",
    }
    finished = subprocess.run(
        [sys.executable, "-c", code], cwd=stack, env=environ, capture_output=True, text=True
    )
    assert "Network/lan" in finished.stdout
    heavy = {"jsonschema", "jsonschema_rs", "networkx", "deepdiff", "libvirt", "rich"}
    assert set() == heavy & set(finished.stderr.split())
