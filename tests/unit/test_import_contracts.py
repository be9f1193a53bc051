"""Every import contract of pyproject.toml refuses what it is there to refuse."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Contract -> module (below provisioner or provisioner_plugins) and an import that breaks it.
VIOLATIONS = {
    "layers": ("provisioner/state/violation.py", "provisioner.service"),
    "cli": ("provisioner/cli/violation.py", "provisioner.engine"),
    "plugins": ("provisioner_plugins/one/violation.py", "provisioner.state"),
    "plugins-apart": ("provisioner_plugins/one/violation.py", "provisioner_plugins.other"),
    "plugins-unknown": ("provisioner/service/violation.py", "provisioner_plugins.one"),
    "sdk": ("provisioner/providers/violation.py", "libvirt"),
    "one-module": ("provisioner/manifest/violation.py", "yaml"),
    "terminal": ("provisioner/service/violation.py", "rich"),
    "engine-pure": ("provisioner/engine/violation.py", "time"),
}


def lint(root: Path, contract: str) -> tuple[int, str]:
    run = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache", "--contract", contract],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
    )
    return run.returncode, run.stdout


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages under their installed names, with two more plugins."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    names = {"provisioner": "provisioner", "plugins": "provisioner_plugins"}
    for folder, name in {**names, "schemas": "provisioner_schemas"}.items():
        shutil.copytree(
            ROOT / folder, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for plugin in ("one", "other"):
        (tmp_path / "provisioner_plugins" / plugin).mkdir()
        (tmp_path / "provisioner_plugins" / plugin / "__init__.py").write_text('"""A plugin."""\n')
    return tmp_path


def test_every_contract_has_a_violation() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    assert set(VIOLATIONS) == {contract["id"] for contract in settings["contracts"]}


@pytest.mark.parametrize("contract", VIOLATIONS)
def test_contract_refuses(contract: str, copy: Path) -> None:
    module, imported = VIOLATIONS[contract]
    (copy / module).write_text(f"import {imported}\n")
    status, output = lint(copy, contract)
    name = module.removesuffix(".py").replace("/", ".")
    assert status == 1
    assert re.search(rf"{re.escape(name)} -> {re.escape(imported)}\b", output), output
