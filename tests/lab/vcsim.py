"""A vCenter or an ESXi host for one test, one test worker or one script: govmomi's simulator in the
program of tests/vcsim_host.

    with Vcsim(Options(machines=100)) as vcsim:
        connect(vcsim.host, vcsim.port, vcsim.user, vcsim.password, ca=vcsim.ca)

Nothing of it is left when it stops or when the process that made it dies. What it does not do as a
real vCenter does is listed in docs/providers/vmware.md.
"""

import atexit
import enum
import functools
import json
import shutil
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.lab import certificates, golang
from tests.lab.launcher import LabError, Launcher, end, runs
from tests.lab.namespaces import Isolation
from tests.lab.vcsim_rules import Act, Rule, ask

_START_SECONDS = 120.0
# pyvmomi verifies no certificate of 127.0.0.1, localhost or ::1 unless it is given a context.
_ADDRESS = "127.0.0.2"


class Tls(enum.Enum):
    """How the simulator is reached: a certificate of its own authority, or plain HTTP."""

    VALID = enum.auto()
    EXPIRED = enum.auto()
    WRONG_NAME = enum.auto()
    NONE = enum.auto()


@dataclass(frozen=True)
class Options:
    """What the simulator is and holds; counts are those of main.go's flags of the same names.

    ``session_timeout``: seconds; idle sessions end after one to two times as long. ``delay``:
    seconds for every call. ``users``: who may log in, with passwords; the first is the default.
    """

    esx: bool = False
    api_version: str = "8.0.3.0"
    machines: int = 4
    datacenters: int = 1
    clusters: int = 1
    cluster_hosts: int = 3
    hosts: int = 1
    pools: int = 0
    portgroups: int = 1
    datastores: int = 1
    pods: int = 0
    session_timeout: float = 1800.0
    delay: float = 0.0
    users: tuple[tuple[str, str], ...] = (
        ("administrator@vsphere.local", "lab-password"),
        ("operator@vsphere.local", "lab-password"),
    )
    tls: Tls = Tls.VALID


class Vcsim:
    """The simulator. ``directory`` is its own and removed in the end; ``ca`` is the certificate of
    the authority that a client has to trust."""

    def __init__(self, options: Options | None = None) -> None:
        self.options = options or Options()
        self.directory = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
        self.user, self.password = self.options.users[0]
        self.ca = self.directory / "authority" / "cacert.pem"
        self._launcher: Launcher | None = None
        self._pid: int | None = None
        self._ready: dict[str, Any] = {"url": f"//{_ADDRESS}:0"}
        self._starts = 0
        try:
            self._arguments = [*_flags(self.options), *self._certificate()]
        except BaseException:
            shutil.rmtree(self.directory)
            raise

    @property
    def certificate(self) -> Path:
        """PEM file of the certificate that it shows."""
        return self.ca.parent / "vcsim" / "servercert.pem"

    @property
    def url(self) -> str:
        """Address of the SOAP interface."""
        return str(self._ready["url"])

    @property
    def host(self) -> str:
        """The address that the certificate is for, unless it is a wrong one."""
        return urlsplit(self.url).hostname or _ADDRESS

    @property
    def port(self) -> int:
        """The same after ``kill`` and ``start``."""
        return urlsplit(self.url).port or 0

    @property
    def pid(self) -> int:
        """Process id. Raises LabError when it is not running."""
        if self._pid is None or not self.runs():
            raise LabError(f"vcsim is not running\n{self.log_tail()}")
        return self._pid

    def runs(self) -> bool:
        """Whether it has been started and has not ended."""
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
        """Returns when it answers; after ``kill`` on the same port, with a fresh inventory.

        Raises LabError if it does not answer within two minutes.
        """
        if self.runs():
            raise LabError(f"vcsim is already running as process {self._pid}")
        if self._launcher is None:
            self._launcher = Launcher(Isolation(), self.directory)
        self._starts += 1
        argv = [str(golang.simulator()), "-listen", f"{self.host}:{self.port}", *self._arguments]
        # The files of its datastores go there.
        environment = {"TMPDIR": str(self.directory)}
        self._pid = self._launcher.start(argv, environment, self._log)
        self._wait_until_ready(time.monotonic() + _START_SECONDS)

    def stop(self) -> None:
        """Ends it and removes its directory."""
        launcher, self._launcher, self._pid = self._launcher, None, None
        if launcher is not None:
            launcher.close()
        shutil.rmtree(self.directory, ignore_errors=True)

    def kill(self) -> None:
        """SIGKILL; what it held is lost."""
        end(self.pid, signal.SIGKILL)

    def fault(
        self,
        method: str,
        act: Act,
        *,
        target: str = "",
        user: str = "",
        times: int = 1,
        skip: int = 0,
        status: int = 503,
        seconds: float = 0.0,
        fault: str = "",
        details: Mapping[str, object] | None = None,
        question: str = "",
    ) -> Rule:
        """A rule for calls to come. ``method``: a regular expression for the whole SOAP name, such
        as ``CreateVM_Task``, or for verb and path of other requests. ``target``: only calls of the
        managed object with this id. ``user``: only of sessions of this user. The first ``skip``
        calls go well, the next ``times`` (0: all) do not; of several rules the first is the
        outermost. ``details``: fields of the fault as vSphere's JSON has them; references left
        out are to the object of the call. ``question``: the id of the message that a machine asks.

        Raises LabError if the expression, the action or the fault is none."""
        document: dict[str, object] = {
            "method": method,
            "object": target,
            "user": user,
            "times": times,
            "skip": skip,
            "do": act.value,
            "status": status,
            "seconds": seconds,
            "question": question,
        }
        if fault:
            document["fault"] = {"_typeName": fault, **(details or {})}
        return Rule(self._control, document)

    def release(self) -> int:
        """Has the held tasks do their work; how many there were, when they have ended."""
        return int(ask(self._control, "POST", "/release"))

    def counts(self) -> dict[str, int]:
        """How often each method was called since the start or the last reset; requests that are
        not SOAP by verb and path."""
        return dict(ask(self._control, "GET", "/counts"))

    def reset_counts(self) -> dict[str, int]:
        """The counts, which are 0 from now on."""
        return dict(ask(self._control, "DELETE", "/counts"))

    def sessions(self) -> list[str]:
        """Users of the sessions that are open, REST sessions left out."""
        return sorted(ask(self._control, "GET", "/sessions").values())

    def end_sessions(self, user: str) -> int:
        """Ends all sessions of a user; their number."""
        return int(ask(self._control, "DELETE", f"/sessions/{user}"))

    def log_tail(self, lines: int = 20) -> str:
        """The end of what it wrote since it was started."""
        if not self._log.exists():
            return ""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    @property
    def _control(self) -> str:
        if "control" not in self._ready:
            raise LabError("vcsim has not been started")
        return str(self._ready["control"])

    @property
    def _log(self) -> Path:
        return self.directory / f"vcsim-{self._starts}.log"

    def _certificate(self) -> list[str]:
        tls = self.options.tls
        if tls is Tls.NONE:
            return []
        shutil.copytree(_authority(tls), self.ca.parent)
        key = self.certificate.with_name("serverkey.pem")
        return ["-certificate", str(self.certificate), "-key", str(key)]

    def _wait_until_ready(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            if not self.runs():
                raise LabError(f"vcsim ended while starting\n{self.log_tail()}")
            for line in self._log.read_text(errors="replace").splitlines(keepends=True):
                if line.startswith("{") and line.endswith("\n"):
                    self._ready = json.loads(line)
                    return
            time.sleep(0.02)
        raise LabError(f"vcsim did not answer within {_START_SECONDS} s\n{self.log_tail()}")


@functools.cache
def _authority(tls: Tls) -> Path:
    """The folder of an authority with a certificate of this sort; one for all simulators of a
    process, as making one takes longer than starting a simulator."""
    folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    authority = certificates.make_authority(folder / "authority")
    name = "other.example" if tls is Tls.WRONG_NAME else _ADDRESS
    authority.serving("vcsim", name, expired=tls is Tls.EXPIRED)
    return authority.folder


def unavailable() -> str | None:
    """Why this machine cannot run the simulator, None if it can."""
    if golang.is_built() or golang.toolchain() is not None:
        return None
    return "the vSphere simulator is not built: run scripts/setup, or install Go 1.25 or newer"


def _flags(options: Options) -> list[str]:
    flags = []
    for field in fields(options):
        value, flag = getattr(options, field.name), f"-{field.name.replace('_', '-')}"
        match value:
            case bool():
                flags += [flag] if value else []
            case float():
                flags.append(f"{flag}={value}s")
            case int() | str():
                flags.append(f"{flag}={value}")
    return flags + [f"-user={name}:{password}" for name, password in options.users]
