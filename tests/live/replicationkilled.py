"""A process that replicates and is killed on the way: ``python -m tests.live.replicationkilled
REPLICA NEAR FAR CALL VERB``.

It kills itself before the program number CALL that it would run on a host. Exit code 0: it got to
the end without.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Context, Endpoint
from provisioner.providers.capabilities import Replica
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.replication.shell import Shell
from provisioner_plugins.kvm.session import KvmSession
from tests.live.handlerbench import NoSecrets

CLOCK = SystemClock()


def run_killed(
    folder: Path, replica: Replica, uris: tuple[str, str], call: int, verb: str = "synchronise"
) -> bool:
    """Whether the process got to its end."""
    path = folder / "replica"
    path.write_bytes(pickle.dumps(replica))
    argv = [sys.executable, "-m", __name__, str(path), *uris, str(call), verb]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


def _session(uri: str) -> KvmSession:
    context = Context(Path("/"), CLOCK, NoSecrets(), _silent)
    session = provider().open(Endpoint("lab", "kvm", {"uri": uri}), context)
    assert isinstance(session, KvmSession)
    return session


def _silent(address: Address, text: str, done: int = 0, total: int = 0) -> None:
    del address, text, done, total


def _main(path: str, near: str, far: str, call: str, verb: str) -> None:
    replica = pickle.loads(Path(path).read_bytes())
    original, calls = Shell._finished, 0

    def counted(
        self: Shell, argv: Sequence[str], deadline: Deadline, given: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        nonlocal calls
        calls += 1
        if calls == int(call):
            os.kill(os.getpid(), signal.SIGKILL)
        return original(self, argv, deadline, given)

    Shell._finished = counted  # type: ignore[method-assign] # in a process of its own
    receiver, deadline = _session(far), Deadline.after(60, CLOCK)
    if verb == "promote":
        receiver.promote(replica, None, deadline)
    else:
        receiver.synchronise(replica, _session(near), deadline)


if __name__ == "__main__":
    _main(*sys.argv[1:])
