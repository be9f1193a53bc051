"""A private libvirtd for one test, one test worker or one script.

    with LibvirtDaemon(Flavour.SYSTEM) as daemon:
        connection = libvirt.open(daemon.uri)

``Flavour.SESSION`` is an unprivileged daemon: domains, pools, volumes, user-mode NICs; networks can
be defined but not started. ``Flavour.SYSTEM`` needs root and has NAT, isolated and routed networks
with DHCP, in mounts and a network of its own. Any number run side by side, and nothing of them is
left when they stop or when the process that made them dies.
"""

import contextlib
import enum
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab import layout
from tests.lab.reaper import descendants

_CHECKOUT = Path(__file__).resolve().parents[2]
_START_SECONDS = 30.0
_STOP_SECONDS = 30.0


class LabError(Exception):
    """The lab itself failed, not what is tested in it; the text says where and holds the log."""


class Flavour(enum.Enum):
    """Whose daemon it is: an ordinary user's, or the whole machine's."""

    SESSION = enum.auto()
    SYSTEM = enum.auto()


_LAYOUTS = {Flavour.SESSION: layout.session, Flavour.SYSTEM: layout.system}


class LibvirtDaemon:
    """A libvirtd with its own sockets, drivers and guests.

    ``uri`` connects to it from anywhere on this machine. ``directory`` is its own, removed in the
    end; guests can use every file that the caller can. ``kvm``: leave /dev/kvm visible to it, which
    is otherwise hidden so that every machine runs the same tests. ``listeners``: settings of
    libvirtd.conf for TCP and TLS (session flavour only: a system daemon's loopback is its own).
    """

    def __init__(self, flavour: Flavour, *, kvm: bool = False, **listeners: str | int) -> None:
        if listeners and flavour is Flavour.SYSTEM:
            raise ValueError("a system daemon of the lab listens in a network of its own")
        self.flavour = flavour
        self.directory = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        try:
            self._layout = _LAYOUTS[flavour](self.directory, kvm=kvm)
            layout.write_daemon_configuration(self._layout, str(uuid.uuid4()), **listeners)
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        self._arguments = ["--listen"] if listeners else []
        self._log = self.directory / "libvirtd.log"
        self._reaper: subprocess.Popen[str] | None = None
        self._pid: int | None = None

    @property
    def uri(self) -> str:
        """What libvirt.open takes."""
        return self._layout.uri

    @property
    def pid(self) -> int:
        """Process id of libvirtd. Raises LabError when it is not running."""
        if self._pid is None or not _runs(self._pid):
            raise LabError(f"libvirtd is not running\n{self.log_tail()}")
        return self._pid

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Starts libvirtd and returns when it answers; after ``kill`` it finds its guests again.

        Raises LabError if it does not answer within 30 seconds.
        """
        if self._reaper is None:
            self._reaper = self._start_reaper()
        if self._pid is not None and _runs(self._pid):
            raise LabError(f"libvirtd is already running as process {self._pid}")
        argv = ["libvirtd", "-f", str(self._layout.configuration)]
        argv += ["-p", str(self.directory / "libvirtd.pid"), *self._arguments]
        answer = self._ask(
            {"argv": argv, "env": dict(self._layout.environment), "output": str(self._log)}
        )
        self._pid = int(answer["pid"])
        self._wait_until_it_answers(time.monotonic() + _START_SECONDS)

    def stop(self) -> None:
        """Ends libvirtd, all guests and whatever else it started, and removes its directory."""
        reaper, self._reaper, self._pid = self._reaper, None, None
        if reaper is None:
            shutil.rmtree(self.directory, ignore_errors=True)
            return
        assert reaper.stdin is not None
        assert reaper.stdout is not None
        reaper.stdin.close()
        try:
            status = reaper.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            left = descendants(reaper.pid)
            reaper.kill()
            reaper.wait()
            raise LabError(f"the lab daemon did not end; still running: {left}") from None
        finally:
            reaper.stdout.close()
        if status != 0:
            raise LabError(f"the lab daemon ended with status {status}")

    def kill(self) -> None:
        """SIGKILL to libvirtd alone; its guests go on."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """An orderly restart of libvirtd; its guests go on."""
        self._end(signal.SIGTERM)
        self.start()

    def guests(self) -> dict[str, int]:
        """Process ids of the running QEMU guests by the name of their domain."""
        found = {}
        for path in sorted(self._layout.guests.glob("*.pid")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text())
                if _runs(pid) and "qemu-system" in _command(pid):
                    found[path.stem] = pid
        return found

    def processes(self) -> list[int]:
        """Process ids of everything that runs below this daemon, itself included."""
        return [] if self._reaper is None else descendants(self._reaper.pid)

    def log_tail(self, lines: int = 20) -> str:
        """The end of what libvirtd wrote, over all its restarts."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _start_reaper(self) -> "subprocess.Popen[str]":
        self._reaper = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.reaper"],
            cwd=_CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the caller, who ends what is below in good order.
            start_new_session=True,
        )
        isolation = self._layout.isolation._asdict()
        self._ask({"isolation": isolation, "scratch": str(self.directory)})
        return self._reaper

    def _ask(self, request: dict[str, object]) -> dict[str, Any]:
        reaper = self._reaper
        assert reaper is not None
        assert reaper.stdin is not None
        assert reaper.stdout is not None
        reaper.stdin.write(json.dumps(request) + "\n")
        reaper.stdin.flush()
        answer: dict[str, Any] = json.loads(reaper.stdout.readline() or '{"error": "no answer"}')
        if "error" in answer:
            raise LabError(f"the lab daemon could not start: {answer['error']}")
        return answer

    def _wait_until_it_answers(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._pid is None or not _runs(self._pid):
                raise LabError(f"libvirtd ended while starting\n{self.log_tail()}")
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                # Whoever connects is served once the drivers are ready; a socket file of the
                # daemon before this one refuses.
                probe.connect(str(self._layout.socket))
                return
            time.sleep(0.02)
        raise LabError(f"libvirtd did not answer within {_START_SECONDS} s\n{self.log_tail()}")

    def _end(self, number: signal.Signals) -> None:
        pid = self.pid
        os.kill(pid, number)
        deadline = time.monotonic() + _STOP_SECONDS
        while _runs(pid):
            if time.monotonic() > deadline:
                raise LabError(f"libvirtd did not end on {number.name}\n{self.log_tail()}")
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (
            Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        )
    return ""
