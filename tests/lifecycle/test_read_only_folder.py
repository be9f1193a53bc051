"""A stack that this user may read and not write: what only reads works, what would write says that
it may not, and nobody speaks of damage."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lifecycle.commandline import SECONDS, CommandLine, Finished

READING = (
    ["validate"],
    ["plan"],
    ["drift"],
    ["graph"],
    ["show"],
    ["show", "VirtualMachine/web"],
    ["state", "list"],
    ["state", "show", "VirtualMachine/web"],
    ["state", "history"],
    ["state", "verify"],
    ["state", "unlock"],
)


def as_somebody(shop: CommandLine, *arguments: str) -> Finished:
    """Run a command as a user whom modes bind: root is bound by none."""
    program = shop.start_arguments(*arguments)
    if os.geteuid() == 0:
        program = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *program]
    done = subprocess.run(
        program,
        cwd=shop.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    return Finished(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def apart(shop: CommandLine) -> CommandLine:
    """A stack with an endpoint that everybody may use."""
    shop.write(
        "host.yaml",
        "apiVersion: provisioner/v1\nkind: Host\nmetadata: {name: here}\n"
        "spec: {provider: memory, connection: {path: endpoint/objects.jsonl}}\n",
    )
    (shop.root / "endpoint").mkdir()
    return shop


@pytest.fixture
def read_only(apart: CommandLine) -> Iterator[CommandLine]:
    """Applied once; then everything was made read-only."""
    assert 0 == apart("apply", "--yes").code
    lock(apart)
    yield apart
    unlock(apart.root)


def lock(shop: CommandLine) -> None:
    for parent in shop.root.parents[:3]:
        if parent.stat().st_uid == os.geteuid():
            parent.chmod(parent.stat().st_mode | 0o011)
    set_modes(shop.root, 0o555)
    set_modes(shop.root / "endpoint", 0o777)


def unlock(root: Path) -> None:
    set_modes(root, 0o755)


def set_modes(root: Path, mode: int) -> None:
    for path in (root, *root.rglob("*")):
        path.chmod(mode if path.is_dir() else mode & 0o666)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_reading(read_only: CommandLine, command: list[str]) -> None:
    finished = as_somebody(read_only, *command)
    assert (0, False) == (finished.code, "error" in finished.err)


def test_a_backup_apart(read_only: CommandLine, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("backups")
    folder.chmod(0o777)
    lock(read_only)
    assert 0 == as_somebody(read_only, "state", "backup", str(folder / "saved.db")).code


@pytest.mark.parametrize(
    "command", [["apply", "--yes"], ["destroy", "--yes"], ["state", "forget", "*/*", "--yes"]]
)
def test_writing(read_only: CommandLine, command: list[str]) -> None:
    finished = as_somebody(read_only, *command, "--json")
    assert (1, ["PRV4009"]) == (finished.code, finished.codes)
    assert "read-only" in finished.err


def test_what_may_not_be_read(read_only: CommandLine) -> None:
    (read_only.root / ".provisioner" / "default").chmod(0)
    for command in (["state", "verify"], ["state", "list"], ["plan"], ["show"], ["drift"]):
        finished = as_somebody(read_only, *command, "--json")
        assert (1, ["PRV4009"]) == (finished.code, finished.codes)
        assert "permission denied" in finished.err


def test_a_first_plan(apart: CommandLine) -> None:
    lock(apart)
    try:
        finished = as_somebody(apart, "plan")
        assert (0, True) == (finished.code, "Plan: 4 to create." in finished.out)
    finally:
        unlock(apart.root)
