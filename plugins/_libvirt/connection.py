"""One connection to one libvirt daemon: opened once, shared by all threads of a session, opened
again when it broke.

Threads may be in the middle of calls on a connection that another one finds broken, or closes:
libvirt would crash if it were freed below them. So nobody disconnects; a handle is let go of, and
ends with the last call that has it.

Made by a provider's ``open``. Every call to the daemon goes through :meth:`Connection.call`,
:meth:`~Connection.read`, :meth:`~Connection.find` or :meth:`~Connection.define`, so that nothing
but Retryable and Terminal leaves the plugin.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import libvirt

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Context, Endpoint, ProviderError, Retryable, Terminal
from provisioner_plugins._libvirt.errors import LOST, NOT_FOUND, TIMEOUT, UNTOLD, code_of, translate
from provisioner_plugins._libvirt.events import start_event_loop
from provisioner_plugins._libvirt.uri import Target, target_of
from provisioner_plugins._libvirt.xml import XmlError

T = TypeVar("T")

OLDEST = 9_000_000
"""9.0.0, as virConnectGetLibVersion counts: major * 1,000,000 + minor * 1,000 + release."""

SLOW_DEFINE_SECONDS = 5.0
_SLOW_DEFINE = (
    "defining it took {seconds:.0f} s instead of milliseconds. The usual cause: the daemon probes "
    "QEMU again at every call, because it can open /dev/kvm but the user that it runs QEMU as "
    'cannot. On the host: chgrp kvm /dev/kvm && chmod 660 /dev/kvm, or user = "root" in '
    "qemu.conf; then restart the daemon."
)

_CONNECT_SECONDS = 15.0
_KEEPALIVE_SECONDS = 5
_KEEPALIVE_COUNT = 6
_READ_ATTEMPTS = 3
_ALIVE_SECONDS = 0.1
_PARALLEL_REMOTE = 5
"""A daemon works on this many requests of one client at once (max_client_requests in
libvirtd.conf).
"""


class Connection:
    """A connection to the daemon of an endpoint. Thread-safe."""

    def __init__(self, endpoint: Endpoint, context: Context, driver: str = "qemu") -> None:
        """Connect; ``driver`` is the URI scheme that the plugin serves.

        Raises Terminal or Retryable (PRV5101 unreachable, PRV5102 refused, PRV5103 too old, PRV5105
        insecure, PRV5108 timed out, PRV5110 settings that cannot be used).
        """
        self.endpoint = endpoint
        self.context = context
        self._target = target_of(endpoint.name, driver, endpoint.connection, context.root)
        self._secrets = _Credentials(endpoint, context)
        self._lock = threading.RLock()
        self._closed = False
        self._handle: Any = None
        self._seen_alive = float("-inf")
        """When the handle was last found alive."""
        start_event_loop()
        for diagnostic in self._target.warnings:
            context.warn(diagnostic)
        try:
            self._alive()
        except ProviderError:
            self._secrets.clear()
            raise

    @property
    def parallel(self) -> int:
        """How many reads at once pay off: over a network the round trips overlap, on a socket
        nothing is won.
        """
        return _PARALLEL_REMOTE if self._target.remote else 1

    def report(self, text: str) -> None:
        """Tell the person who waits something about the endpoint itself."""
        self.context.progress(Address("Host", self.endpoint.name), text)

    def call(self, what: str, function: Callable[[Any], T]) -> T:
        """Run ``function`` on the open virConnect, once. ``what`` says in messages what is being
        done.

        A lost connection raises Retryable; the next call opens it again.
        """
        handle = self._alive()
        try:
            return function(handle)
        except (XmlError, UnicodeDecodeError) as problem:
            said = not_text(problem) if isinstance(problem, UnicodeDecodeError) else problem
            raise Terminal(
                error(
                    "PRV5121",
                    f"{what}: a definition that libvirt gave cannot be read",
                    detail=f"{said}.",
                )
            ) from problem
        except libvirt.libvirtError as problem:
            # Kept in no variable: with its traceback that would be a cycle, and the handle in it.
            raise self._failure(handle, what, problem) from problem

    def read(self, what: str, function: Callable[[Any], T]) -> T:
        """As :meth:`call`, but ``function`` only reads: after a lost connection it is run again on
        a new one, and after an error whose reason was lost, too.

        It must use nothing that an earlier connection gave.
        """
        for _ in range(_READ_ATTEMPTS - 1):
            try:
                return self.call(what, function)
            except Retryable as problem:
                if not _is_lost(problem) and problem.diagnostic.code != UNTOLD.code:
                    raise
        return self.call(what, function)

    def find(self, what: str, function: Callable[[Any], T]) -> T | None:
        """As :meth:`read`; None where the daemon says that there is no such object."""
        try:
            return self.read(what, function)
        except ProviderError as problem:
            if code_of(problem) in NOT_FOUND:
                return None
            raise

    def define(self, what: str, function: Callable[[Any], T]) -> tuple[T, tuple[str, ...]]:
        """As :meth:`call` for defining a domain, with notes for the outcome: why it was slow, if
        it was.
        """
        started = self.context.clock.monotonic()
        result = self.call(what, function)
        seconds = self.context.clock.monotonic() - started
        if seconds < SLOW_DEFINE_SECONDS:
            return result, ()
        return result, (_SLOW_DEFINE.format(seconds=seconds),)

    def close(self) -> None:
        """Disconnect, once the calls under way have ended; may be called twice."""
        with self._lock:
            self._closed = True
            self._handle = None
            self._secrets.clear()

    def _alive(self) -> Any:
        handle = self._handle
        if handle is not None and self._seems_alive(handle):
            return handle
        with self._lock:
            if self._closed:
                raise Terminal(
                    error("PRV5107", f"Host/{self.endpoint.name}: the session is closed")
                )
            if self._handle is None or not _is_alive(self._handle):
                self._handle = None
                self._handle = self._open()
            return self._handle

    def _seems_alive(self, handle: Any) -> bool:
        """Whether the handle was alive a moment ago. Asking before every call would cost as much
        time as a short call does; one that is lost since then says so, and is let go of.
        """
        now = self.context.clock.monotonic()
        if now - self._seen_alive < _ALIVE_SECONDS:
            return True
        if not _is_alive(handle):
            return False
        self._seen_alive = now
        return True

    def _failure(self, handle: Any, what: str, problem: libvirt.libvirtError) -> ProviderError:
        """What a failed call raises; lets go of the handle if it is lost."""
        failure = translate(problem, what)
        if not _is_lost(failure):
            if _is_alive(handle):
                return failure
            failure = _lost(what, problem)
        with self._lock:
            if self._handle is handle:
                self._handle = None
        return failure

    def _open(self) -> Any:
        what = f"Host/{self.endpoint.name}: connect to {self.endpoint.connection['uri']}"
        uri = self._secrets.uri(self._target)
        handle = _open_within(self._connect_seconds(), what, lambda: self._secrets.open(uri))
        try:
            self._check_version(handle)
            self._keep_alive(handle)
        except libvirt.libvirtError as problem:
            _close(handle)
            raise translate(problem, what, opening=True) from problem
        except ProviderError:
            _close(handle)
            raise
        return handle

    def _connect_seconds(self) -> float:
        timeouts = self.endpoint.connection.get("timeouts", {})
        return timeouts["connect"] / 1000 if "connect" in timeouts else _CONNECT_SECONDS

    def _keep_alive(self, handle: Any) -> None:
        keepalive = self.endpoint.connection.get("keepalive", {})
        interval = keepalive.get("interval", _KEEPALIVE_SECONDS * 1000) // 1000
        # A daemon that stops answering ends every call under way with an error instead of a hang.
        handle.setKeepAlive(max(1, interval), keepalive.get("count", _KEEPALIVE_COUNT))

    def _check_version(self, handle: Any) -> None:
        for party, version in (
            ("daemon", handle.getLibVersion()),
            ("client library", libvirt.getVersion()),
        ):
            if version < OLDEST:
                raise Terminal(
                    error(
                        "PRV5103",
                        f"Host/{self.endpoint.name}: libvirt is too old",
                        detail=f"The {party} is version {_version_text(version)}; at least "
                        f"{_version_text(OLDEST)} is needed.",
                        hint="Upgrade libvirt there; Debian 12 and Ubuntu 23.04 have 9.0.",
                    )
                )


class _Credentials:
    """What a connection needs to prove who it is: resolved when first needed, forgotten when
    closed.
    """

    def __init__(self, endpoint: Endpoint, context: Context) -> None:
        self._endpoint = endpoint
        self._context = context
        self._key: int | None = None
        """Descriptor of a file in memory that holds the private key."""
        _check_files(endpoint, context.root)

    def uri(self, target: Target) -> str:
        """The URI with a file in memory for the key, where the Host names a secret that holds
        it.
        """
        private_key = self._endpoint.connection.get("ssh", {}).get("privateKey")
        if private_key is None:
            return target.uri
        if self._key is None:
            # ssh refuses a key file that does not end with a line end.
            self._key = _in_memory(self._reveal(private_key).rstrip("\n") + "\n")
        return target.with_parameter("keyfile", f"/proc/{os.getpid()}/fd/{self._key}")

    def open(self, uri: str) -> Any:
        """Open; answers the daemon's questions for user and password."""
        credentials = self._endpoint.connection.get("credentials", {})
        password = self._reveal(credentials["password"]) if "password" in credentials else None
        username = credentials.get("username")

        def answer(questions: list[list[Any]], _: object) -> int:
            for question in questions:
                asks_name = question[0] in (libvirt.VIR_CRED_USERNAME, libvirt.VIR_CRED_AUTHNAME)
                question[4] = username if asks_name else password
                if question[4] is None:
                    return -1
            return 0

        kinds = [
            libvirt.VIR_CRED_USERNAME,
            libvirt.VIR_CRED_AUTHNAME,
            libvirt.VIR_CRED_PASSPHRASE,
            libvirt.VIR_CRED_NOECHOPROMPT,
        ]
        return libvirt.openAuth(uri, [kinds, answer, None], 0)

    def clear(self) -> None:
        """Forget the key."""
        if self._key is not None:
            os.close(self._key)
            self._key = None

    def _reveal(self, reference: Mapping[str, Any]) -> str:
        try:
            return self._context.secrets.resolve(reference["secretRef"]).reveal()
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem


def _in_memory(text: str) -> int:
    """A file that is on no disk and goes with this process; only this user can open it. The
    program that needs it, as ssh does, finds it below /proc.
    """
    descriptor = os.memfd_create("provisioner-key")
    os.fchmod(descriptor, 0o600)
    with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
        file.write(text)
    return descriptor


def _check_files(endpoint: Endpoint, root: Path) -> None:
    """Name a missing file before libvirt, whose message for it names none."""
    connection = endpoint.connection
    wanted = []
    if "tls" in connection:
        folder = root / connection["tls"]["folder"]
        wanted += [folder / name for name in ("cacert.pem", "clientcert.pem", "clientkey.pem")]
    if "keyFile" in connection.get("ssh", {}):
        wanted.append(root / connection["ssh"]["keyFile"])
    missing = [str(path) for path in wanted if not path.is_file()]
    if missing:
        raise Terminal(
            error(
                "PRV5110",
                f"Host/{endpoint.name}: the connection cannot be used",
                detail=f"There is no file {', '.join(missing)}.",
                hint="Correct the path in the Host's connection, or put the file there.",
            )
        )


def _open_within(seconds: float, what: str, opening: Callable[[], Any]) -> Any:
    """Open in a thread, because libvirt has no time-out for it: an unreachable address can hang
    for minutes.
    """
    result: list[Any] = []
    failure: list[Exception] = []
    done = threading.Event()
    abandoned = threading.Event()

    def work() -> None:
        try:
            handle = opening()
            result.append(handle)
            if abandoned.is_set():
                _close(handle)
        except Exception as problem:  # noqa: BLE001 - raised by the thread that waits
            failure.append(problem)
        finally:
            done.set()

    threading.Thread(target=work, name="libvirt-open", daemon=True).start()
    if not done.wait(seconds):
        abandoned.set()
        raise Retryable(
            error(
                "PRV5108",
                TIMEOUT.summary.format(what=what),
                detail=f"There was no answer within {seconds:g} s.",
                hint="Check the address and the firewall, or raise connection.timeouts.connect.",
            ),
            5.0,
        )
    if failure:
        problem = failure[0]
        if isinstance(problem, libvirt.libvirtError):
            raise translate(problem, what, opening=True) from problem
        raise problem
    return result[0]


def _is_alive(handle: Any) -> bool:
    try:
        return bool(handle.isAlive())
    except libvirt.libvirtError:
        return False


def _close(handle: Any) -> None:
    """Close a handle that nobody else has seen yet."""
    # A connection that broke reports that once more when it is closed.
    with contextlib.suppress(libvirt.libvirtError):
        handle.close()


def not_text(problem: UnicodeDecodeError) -> str:
    """What cannot be read of something that libvirt told and its binding takes for UTF-8: the line
    with the mistake.
    """
    before, after = problem.object[: problem.start], problem.object[problem.start :]
    line = before.rpartition(b"\n")[2] + after.partition(b"\n")[0]
    return f"it is not UTF-8: {line.strip().decode(errors='backslashreplace')}"


def _is_lost(problem: ProviderError) -> bool:
    return isinstance(problem, Retryable) and problem.diagnostic.code == LOST.code


def _lost(what: str, problem: libvirt.libvirtError) -> Retryable:
    detail = f"libvirt says: {problem.get_error_message()}"
    return Retryable(
        error(LOST.code, LOST.summary.format(what=what), detail=detail, hint=LOST.hint), 1.0
    )


def _version_text(version: int) -> str:
    return f"{version // 1_000_000}.{version // 1000 % 1000}.{version % 1000}"
