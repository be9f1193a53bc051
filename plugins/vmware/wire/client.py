"""One session at a vSphere endpoint: logged in once, shared by all threads, logged in again when it
expired, logged out at the end.

Made by a provider's ``open``. Every call goes through :meth:`Client.call` or :meth:`Client.read`,
so that nothing but Retryable and Terminal leaves the plugin. Managed objects keep the stub that
made them, and with it stay usable through every new login.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException
from typing import Any, TypeVar
from xml.parsers.expat import ExpatError

from pyVmomi import SoapStubAdapter, vim, vmodl
from pyVmomi.VmomiSupport import versionMap

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error, warning
from provisioner.providers.api import Context, Endpoint, ProviderError, Retryable, Terminal
from provisioner_plugins.vmware.flavour import FLAVOURS, Flavour
from provisioner_plugins.vmware.wire.errors import EXPIRED, LOST, describe, rule_for, translate
from provisioner_plugins.vmware.wire.tls import context_of
from provisioner_plugins.vmware.wire.whereabouts import bearer_of_rights

T = TypeVar("T")

OLDEST = (7, 0)
"""7.0 is the oldest API that is looked at by the tests."""
USER_AGENT = "provisioner"
_FIRST_VERSION = "vim25/6.5"
"""Spoken until the endpoint has said which version it has."""
_READ_SECONDS = 120.0
ATTEMPTS = 3
IDLE_SECONDS = 20
"""A connection that was not used for longer is not used again: endpoints and proxies drop idle
ones, and what became of a request that met such an end is not known.
"""
FAULTS = (vmodl.MethodFault, OSError, HTTPException, ExpatError)
"""What a call raises that pyvmomi makes: faults, failures of the transport, answers that end in the
middle.
"""
_UNREADABLE = (KeyError, TypeError, AttributeError)
"""What pyvmomi's parser raises over an answer that it does not know."""


class SessionLostError(Exception):
    """An answer came from a session that is not logged in, and says nothing (see
    :mod:`~provisioner_plugins.vmware.wire.sweep`).
    """


class Client:
    """A logged-in session. Thread-safe."""

    def __init__(self, endpoint: Endpoint, context: Context, flavour: Flavour) -> None:
        """Connect and log in.

        Raises Terminal or Retryable (PRV5301 unreachable, PRV5302 refused, PRV5303 too old, PRV5305
        not trusted, PRV5309 another sort of endpoint, PRV5310 settings that cannot be used).
        """
        self.endpoint = endpoint
        self.context = context
        self._host = f"Host/{endpoint.name}"
        self._lock = threading.RLock()
        self._closed = False
        self._ends: list[Callable[[], None]] = []
        self._login = 0
        """How often it was logged in; who finds a session lost says which one."""
        self._warn()
        self._stub, self._content = self._connect(flavour)
        try:
            self._log_in()
        except ProviderError:
            self._drop()
            raise

    @property
    def content(self) -> Any:
        """The endpoint's ServiceContent; its managers stay usable through every login."""
        return self._content

    @property
    def instance(self) -> str:
        """What tells this endpoint from every other, whatever it is called."""
        return str(self._content.about.instanceUuid or self.endpoint.connection["server"])

    @property
    def api_version(self) -> str:
        """The version of the endpoint's API, such as ``8.0.3.0``."""
        return str(self._content.about.apiVersion)

    @property
    def cookie(self) -> str:
        """The cookie of the session, for requests beside the API: ``NAME=VALUE``."""
        return str(self._stub.cookie or "").partition(";")[0]

    @property
    def read_seconds(self) -> float:
        """How long to wait for the answer to a request."""
        timeouts = self.endpoint.connection.get("timeouts", {})
        return float(timeouts.get("read", _READ_SECONDS * 1000)) / 1000

    def managed(self, kind: type, moid: str) -> Any:
        """The managed object with this id; whether it is there, nobody asks."""
        return kind(moid, self._stub)

    def password(self) -> str:
        """The password of the connection; raises Terminal if there is no such secret."""
        reference = self.endpoint.connection["password"]["secretRef"]
        try:
            return self.context.secrets.resolve(reference).reveal()
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem

    def end_with(self, end: Callable[[], None]) -> None:
        """Have ``end`` called when the session is closed, before it is logged out."""
        self._ends.append(end)

    def require_open(self) -> None:
        """Raise Terminal (PRV5307) once the session is closed."""
        self._logged_in()

    def report(self, text: str) -> None:
        """Tell the person who waits something about the endpoint itself."""
        self.context.progress(Address("Host", self.endpoint.name), text)

    def call(self, what: str, function: Callable[[Any], T]) -> T:
        """Run ``function`` on the ServiceContent, once. ``what`` says in messages what is being
        done.

        A call that met an expired session did nothing, and is made once more after a new login. A
        lost connection raises Retryable: nobody knows what became of the call.
        """
        login = self._logged_in()
        try:
            return self._attempt(what, function, login)
        except (vim.fault.NotAuthenticated, SessionLostError):
            self._log_in_again(login)
        try:
            return self._attempt(what, function, self._login)
        except (vim.fault.NotAuthenticated, SessionLostError) as problem:
            raise _expired(what) from problem

    def read(self, what: str, function: Callable[[Any], T]) -> T:
        """As :meth:`call`, but ``function`` only reads: after a lost connection or session it is
        run again, and must use nothing that an earlier session gave.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self.call(what, function)
            except Retryable as problem:
                if problem.diagnostic.code not in (LOST.code, EXPIRED.code):
                    raise
        return self.call(what, function)

    def failure_of(self, problem: Exception, what: str) -> ProviderError:
        """The error for what a call or a task failed with."""
        return translate(problem, what, named=self._named)

    def _named(self, managed: Any) -> str | None:
        with suppress(*FAULTS, *_UNREADABLE):
            return bearer_of_rights(self._content, managed)
        return None

    def close(self) -> None:
        """Log out and let go of the connections; may be called twice."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for end in self._ends:
                end()
            # A session that is gone already needs no end.
            with suppress(*FAULTS):
                self._content.sessionManager.Logout()
            self._drop()

    # --- connecting ---

    def _connect(self, flavour: Flavour) -> tuple[Any, Any]:
        what = f"{self._host}: connect to {self.endpoint.connection['server']}"
        stub = self._adapter()
        try:
            content = vim.ServiceInstance("ServiceInstance", stub).RetrieveContent()
            self._check(content.about, flavour)
        except ProviderError:
            stub.DropConnections()
            raise
        except (*FAULTS, *_UNREADABLE) as problem:
            stub.DropConnections()
            if not isinstance(problem, FAULTS) and not _is_of_pyvmomi(problem):
                raise
            raise translate(problem, what, opening=True) from problem
        # The managers that this brought are used through the same stub, in its new version. Of
        # those that are newer than the first one none is used.
        stub.ComputeVersionInfo(versionMap[_version(str(content.about.apiVersion))])
        return stub, content

    def _adapter(self) -> Any:
        connection = self.endpoint.connection
        return SoapStubAdapter(
            connection["server"],
            connection.get("port", 443),
            version=versionMap[_FIRST_VERSION],
            path="/sdk",
            poolSize=int(self.endpoint.settings.get("limits", {}).get("parallel", 8)),
            sslContext=context_of(self.endpoint.name, connection, self.context.root),
            httpConnectionTimeout=self.read_seconds,
            connectionPoolTimeout=IDLE_SECONDS,
            customHeaders={"User-Agent": USER_AGENT},
        )

    def _check(self, about: Any, flavour: Flavour) -> None:
        found = tuple(int(part) for part in str(about.apiVersion).split(".")[:2])
        if about.apiType != flavour.api_type:
            other = next((item for item in FLAVOURS if item.api_type == about.apiType), None)
            raise Terminal(
                error(
                    "PRV5309",
                    f"{self._host}: this is no {flavour.title}",
                    detail=f"It says that it is {about.fullName} ({about.apiType}).",
                    hint=f"Write provider: {other.name}." if other else "Correct the server.",
                    path=("provider",),
                )
            )
        if found < OLDEST:
            raise Terminal(
                error(
                    "PRV5303",
                    f"{self._host}: the endpoint's API is too old",
                    detail=f"It speaks version {about.apiVersion}; at least "
                    f"{'.'.join(map(str, OLDEST))} is needed.",
                    hint="Upgrade it.",
                )
            )

    def _warn(self) -> None:
        connection = self.endpoint.connection
        if connection.get("insecure", False) and "fingerprint" not in connection.get("tls", {}):
            self.context.warn(
                warning(
                    "PRV5306",
                    f"{self._host}: the certificate is not verified",
                    detail="Whoever answers at its address is given the password.",
                    hint="Name the authority that signed it (connection.tls.caFile), or its "
                    "fingerprint (connection.tls.fingerprint), and remove insecure.",
                )
            )

    # --- the session ---

    def _attempt(self, what: str, function: Callable[[Any], T], login: int) -> T:
        try:
            return function(self._content)
        except vim.fault.NotAuthenticated:
            raise
        except FAULTS as problem:
            raise self._failure(problem, what, login) from problem
        except _UNREADABLE as problem:
            if not _is_of_pyvmomi(problem):
                raise
            raise translate(problem, what) from problem

    def _log_in(self) -> None:
        connection = self.endpoint.connection
        what = f"{self._host}: log in as {connection['username']}"
        password = self.password()
        # The cookie of the session that was lost would only bring its loss back.
        self._stub.SetSessionId("")
        try:
            self._content.sessionManager.Login(connection["username"], password)
        except FAULTS as problem:
            raise translate(problem, what, of_connection=True) from problem
        self._login += 1

    def _logged_in(self) -> int:
        if self._closed:
            raise Terminal(error("PRV5307", f"{self._host}: the session is closed"))
        return self._login

    def _log_in_again(self, lost: int) -> None:
        """Unless another thread, which met the same loss, has done so."""
        with self._lock:
            if self._logged_in() == lost:
                self._log_in()

    def _failure(self, problem: Exception, what: str, login: int) -> ProviderError:
        if rule_for(problem) is EXPIRED:
            # HTTP 401: a proxy, or the endpoint before it has looked at the call.
            self._log_in_again(login)
        return self.failure_of(problem, what)

    def _drop(self) -> None:
        self._stub.DropConnections()


def _is_of_pyvmomi(problem: Exception) -> bool:
    """Whether it was raised in pyvmomi's own code, and is no defect of ours."""
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and "pyVmomi" in trace.tb_frame.f_globals.get("__name__", "")


def _expired(what: str) -> Retryable:
    found = describe(EXPIRED, vim.fault.NotAuthenticated(msg="the session is gone again"), what)
    return Retryable(found, EXPIRED.after or 1.0)


def _version(api: str) -> str:
    """pyvmomi's name of the newest version that both know; ``api`` is AboutInfo.apiVersion."""
    wanted = _numbers(api)
    known: dict[tuple[int, ...], str] = {
        _numbers(name.partition("/")[2]): name
        for name in versionMap
        if name.startswith("vim25/") and name.partition("/")[2][0].isdigit()
    }
    return known[max(number for number in known if number <= wanted)]


def _numbers(text: str) -> tuple[int, ...]:
    parts = [int(part) for part in text.split(".") if part.isdecimal()]
    return (*parts, *(0 for _ in range(4 - len(parts))))
