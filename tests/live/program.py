"""The program at work on a real daemon: a stack in one file, commands, and what they answer."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

STACK_AND_HOST = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {{name: shop}}
spec: {{}}
---
apiVersion: provisioner/v1
kind: Host
metadata: {{name: here}}
spec: {{provider: kvm, connection: {{uri: "{uri}"}}, accelerator: tcg}}
---
"""

MANIFESTS = (
    STACK_AND_HOST
    + """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: disks}}
spec: {{type: dir, path: "{pool}"}}
---
apiVersion: provisioner/v1
kind: Image
metadata: {{name: boot}}
spec: {{pool: disks, source: {{file: boot.qcow2}}, format: qcow2}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: root}}
spec: {{pool: disks, image: boot, retention: delete}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: data}}
spec: {{pool: disks, size: 4MiB, format: qcow2, retention: delete}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: web}}
spec:
  memory: {{size: 16MiB}}
  disks: [{{disk: root}}, {{disk: data}}]
  shutdownTimeout: 0s
"""
)


class Stack:
    """The program in a folder with a stack. ``text`` holds its manifests, with ``{uri}`` for the
    daemon and ``{pool}`` for the folder of a pool. Without it there is a machine ``web`` with a
    disk that boots and one for data, and ``boot.qcow2`` has to lie in the folder.
    """

    def __init__(self, folder: Path, uri: str, pool: Path, text: str = MANIFESTS) -> None:
        self.folder = folder
        self.pool = pool
        self.uri = uri
        self.write(text.format(uri=uri, pool=pool))

    def write(self, text: str) -> None:
        """Put other manifests in the place of those there are."""
        (self.folder / "stack.yaml").write_text(text)

    def edit(self, old: str, new: str) -> None:
        """Replace a part of the manifests."""
        text = (self.folder / "stack.yaml").read_text()
        assert old in text
        self.write(text.replace(old, new))

    def run(self, *arguments: str, expect: int = 0) -> str:
        """What it prints; with its errors where it is expected to fail."""
        finished = subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert expect == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout + finished.stderr if expect else finished.stdout

    def plan(self, *options: str) -> dict[str, Any]:
        """The plan as a document."""
        document: dict[str, Any] = json.loads(self.run("plan", "--json", *options))
        return document

    def steps(self, *options: str) -> list[str]:
        """What it would do: ``update VirtualMachine/web``."""
        return [f"{step['action']} {step['id']}" for step in self.plan(*options)["steps"]]

    def volumes(self, name: str) -> list[str]:
        """Files of the pool that are called so, less the digits of their identities."""
        found = (re.sub(r"\.[0-9a-f]{8}\.", ".", path.name) for path in self.pool.iterdir())
        return [file for file in found if file.rpartition(".")[0] == name]

    def wait_for(self, text: str) -> None:
        """Wait until the guest says something."""
        for _ in range(200):
            if text in self.run("console", "web", "--log"):
                return
        pytest.fail(f"the guest has not said {text}")
