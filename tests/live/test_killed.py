"""A creation that was killed half-way is completed by the next apply, up to the last call."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.live.program import Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(180)]

STACK = """\
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
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: killed}}
spec: {{type: dir, path: "{pool}/killed"}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: killed}}
spec: {{memory: {{size: 64MiB}}, shutdownTimeout: 0s}}
"""

APPLY = """
import os, runpy, signal, sys
import libvirt
kind, method = sys.argv.pop(), sys.argv.pop()
setattr(getattr(libvirt, kind), method, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
sys.argv[1:] = ["apply", "--yes"]
runpy.run_module("provisioner", run_name="__main__")
"""


@pytest.fixture
def stack(libvirt_session: LibvirtDaemon, tmp_path: Path) -> Stack:
    pool = libvirt_session.directory / f"pool-{tmp_path.name}"
    pool.mkdir()
    pool.chmod(0o777)
    return Stack(tmp_path, libvirt_session.uri, pool, STACK)


def killed_at(stack: Stack, kind: str, method: str) -> None:
    """Apply, and die before a method of libvirt's Python binding is called."""
    finished = subprocess.run(
        [sys.executable, "-c", APPLY, method, kind],
        cwd=stack.folder,
        capture_output=True,
        timeout=60,
    )
    assert -signal.SIGKILL == finished.returncode, finished.stderr


def test_a_guest_that_was_defined_and_not_started(stack: Stack) -> None:
    killed_at(stack, "virDomain", "createWithFlags")
    connection = libvirt.open(stack.uri)
    assert not connection.lookupByName("killed").isActive()
    assert ["create VirtualMachine/killed"] == stack.steps()
    stack.run("apply", "--yes")
    assert connection.lookupByName("killed").isActive()
    assert [] == stack.steps()
    connection.close()
    stack.run("destroy", "--yes")


def test_a_pool_that_was_started_and_not_marked_for_the_next_boot(stack: Stack) -> None:
    killed_at(stack, "virStoragePool", "setAutostart")
    stack.run("apply", "--yes")
    connection = libvirt.open(stack.uri)
    assert connection.storagePoolLookupByName("killed").autostart()
    connection.close()
    assert [] == stack.steps()
    stack.run("destroy", "--yes")
