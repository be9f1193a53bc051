"""Leases at a host that is reached through ssh: they end with the connection, and are renewed."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from tests.lab import requirements
from tests.lab.daemon import LibvirtDaemon
from tests.lab.ssh import SshServer

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Context, Endpoint, Session  # noqa: E402
from provisioner.providers.capabilities import Lease, Taken  # noqa: E402
from provisioner_plugins.kvm import provider  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

CLOCK, NAME = SystemClock(), "lineage/plan"


@pytest.fixture
def callers(
    libvirt_session: LibvirtDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[list[Session]]:
    """Two callers of one host, with a connection each."""
    reason = requirements.programs_missing("sshd", "ssh", "nc")
    if reason is not None:
        pytest.skip(reason)
    socket = libvirt_session.uri.partition("socket=")[2]
    with SshServer() as server:
        wrapper = tmp_path / "bin" / "ssh"
        wrapper.parent.mkdir()
        known = f"-o UserKnownHostsFile={server.known_hosts} -o GlobalKnownHostsFile=/dev/null"
        # A connection for each program, so that one can break.
        own = "-o ControlPath=none"
        wrapper.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} {own} {known} "$@"\n')
        wrapper.chmod(0o755)
        monkeypatch.setenv("PATH", f"{wrapper.parent}:{os.environ['PATH']}")
        uri = f"qemu+ssh://{server.user}@127.0.0.1:{server.port}/session?socket={socket}"
        there = Endpoint("lab", "kvm", {"uri": uri, "ssh": {"keyFile": str(server.key)}})
        context = Context(tmp_path, CLOCK, machinebench.Secrets(), lambda *_: None)
        made = [provider().open(there, context) for _ in range(2)]
        yield made
        for session in made:
            session.close()


def hold(session: Any, holder: str, **how: Any) -> Lease | Taken:
    found: Lease | Taken = session.hold(NAME, holder, Deadline.after(60, CLOCK), **how)
    return found


def until_lost(lease: Any) -> None:
    never, tries = Event(), 0
    while not lease.lost and tries < 500:
        tries += not never.wait(0.02)
    assert lease.lost


def test_who_is_put_out_hears_of_it_over_there(callers: list[Session]) -> None:
    us, them = callers
    ours = hold(us, "us")
    assert Taken("us") == hold(them, "them")
    assert not isinstance(hold(them, "them", instead_of="us"), Taken)
    until_lost(ours)
    assert Taken("them") == hold(us, "us", renews=True)


def test_a_connection_that_breaks_ends_it_until_it_is_renewed(callers: list[Session]) -> None:
    us, them = callers
    ours: Any = hold(us, "us")
    os.kill(ours.process, signal.SIGKILL)
    until_lost(ours)
    again = hold(us, "us", renews=True)
    assert (False, Taken("us")) == (isinstance(again, Taken), hold(them, "them"))
