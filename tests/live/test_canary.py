"""A secret in the user data of a machine on a real daemon reaches the cloud-init disk, and nothing
else: neither what the program writes, nor the daemon's definitions and logs.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.live.program import STACK_AND_HOST, Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

CANARY = "c4n4ryKVM1a2b"

STACK = (
    STACK_AND_HOST
    + """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: seeds}}
spec: {{type: dir, path: "{pool}"}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: web}}
spec:
  power: stopped
  memory: {{size: 64MiB}}
  cloudInit: {{pool: seeds, userData: {{secretRef: "env://USER_DATA"}}}}
"""
)


def holders(*folders: Path) -> list[str]:
    """The suffixes of the files in which the canary is."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return sorted({path.suffix for path in files if CANARY.encode() in path.read_bytes()})


def test_user_data_reach_the_cloud_init_disk_and_nothing_else(
    libvirt_session: LibvirtDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pool = libvirt_session.directory / f"pool-{tmp_path.name}"
    written = [tmp_path / name for name in ("stack", "home", "tmp")]
    for folder in (pool, *written):
        folder.mkdir()
    pool.chmod(0o777)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TMPDIR", str(tmp_path / "tmp"))
    monkeypatch.setenv("USER_DATA", f"#cloud-config\npassword: {CANARY}\n")
    stack = Stack(tmp_path / "stack", libvirt_session.uri, pool, STACK)
    said = [
        stack.run(*command, "--verbose")
        for command in (
            ("plan", "-o", "first.plan"),
            ("apply", "first.plan", "--json"),
            ("plan", "--detailed-exitcode"),
            ("drift", "--json"),
            ("state", "show", "VirtualMachine/web", "--json"),
            ("state", "backup", "state.copy"),
        )
    ]
    assert not any(CANARY in text for text in said)
    assert [".iso"] == holders(*written, libvirt_session.directory)
    stack.run("destroy", "--yes", "--verbose")
    assert [] == holders(*written, libvirt_session.directory)
