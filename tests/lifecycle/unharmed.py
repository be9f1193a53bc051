"""Nothing changed, nothing lost: a stack that was applied, before and after something that had to
fail.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lifecycle.commandline import OBJECTS, CommandLine


@pytest.fixture(scope="session")
def applied_once(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Where the folder of an applied stack is, once there is one."""
    return []


@pytest.fixture
def applied(
    shop: CommandLine, applied_once: list[Path], tmp_path_factory: pytest.TempPathFactory
) -> CommandLine:
    """The program in the folder of a stack that was applied."""
    if applied_once:
        shutil.copytree(applied_once[0], shop.root, dirs_exist_ok=True)
        return shop
    finished = shop("apply", "--yes")
    assert 0 == finished.code, finished.err
    folder = tmp_path_factory.mktemp("applied") / "stack"
    shutil.copytree(shop.root, folder)
    applied_once.append(folder)
    return shop


@contextmanager
def unharmed(cli: CommandLine) -> Iterator[None]:
    """Put the manifests back at the end, and check that objects, records and history are what they
    were and that there is nothing to do.
    """
    before = evidence(cli)
    manifests = {path: path.read_bytes() for path in manifest_files(cli.root)}
    yield
    for path in manifest_files(cli.root):
        if path not in manifests:
            path.unlink()
    for path, content in manifests.items():
        path.write_bytes(content)
    assert before == evidence(cli)
    assert 0 == cli("state", "verify").code
    assert 0 == cli("plan", "--detailed-exitcode").code


def manifest_files(root: Path) -> list[Path]:
    """The files that are read as manifests."""
    return [path for path in root.rglob("*.y*ml") if ".provisioner" not in path.parts]


def evidence(cli: CommandLine) -> dict[str, Any]:
    """The objects as their endpoint keeps them, the records and the history."""
    return {
        "objects": (cli.root / OBJECTS).read_bytes(),
        "records": cli("state", "list", "--json").json,
        "history": cli("state", "history", "--json").json,
    }
