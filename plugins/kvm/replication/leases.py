"""Leases at a host: the capability Leases. Called by the session.

Held as a replica is (:mod:`.locks`), by a process of the host that has a file open and ends with
the caller or with the connection, in the folder of :mod:`.private`. Who held it last stands in the
file also afterwards: that is how one whose connection broke learns whether somebody came between.
So leases are seen by all who come to the host as the same user.
"""

from __future__ import annotations

import subprocess
import threading

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Terminal
from provisioner.providers.capabilities import Taken
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins.kvm.replication.locks import (
    ANSWER_SECONDS,
    BEGIN,
    HELD,
    first_line,
    unanswered,
)
from provisioner_plugins.kvm.replication.private import Private
from provisioner_plugins.kvm.replication.shell import NO_SHELL, Shell, ended, shell_of

_LEASE = (
    BEGIN
    + """
command -v flock >/dev/null || { echo none; exit; }
if ! flock --nonblock 9; then
  last=$(head -n 1 -- "$path")
  if [ -z "$3" ] || [ "$3" != "$last" ]; then printf 'busy %s\\n' "$last"; exit 1; fi
  mine "$2"
  flock --wait 10 9 || { printf 'busy %s\\n' "$(head -n 1 -- "$path")"; exit 1; }
elif [ "$3" = "$2" ]; then
  last=$(head -n 1 -- "$path")
  if [ -n "$last" ] && [ "$last" != "$2" ]; then printf 'busy %s\\n' "$last"; exit 1; fi
fi
"""
    + HELD
)


class HostLease:
    """See :class:`provisioner.providers.capabilities.Lease`."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._mutex = threading.Lock()
        self._released = False

    @property
    def process(self) -> int:
        """The number of the process on this machine that holds it, or holds the connection."""
        return self._process.pid

    @property
    def lost(self) -> bool:
        """See :class:`provisioner.providers.capabilities.Lease`."""
        return self._process.poll() is not None

    def release(self) -> None:
        """See :class:`provisioner.providers.capabilities.Lease`."""
        with self._mutex:
            if self._released:
                return
            self._released = True
            assert self._process.stdin is not None
            self._process.stdin.close()
            ended(self._process)


class HostLeases:
    """The leases of one session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._mutex = threading.Lock()
        self._held: list[HostLease] = []

    def hold(
        self,
        name: str,
        holder: str,
        deadline: Deadline,
        *,
        instead_of: str | None = None,
        renews: bool = False,
    ) -> HostLease | Taken | None:
        """See :class:`provisioner.providers.capabilities.Leases`. Raises what :meth:`Shell.run`
        does, and Terminal (PRV5388) for programs of a former holder that do not end.
        """
        try:
            shell = shell_of(self._connection)
        except Terminal as found:
            if found.diagnostic.code == NO_SHELL:
                return None
            raise
        path = f"{Private(shell).base(f'lease {name}', deadline)}.lease"
        out = holder if renews else instead_of or ""
        argv = ("sh", "-euc", _LEASE, "provisioner", path, holder, out)
        process = shell.begun(argv)
        said = first_line(process, min(deadline.remaining(), ANSWER_SECONDS))
        word, _, rest = said.partition(" ")
        if word == "held":
            lease = HostLease(process)
            with self._mutex:
                self._held.append(lease)
            return lease
        is_told = word in ("busy", "stuck", "none")
        problem = None if is_told else unanswered(shell, argv, process)
        ended(process, at_once=True)
        if problem is not None:
            raise problem
        if word == "stuck":
            raise Terminal(_stuck(shell, rest))
        return Taken(rest) if word == "busy" else None

    def close(self) -> None:
        """Give back whatever is held."""
        with self._mutex:
            held, self._held = self._held, []
        for lease in held:
            lease.release()


def _stuck(shell: Shell, processes: str) -> Diagnostic:
    return error(
        "PRV5388",
        f"Host/{shell.host}: programs of the former holder of a lease do not end",
        detail=f"These processes of the host have its file open, and survive SIGKILL: {processes}.",
        hint="Look at them on that host; most often storage gives no answer. Then try again.",
    )
