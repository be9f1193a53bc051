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
import shutil
import signal
import socket
import tempfile
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.lab import capabilities, layout
from tests.lab.launcher import LabError, Launcher, end, runs
from tests.lab.listeners import Listener

_START_SECONDS = 30.0


class Flavour(enum.Enum):
    """Whose daemon it is: an ordinary user's, or the whole machine's."""

    SESSION = enum.auto()
    SYSTEM = enum.auto()


_LAYOUTS = {Flavour.SESSION: layout.session, Flavour.SYSTEM: layout.system}


class LibvirtDaemon:
    """A libvirtd with its own sockets, drivers and guests.

    ``directory`` is its own and removed in the end; guests can use every file that the caller can.
    ``kvm``: leave /dev/kvm accessible, which otherwise is not, so that every machine runs the same
    tests. ``listener``: a TCP or TLS port beside the socket (session flavour only: the loopback of
    a system daemon is in its own network).
    """

    def __init__(
        self, flavour: Flavour, *, kvm: bool = False, listener: Listener | None = None
    ) -> None:
        if listener is not None and flavour is Flavour.SYSTEM:
            raise ValueError("a system daemon of the lab cannot be reached by TCP")
        self.flavour = flavour
        self.directory = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self._launcher: Launcher | None = None
        self._pid: int | None = None
        self._log = self.directory / "libvirtd.log"
        self._capabilities = f"{flavour.name.lower()}-{'kvm' if kvm else 'tcg'}"
        try:
            self._layout = _LAYOUTS[flavour](self.directory, kvm=kvm)
            settings = {} if listener is None else listener.settings
            layout.write_daemon_configuration(self._layout, str(uuid.uuid4()), settings)
            capabilities.restore(self._capabilities, self._layout.capabilities)
        except BaseException:
            shutil.rmtree(self.directory)
            raise
        self._arguments = [] if listener is None else ["--listen"]

    @property
    def uri(self) -> str:
        """What libvirt.open takes, anywhere on this machine."""
        return self._layout.uri

    @property
    def pid(self) -> int:
        """Process id of libvirtd. Raises LabError when it is not running."""
        if self._pid is None or not runs(self._pid):
            raise LabError(f"libvirtd is not running\n{self.log_tail()}")
        return self._pid

    @property
    def is_running(self) -> bool:
        """Whether libvirtd runs now."""
        return self._pid is not None and runs(self._pid)

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
        """Starts libvirtd and returns when it answers; after ``kill`` it finds its guests again,
        after ``cut_power`` there are none.

        Raises LabError if it does not answer within 30 seconds.
        """
        if self._pid is not None and runs(self._pid):
            raise LabError(f"libvirtd is already running as process {self._pid}")
        if self._launcher is None:
            self._launcher = Launcher(self._layout.isolation, self.directory)
        argv = ["libvirtd", "-f", str(self._layout.configuration)]
        argv += ["-p", str(self.directory / "libvirtd.pid"), *self._arguments]
        self._pid = self._launcher.start(argv, self._layout.environment, self._log)
        self._wait_until_it_answers(time.monotonic() + _START_SECONDS)

    def stop(self) -> None:
        """Ends libvirtd, all guests and whatever else it started, and removes its directory."""
        launcher, self._launcher, self._pid = self._launcher, None, None
        if launcher is not None:
            capabilities.save(self._capabilities, self._layout.capabilities)
            launcher.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL to libvirtd alone; its guests go on."""
        end(self.pid, signal.SIGKILL)

    def cut_power(self) -> None:
        """What a power cut does to a machine: libvirtd, its guests and whatever else it started end
        at once, and what was in memory only is gone. ``start`` boots it again, with what starts by
        itself.
        """
        first, launcher = self.pid, self._launcher
        assert launcher is not None
        launcher.cut(first)
        self._launcher = self._pid = None
        for path in self._layout.runtime.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    def restart(self) -> None:
        """An orderly restart of libvirtd; its guests go on."""
        end(self.pid, signal.SIGTERM)
        self.start()

    def guests(self) -> dict[str, int]:
        """Process ids of the running QEMU guests by the name of their domain."""
        found = {}
        for path in sorted(self._layout.guests.glob("*.pid")):
            with contextlib.suppress(OSError, ValueError):
                pid = int(path.read_text())
                # The folder also holds the pid files of other programs, and stale ones.
                if runs(pid) and b"qemu-system" in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found[path.stem] = pid
        return found

    def processes(self) -> list[int]:
        """Process ids of everything that runs below this daemon, itself included."""
        return [] if self._launcher is None else self._launcher.processes()

    def log_tail(self, lines: int = 20) -> str:
        """The end of what libvirtd wrote, over all its restarts."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def _wait_until_it_answers(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if self._pid is None or not runs(self._pid):
                raise LabError(f"libvirtd ended while starting\n{self.log_tail()}")
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
                # Whoever connects is served once the drivers are ready; a socket file that the
                # daemon before this one left behind refuses.
                probe.connect(str(self._layout.socket))
                return
            time.sleep(0.02)
        raise LabError(f"libvirtd did not answer within {_START_SECONDS} s\n{self.log_tail()}")
