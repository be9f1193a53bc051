"""The first stack of docs/providers/vmware.md is valid as it stands, and works with other names."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace
from tests.lab.vcsim import Vcsim

PAGE = Path(__file__).parents[2] / "docs" / "providers" / "vmware.md"
[STACK] = re.findall(
    r"^```yaml\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
)


def test_it_is_valid(tmp_path: Path) -> None:
    (tmp_path / "stack.yaml").write_text(STACK)
    (tmp_path / "vcenter-ca.pem").touch()
    validate(Workspace(tmp_path, environ={}))


@pytest.mark.live
def test_it_makes_a_machine(tmp_path: Path, vcsim_vcenter: Vcsim) -> None:
    pytest.importorskip("pyVmomi")
    text = STACK
    for name, real in (
        ("vcenter.example", vcsim_vcenter.host),
        ("port: 443", f"port: {vcsim_vcenter.port}"),
        ("provisioner@vsphere.local", vcsim_vcenter.user),
        ("Berlin", "DC0"),
        ("Cluster 1", "DC0_C0"),
        ("datastore1", "LocalDS_0"),
    ):
        assert 1 == text.count(name)
        text = text.replace(name, real)
    (tmp_path / "stack.yaml").write_text(text)
    shutil.copy(vcsim_vcenter.ca, tmp_path / "vcenter-ca.pem")

    def run(*arguments: str, code: int = 0) -> str:
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env={**os.environ, "VSPHERE_PASSWORD": vcsim_vcenter.password},
            check=False,
        )
        assert code == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    try:
        # The datastore of the simulator is a folder, so what its manifest says is held.
        assert "2 steps done" in run("apply", "--yes", code=4)
        assert "no steps" in run("plan")
    finally:
        run("destroy", "--yes", "--allow-data-loss", "Disk/web-root")
