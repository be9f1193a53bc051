"""The connection of a session to one libvirt daemon: as many handles as threads use it at once, see
:mod:`handles`, opened when they are needed, and again when they broke.

Made by a provider's ``open``. Every call to the daemon goes through :meth:`Connection.call`,
:meth:`~Connection.read`, :meth:`~Connection.find` or :meth:`~Connection.define`, so that nothing
but Retryable and Terminal leaves the plugin. What libvirt gives in one call (a domain, say) belongs
to the handle of that call: in the next one it is used only within :meth:`~Connection.kept`, or
if the handle is the same one.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

import libvirt

from provisioner.core.address import Address
from provisioner.core.diagnostics import error
from provisioner.providers.api import Context, Endpoint, ProviderError, Retryable, Terminal
from provisioner_plugins._libvirt.credentials import Credentials
from provisioner_plugins._libvirt.errors import (
    BUSY,
    LOST,
    NOT_FOUND,
    TIMEOUT,
    UNTOLD,
    code_of,
    translate,
)
from provisioner_plugins._libvirt.events import start_event_loop
from provisioner_plugins._libvirt.handles import MOST, Handles, Lease, is_alive
from provisioner_plugins._libvirt.uri import target_of
from provisioner_plugins._libvirt.xml import XmlError

T = TypeVar("T")
P = ParamSpec("P")

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
_PARALLEL_REMOTE = 5
"""So many threads read at once over a network, where round trips overlap."""
_WORTH_CONNECTING = 20
"""So many reads take longer over a network than to open one more handle for them, which is a dozen
round trips.
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
        self._secrets = Credentials(endpoint, context)
        steps = int(endpoint.settings.get("limits", {}).get("parallel", 0))
        self._handles = Handles(
            self._open,
            context.clock.monotonic,
            closed=self._closed,
            busy=self._busy,
            most=max(MOST, 2 * steps),
        )
        start_event_loop()
        for diagnostic in self._target.warnings:
            context.warn(diagnostic)
        try:
            with self._handles.lent():
                pass
        except ProviderError:
            self._secrets.clear()
            raise

    @property
    def remote(self) -> bool:
        """Whether the daemon is reached over a network."""
        return self._target.remote

    def helpers(self, reads: int) -> int:
        """How many threads, beside the one that asks, pay off for so many reads, each with a
        handle of its own: over a network the round trips overlap, on a socket nothing is won.
        """
        if not self._target.remote:
            return 0
        return max(0, min(_PARALLEL_REMOTE, reads // _WORTH_CONNECTING) - 1)

    def report(self, text: str) -> None:
        """Tell the person who waits something about the endpoint itself."""
        self.context.progress(Address("Host", self.endpoint.name), text)

    def call(self, what: str, function: Callable[[Any], T]) -> T:
        """Run ``function`` on the open virConnect, once. ``what`` says in messages what is being
        done.

        A lost connection raises Retryable; the next call opens it again.
        """
        with self._handles.lent() as lease:
            return self._run(lease, what, function)

    def help(self, what: str, function: Callable[[Any], T]) -> T:
        """As :meth:`call`, by a thread that another one waits for, which has a handle: where all
        are in use it raises Retryable (PRV5112) at once.
        """
        with self._handles.lent(wait=False) as lease:
            return self._run(lease, what, function)

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """A block in which all calls of this thread have the same handle, unless it breaks, and
        with it all that libvirt gave on it.
        """
        with self._handles.lent():
            yield

    def lasting(self, what: str, function: Callable[[Any], T]) -> tuple[T, Callable[[], None]]:
        """As :meth:`call`, for what goes on after it, such as a stream: nobody else has the handle
        until the function that is returned, too, is called.
        """
        lease = self._handles.take_out()
        try:
            return self._run(lease, what, function), lambda: self._handles.put_back(lease)
        except BaseException:
            self._handles.put_back(lease)
            raise

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
        self._handles.close()
        self._secrets.clear()

    def _run(self, lease: Lease, what: str, function: Callable[[Any], T]) -> T:
        try:
            return function(lease.handle)
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
            raise self._failure(lease, what, problem) from problem

    def _failure(self, lease: Lease, what: str, problem: libvirt.libvirtError) -> ProviderError:
        """What a failed call raises; lets go of the handle if it is lost."""
        failure = translate(problem, what)
        if not _is_lost(failure):
            if is_alive(lease.handle):
                return failure
            failure = _lost(what, problem)
        self._handles.lost(lease)
        return failure

    def _closed(self) -> ProviderError:
        return Terminal(error("PRV5107", f"Host/{self.endpoint.name}: the session is closed"))

    def _busy(self) -> ProviderError:
        what = f"Host/{self.endpoint.name}: connect once more"
        return Retryable(
            error(
                BUSY.code,
                BUSY.summary.format(what=what),
                detail="All connections that one session may have are in use.",
                hint="Lower the parallel steps: limits.parallel of the Host.",
            ),
            5.0,
        )

    def _open(self) -> Any:
        what = f"Host/{self.endpoint.name}: connect to {self.endpoint.connection['uri']}"
        handle = _open_within(
            self._connect_seconds(), what, lambda: self._secrets.open(self._target)
        )
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


class _Connected(Protocol):
    @property
    def _connection(self) -> Connection: ...


C = TypeVar("C", bound=_Connected)


def on_one_handle(method: Callable[Concatenate[C, P], T]) -> Callable[Concatenate[C, P], T]:
    """A method that passes what libvirt gave it in one call on to the next: see
    :meth:`Connection.kept`.
    """

    @wraps(method)
    def keeping(self: C, /, *args: P.args, **kwargs: P.kwargs) -> T:
        with self._connection.kept():
            return method(self, *args, **kwargs)

    return keeping


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
