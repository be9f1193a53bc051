"""A process that replicates and is killed or stopped on the way: ``python -m
tests.live.replicationkilled REPLICA NEAR FAR CALL VERB SIGNAL``.

It sends itself the signal before the program number CALL that it would run on a host. Exit code 0:
it got to the end without, 3: its call was refused, which it wrote on its standard output.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Context, Endpoint, Terminal
from provisioner.providers.capabilities import Replica
from provisioner_plugins.kvm import provider
from provisioner_plugins.kvm.replication.shell import Shell
from provisioner_plugins.kvm.session import KvmSession
from tests.live.handlerbench import NoSecrets

CLOCK = SystemClock()
PROGRAM = (sys.executable, "-m", "tests.live.replicationkilled")


def run_killed(
    folder: Path, replica: Replica, uris: tuple[str, str], call: int, verb: str = "synchronise"
) -> bool:
    """Whether the process got to its end."""
    path = _written(folder, replica)
    argv = [*PROGRAM, path, *uris, str(call), verb, str(int(signal.SIGKILL))]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    return done.returncode == 0


@contextmanager
def stopped(
    folder: Path, replica: Replica, uris: tuple[str, str], call: int
) -> Iterator[Callable[[], str]]:
    """A block in which a synchronisation sleeps as if its host had, or has come to its end; gives
    what wakes it, and returns the code with which it was refused.
    """
    path = _written(folder, replica)
    argv = [*PROGRAM, path, *uris, str(call), "synchronise", str(int(signal.SIGSTOP))]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

        def wake() -> str:
            process.send_signal(signal.SIGCONT)
            said, _ = process.communicate(timeout=60)
            assert process.returncode in (0, 3)
            return said.strip()

        try:
            yield wake
        finally:
            process.kill()


def _written(folder: Path, replica: Replica) -> str:
    path = folder / "replica"
    path.write_bytes(pickle.dumps(replica))
    return str(path)


def _session(uri: str) -> KvmSession:
    context = Context(Path("/"), CLOCK, NoSecrets(), _silent)
    session = provider().open(Endpoint("lab", "kvm", {"uri": uri}), context)
    assert isinstance(session, KvmSession)
    return session


def _silent(address: Address, text: str, done: int = 0, total: int = 0) -> None:
    del address, text, done, total


def _main(path: str, uris: tuple[str, str], call: str, verb: str, sent: str) -> None:
    near, far = uris
    replica = pickle.loads(Path(path).read_bytes())
    original, calls = Shell._finished, 0

    def counted(
        self: Shell, argv: Sequence[str], deadline: Deadline, given: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        nonlocal calls
        calls += 1
        if calls == int(call):
            os.kill(os.getpid(), int(sent))
        return original(self, argv, deadline, given)

    Shell._finished = counted  # type: ignore[method-assign] # in a process of its own
    receiver, deadline = _session(far), Deadline.after(60, CLOCK)
    try:
        if verb == "promote":
            receiver.promote(replica, None, deadline)
        else:
            receiver.synchronise(replica, _session(near), deadline)
    except Terminal as problem:
        sys.stdout.write(f"{problem.diagnostic.code}\n")
        sys.exit(3)


if __name__ == "__main__":
    _main(sys.argv[1], (sys.argv[2], sys.argv[3]), *sys.argv[4:])
