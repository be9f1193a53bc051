"""Programs on a host: on this machine as they are, on others through ssh. Called by :mod:`store`
and :mod:`exports`.

What runs is an argument list, or one of a few fixed scripts of sh whose parameters are arguments;
no script is ever put together.
"""

from __future__ import annotations

import contextlib
import math
import os
import shlex
import signal
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins._libvirt.connection import Connection

NO_SHELL = "PRV5363"
_NOT_FOUND = 127
_SSH_FAILED = 255
_TIMED_OUT = 124
"""What timeout(1) says."""
_PUT_OUT = 75
_GRACE_SECONDS = 15.0
"""Until ssh is ended here, after its program should have been ended there."""
_END_SECONDS = 5.0
_PATIENCE = (
    *("-o", "ConnectTimeout=15"),
    *("-o", "ServerAliveInterval=10"),
    *("-o", "ServerAliveCountMax=3"),
)
"""Seconds after which a host that does not answer is given up."""

# Open before it is read: see locks. A server that outlives the call is known by its key instead.
_UNDER = """
path=$1 us=$2; shift 2
[ -r "$path" ] || exit 75
exec 9<"$path"
[ "$(head -n 1 -- "$path")" = "$us" ] || exit 75
if [ "$1" = qemu-storage-daemon ]; then exec "$@" 9<&-; fi
exec "$@"
"""


@dataclass(frozen=True, slots=True)
class Shell:
    """Where programs run. ``ssh`` is what reaches the host (the program, its options and last the
    host's name), empty for this machine. ``lock``: a file of the host and what has to stand in it,
    or nothing is run; see :mod:`locks`.
    """

    host: str
    ssh: tuple[str, ...] = ()
    lock: tuple[str, str] | None = None

    @property
    def is_here(self) -> bool:
        """Whether that is this machine."""
        return not self.ssh

    def run(self, argv: Sequence[str], deadline: Deadline, given: bytes = b"") -> str:
        """What a program writes on its standard output; ``given`` is its standard input.

        Raises Terminal (PRV5360 it failed, PRV5361 the host does not have it, PRV5386 the lock is
        another one's) and Retryable (PRV5362 out of time or not reached).
        """
        full = argv
        if self.lock is not None:
            full = ("sh", "-euc", _UNDER, "provisioner", *self.lock, *argv)
        found = self._finished(full, deadline, given)
        if found.returncode == 0:
            return found.stdout.decode(errors="replace")
        if self.lock is not None and found.returncode == _PUT_OUT:
            raise Terminal(put_out(self.host))
        raise self.failure(argv, found.returncode, found.stderr)

    def failure(self, argv: Sequence[str], code: int, stderr: bytes) -> Retryable | Terminal:
        """What is raised for a program that ended with an exit code other than 0."""
        said = stderr.decode(errors="replace").strip()
        if code == _NOT_FOUND:
            return Terminal(_missing(self.host, argv[0]))
        if code == _SSH_FAILED and self.ssh:
            return Retryable(_unreached(self.host, said), 5.0)
        return Terminal(
            error(
                "PRV5360",
                f"Host/{self.host}: {argv[0]} failed",
                detail=f"It ended with exit code {code} and said: {said[-600:]}\n"
                f"Called was: {_shown(argv)}",
                hint="Mend what it says on that host, then repeat the command: it goes on where it "
                "was.",
            )
        )

    def late(self, program: str) -> Retryable:
        """What is raised for a program that did not answer in time (PRV5362)."""
        return Retryable(_late(self.host, program), 1.0)

    def script(
        self, text: str, arguments: Sequence[str], deadline: Deadline, given: bytes = b""
    ) -> str:
        """Run a fixed script of sh with arguments ($1, $2, ...); raises as :meth:`run`."""
        return self.run(("sh", "-euc", text, "provisioner", *arguments), deadline, given)

    @contextmanager
    def reached(self, path: str, deadline: Deadline) -> Iterator[str]:
        """A block in which a socket in the host's file system can be connected to at the path that
        this yields: through ssh, and so encrypted, where the host is another one. Raises Retryable
        (PRV5362).
        """
        if not self.ssh:
            yield path
            return
        with tempfile.TemporaryDirectory(prefix="provisioner-") as folder:
            here = Path(folder, "socket")
            forward = ("-N", "-o", "ExitOnForwardFailure=yes", "-L", f"{here}:{path}")
            # Not through the shared connection, which would keep it when this program is gone.
            argv = (
                *self.ssh[:1],
                "-o",
                "ControlPath=none",
                *self.ssh[1:-1],
                *forward,
                self.ssh[-1],
            )
            with subprocess.Popen(  # noqa: S603 - an argument list
                argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
            ) as process:
                try:
                    while not here.exists():
                        if process.poll() is not None or deadline.passed:
                            process.kill()
                            said = process.stderr.read() if process.stderr is not None else b""
                            raise Retryable(
                                _unreached(self.host, said.decode(errors="replace").strip()), 5.0
                            )
                        time.sleep(0.02)
                    yield str(here)
                finally:
                    process.terminate()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(_END_SECONDS)
                    process.kill()

    def begun(self, argv: Sequence[str]) -> subprocess.Popen[bytes]:
        """A program that has been begun, with pipes to its input and from its outputs, of which it
        writes little; see :func:`ended`. No Ctrl-C reaches it.
        """
        return subprocess.Popen(  # noqa: S603 - an argument list
            self._there(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def _there(self, argv: Sequence[str]) -> tuple[str, ...]:
        return (*self.ssh, "--", shlex.join(argv)) if self.ssh else tuple(argv)

    def _finished(
        self, argv: Sequence[str], deadline: Deadline, given: bytes
    ) -> subprocess.CompletedProcess[bytes]:
        seconds = deadline.remaining()
        if self.ssh:
            # Ended there as well: what ends ssh here does not reach it.
            argv = ("timeout", "-k", "5", f"{max(1, math.ceil(seconds))}", *argv)
            seconds += _GRACE_SECONDS
        full = self._there(argv)
        try:
            process = subprocess.Popen(  # noqa: S603 - an argument list, and no shell but ours
                full,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise Terminal(_missing(self.host, full[0])) from None
        with process:
            try:
                out, err = process.communicate(given, timeout=max(0.0, seconds))
            except subprocess.TimeoutExpired:
                _kill(process)
                raise self.late(argv[0]) from None
            except BaseException:
                _kill(process)
                raise
        if self.ssh and process.returncode == _TIMED_OUT:
            raise self.late(argv[4])
        return subprocess.CompletedProcess(full, process.returncode, out, err)


def ended(process: subprocess.Popen[bytes], *, at_once: bool = False) -> None:
    """Return when a program of :meth:`Shell.begun` has ended: by itself within some seconds, since
    its input has, or else killed, with what it has begun here.
    """
    with process:
        if not at_once:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END_SECONDS)
        if process.poll() is None:
            _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End a program and all that it has begun on this machine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def shell_of(connected: Connection) -> Shell:
    """How programs are run on an endpoint's host; raises Terminal (PRV5363) if that is not known.

    ``replication.shell`` of the connection says it, else the URI: what is reached through a socket
    is this machine, and where libvirt goes by ssh, so do programs.
    """
    endpoint = connected.endpoint
    connection = endpoint.connection
    options: Mapping[str, Any] = connection.get("replication", {})
    uri = str(options.get("shell", connection["uri"]))
    parts = urlsplit(uri)
    transport = parts.scheme.partition("+")[2] or ("tls" if parts.netloc else "unix")
    if uri == "local" or (transport == "unix" and parts.scheme != "ssh"):
        return Shell(endpoint.name)
    if parts.scheme == "ssh" or transport == "ssh":
        if parts.hostname and "privateKey" not in connection.get("ssh", {}):
            key = connection.get("ssh", {}).get("keyFile")
            identity = ("-i", str(connected.context.root / key)) if key is not None else ()
            port = ("-p", str(parts.port)) if parts.port is not None else ()
            name = f"{parts.username}@{parts.hostname}" if parts.username else parts.hostname
            argv = ("ssh", "-o", "BatchMode=yes", *_PATIENCE, *_shared(), *port, *identity, name)
            return Shell(endpoint.name, argv)
        found = "The key is a secret that only libvirt is given"
    else:
        found = f"The transport {transport!r} of {connection['uri']} carries libvirt's calls only"
    raise Terminal(
        error(
            NO_SHELL,
            f"Host/{endpoint.name}: programs cannot be run on the host",
            detail=f"{found}; replication needs qemu-img, qemu-nbd and qemu-storage-daemon there.",
            hint="Use qemu+ssh:// with ssh.keyFile or an agent, or say how the host's shell is "
            "reached: replication: {shell: 'ssh://root@kvm1.example'} in the Host's connection.",
            path=("connection", "uri"),
        )
    )


def _shared() -> tuple[str, ...]:
    """Options for one connection in the place of one a program. It ends by itself."""
    folder = Path(f"/tmp/provisioner-ssh-{os.getuid()}")  # noqa: S108 - ours alone, or not used
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    told = folder.lstat()
    if not stat.S_ISDIR(told.st_mode) or told.st_uid != os.getuid() or told.st_mode & 0o077:
        return ()
    options = ("ControlMaster=auto", f"ControlPath={folder}/%C", "ControlPersist=10")
    return tuple(part for option in options for part in ("-o", option))


def put_out(host: str) -> Any:
    """A call goes no further: another one holds the lock."""
    return error(
        "PRV5386",
        f"Host/{host}: another program has taken over the replica",
        detail="A recovery does not wait longer for a synchronisation that is under way. Nothing "
        "more of it is written.",
        hint="See what has become of the machine: 'provisioner dr status'. If it still runs where "
        "it ran, replicate again: 'provisioner replicate run'.",
    )


def _late(host: str, program: str) -> Any:
    return error(
        "PRV5362",
        f"Host/{host}: {program} did not end in time",
        hint="Repeat the command with more time: it goes on where it was.",
    )


def _missing(host: str, program: str) -> Any:
    return error(
        "PRV5361",
        f"Host/{host}: there is no program {program}",
        hint="Install it there; on Debian: qemu-utils and qemu-system-common (openssh-client "
        "here).",
    )


def _unreached(host: str, said: str) -> Any:
    return error(
        "PRV5362",
        f"Host/{host}: its shell cannot be reached",
        detail=f"ssh says: {said[-400:]}",
        hint="Check that 'ssh' to that host works without a password, as the user of the URI.",
    )


def _shown(argv: Sequence[str]) -> str:
    text = shlex.join("SCRIPT" if "\n" in part else part for part in argv)
    return text if len(text) < 500 else f"{text[:500]}..."
