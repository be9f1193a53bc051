"""Which process holds a lock, told apart so well that a number used again is never taken for it.

Called by :mod:`provisioner.state.lock`. Linux only (proc(5)); elsewhere no process is ever proven
dead, and a lock that was left is broken by hand.
"""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import NamedTuple

_PROC = Path("/proc")
_ZOMBIE_OR_DEAD = frozenset("ZXx")


class ProcessIdentity(NamedTuple):
    """A process of a machine since a boot. Empty fields and 0 stand for what could not be found
    out.
    """

    host: str
    machine: str
    boot: str
    namespace: str
    pid: int
    started: int
    """Clock ticks after boot: field 22 of ``/proc/PID/stat``."""

    @classmethod
    def current(cls) -> ProcessIdentity:
        """This process."""
        pid = int((_PROC / "self").readlink().name) if (_PROC / "self").exists() else 0
        return cls(
            host=socket.gethostname(),
            machine=_text(Path("/etc/machine-id")),
            boot=_text(_PROC / "sys/kernel/random/boot_id"),
            namespace=_link(_PROC / "self/ns/pid"),
            pid=pid,
            started=_started(pid) or 0,
        )

    def is_proven_dead(self, here: ProcessIdentity) -> bool:
        """Whether the process cannot run any more, as ``here`` (a process on this machine) can
        tell.
        """
        if not self.boot or not here.boot or not self.started:
            return False
        if self.boot != here.boot:
            # The same machine after a restart. Its name alone would not prove it.
            return bool(self.machine) and (self.host, self.machine) == (here.host, here.machine)
        if self.namespace != here.namespace:
            return False
        started = _started(self.pid)
        if started is None and _is_hidden(self.pid):
            return False
        return started != self.started

    def is_proven_alive(self, here: ProcessIdentity) -> bool:
        """Whether the process runs on the machine of ``here``, and can be seen to."""
        if not self.boot or not self.started:
            return False
        same = (self.boot, self.namespace) == (here.boot, here.namespace)
        return same and _started(self.pid) == self.started


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""


def _is_hidden(pid: int) -> bool:
    """Whether there is a process of another user that /proc hides (proc(5), option hidepid)."""
    if os.access(_PROC / str(pid) / "stat", os.R_OK):
        return False
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        pass
    return False


def _started(pid: int) -> int | None:
    """When the process began, in ticks after boot; None if there is none or it has ended."""
    text = _text(_PROC / str(pid) / "stat")
    # The name, in parentheses, may itself hold spaces and parentheses.
    fields = text.rpartition(")")[2].split()
    if len(fields) < 20 or fields[0] in _ZOMBIE_OR_DEAD:
        return None
    return int(fields[19])
