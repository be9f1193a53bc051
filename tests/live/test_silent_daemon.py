"""A daemon that stops answering in the middle of a question."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lab.daemon import LibvirtDaemon
from tests.live.test_command_line import SECONDS, new_stack

pytestmark = pytest.mark.live

KEEPALIVE = 30
"""Seconds after which libvirt itself would end the call."""
PROGRAM = """
import os, signal, sys
from provisioner.cli.main import main
from provisioner_plugins.kvm.session import KvmSession

observe = KvmSession.observe

def silenced(*arguments):
    os.kill({pid}, signal.SIGSTOP)
    return observe(*arguments)

KvmSession.observe = silenced
sys.exit(main())
"""


def test_the_program_ends_before_libvirt_gives_up(
    libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    """Storage is read on a thread of an executor, for which Python would wait."""
    stack = new_stack(libvirt_session, tmp_path)
    stack.edit("host.yaml", "spec:\n", "spec:\n  limits: {readTimeout: 2s}\n")
    stack.run("apply", "--yes")
    pid = libvirt_session.pid
    began = time.monotonic()
    try:
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM.format(pid=pid), "plan"],
            cwd=stack.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
        )
    finally:
        os.kill(pid, signal.SIGCONT)
    assert (1, True) == (ended.returncode, "PRV3003" in ended.stderr), ended.stderr
    assert time.monotonic() - began < KEEPALIVE
    stack.run("destroy", "--yes")
