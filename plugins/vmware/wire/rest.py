"""A vCenter's REST API (``https://SERVER/api``), which alone has tags and content libraries; used
by the handlers through :attr:`Site.rest`.

A session of its own, opened by the first call and ended with that of the :class:`Client`, whose
server, user, certificates and timeouts count here, too. What goes wrong leaves as Retryable or
Terminal. Source: vSphere Automation REST API, from version 7.0 Update 2.
"""

from __future__ import annotations

import base64
import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from provisioner.core.clock import Deadline
from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins.vmware.wire.client import (
    ATTEMPTS,
    FAULTS,
    IDLE_SECONDS,
    USER_AGENT,
    Client,
)
from provisioner_plugins.vmware.wire.errors import (
    EXPIRED,
    LOST,
    REFUSED,
    UNSUPPORTED,
    describe,
    translate,
)
from provisioner_plugins.vmware.wire.tasks import too_late
from provisioner_plugins.vmware.wire.tls import context_of
from provisioner_plugins.vmware.wire.vapi import VapiError, error_of

_BASE = "/api"
_SESSION = f"{_BASE}/session"
_HEADER = "vmware-api-session-id"
_FINE = range(200, 300)
_NO_SESSION = 401
_NOT_THERE = 404
_SHORTEST_SECONDS = 1.0


class Rest:
    """The REST API of a client's endpoint. Thread-safe.

    Paths are below ``/api``: ``/cis/tagging/tag``. Bodies and answers are JSON values; what answers
    nothing gives None. ``what`` says in messages what is being done.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._lock = threading.Lock()
        self._of_idle = threading.Lock()
        self._session = ""
        self._logins = 0
        self._idle: list[tuple[float, HTTPConnection]] = []
        client.end_with(self._end)

    # --- calls ---

    def get(self, what: str, path: str, query: Mapping[str, str] | None = None) -> Any:
        """Read something; after a lost connection it is asked for again."""
        return self._read(lambda: self._call(what, "GET", path, query, None))

    def post(
        self,
        what: str,
        path: str,
        body: Any = None,
        query: Mapping[str, str] | None = None,
        *,
        reads: bool = False,
        until: Deadline | None = None,
    ) -> Any:
        """Make or do something, once. ``reads``: it only asks, and may be repeated as ``get``.
        ``until``: the answer comes when it is done, which may take until then; raises Retryable
        (PRV5308) when it has passed.
        """
        if reads:
            return self._read(lambda: self._call(what, "POST", path, query, body))
        return self._call(what, "POST", path, query, body, until=until)

    def patch(self, what: str, path: str, body: Any) -> None:
        """Change something."""
        self._call(what, "PATCH", path, None, body)

    def delete(self, what: str, path: str) -> None:
        """Remove something."""
        self._call(what, "DELETE", path, None, None)

    def upload(self, what: str, url: str, size: int, chunks: Iterable[bytes]) -> None:
        """Put a file of ``size`` bytes where the API said that it goes. Only path and query of the
        URL count: whatever name the endpoint gives itself there, nobody else is sent anything.
        """
        parts = urlsplit(url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        session, login = self._open()
        headers = {
            _HEADER: session,
            "Content-Length": str(size),
            "Content-Type": "application/octet-stream",
        }
        with self._translated(what), closing(self._connection()) as connection:
            _begin(connection, "PUT", target, headers)
            try:
                try:
                    for chunk in chunks:
                        connection.send(chunk)
                except ConnectionError:
                    # An endpoint that will not take it all says so before it hangs up.
                    _answer(connection)
                    raise
                _answer(connection)
            except VapiError as problem:
                if problem.status == _NO_SESSION:
                    # What was sent cannot be sent once more from here; the next attempt can.
                    self._open(instead_of=login)
                raise

    # --- one call ---

    def _read(self, call: Callable[[], Any]) -> Any:
        for _ in range(ATTEMPTS - 1):
            try:
                return call()
            except Retryable as problem:
                if problem.diagnostic.code not in (LOST.code, EXPIRED.code):
                    raise
        return call()

    def _call(
        self,
        what: str,
        verb: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Any,
        *,
        until: Deadline | None = None,
    ) -> Any:
        """One call. What met an expired session did nothing, and is asked for once more."""
        target = _BASE + quote(path, safe="/:")
        if query:
            target += f"?{urlencode(query)}"
        session, login = self._open()
        with self._translated(what):
            try:
                return self._request(verb, target, session, body, until)
            except TimeoutError as problem:
                if until is not None and until.passed:
                    raise too_late(what) from problem
                raise
            except VapiError as problem:
                if problem.status != _NO_SESSION:
                    raise
        session, _ = self._open(instead_of=login)
        with self._translated(what):
            return self._request(verb, target, session, body, until)

    def _request(
        self, verb: str, target: str, session: str, body: Any, until: Deadline | None = None
    ) -> Any:
        headers = {_HEADER: session, "Accept": "application/json"}
        content = b"" if body is None else json.dumps(body).encode()
        if body is not None:
            headers["Content-Type"] = "application/json"
        if body is not None or verb in {"POST", "PATCH"}:
            headers["Content-Length"] = str(len(content))
        with self._connected() as connection:
            _begin(connection, verb, target, headers)
            if content:
                connection.send(content)
            if until is None:
                found = _answer(connection)
            else:
                with _patient(connection, until.remaining()):
                    found = _answer(connection)
        return json.loads(found) if found.strip() else None

    # --- the session ---

    def _open(self, instead_of: int | None = None) -> tuple[str, int]:
        """The session's id and how often was logged in; a new one in place of a lost one, unless
        another thread has made that already.
        """
        self._client.require_open()
        with self._lock:
            if not self._session or instead_of == self._logins:
                self._session = self._log_in()
                self._logins += 1
            return self._session, self._logins

    def _log_in(self) -> str:
        connection = self._client.endpoint.connection
        user = connection["username"]
        what = f"Host/{self._client.endpoint.name}: log in to the REST API as {user}"
        secret = f"{user}:{self._client.password()}"
        headers = {
            "Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}",
            "Content-Length": "0",
        }
        with self._translated(what):
            try:
                with self._connected() as link:
                    _begin(link, "POST", _SESSION, headers)
                    return str(json.loads(_answer(link)))
            except VapiError as problem:
                rule = {_NO_SESSION: REFUSED, _NOT_THERE: UNSUPPORTED}.get(problem.status)
                if rule is None:
                    raise
                raise Terminal(describe(rule, problem, what)) from problem

    def _end(self) -> None:
        """Log out, if anything was logged in."""
        with self._lock:
            session, self._session = self._session, ""
        # A session that is gone already needs no end.
        with suppress(*FAULTS, ValueError):
            if session:
                self._request("DELETE", _SESSION, session, None)
        with self._of_idle:
            idle, self._idle = self._idle, []
        for _, connection in idle:
            connection.close()

    # --- connections ---

    @contextmanager
    def _connected(self) -> Iterator[HTTPConnection]:
        """A connection for one request: kept for the next one, if that went well."""
        connection = self._kept() or self._connection()
        try:
            yield connection
        except VapiError:
            self._keep(connection)
            raise
        except BaseException:
            connection.close()
            raise
        self._keep(connection)

    def _kept(self) -> HTTPConnection | None:
        with self._of_idle:
            while self._idle:
                since, connection = self._idle.pop()
                if self._client.context.clock.monotonic() - since < IDLE_SECONDS:
                    return connection
                connection.close()
        return None

    def _keep(self, connection: HTTPConnection) -> None:
        with self._of_idle:
            self._idle.append((self._client.context.clock.monotonic(), connection))

    def _connection(self) -> HTTPConnection:
        endpoint, context = self._client.endpoint, self._client.context
        connection: dict[str, Any] = dict(endpoint.connection)
        return HTTPSConnection(
            connection["server"],
            connection.get("port", 443),
            timeout=self._client.read_seconds,
            context=context_of(endpoint.name, connection, context.root),
        )

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        try:
            yield
        except (*FAULTS, ValueError) as problem:
            raise translate(problem, what) from problem


def _begin(connection: HTTPConnection, verb: str, target: str, headers: Mapping[str, str]) -> None:
    connection.putrequest(verb, target)
    for name, value in {"User-Agent": USER_AGENT, **headers}.items():
        connection.putheader(name, value)
    connection.endheaders()


@contextmanager
def _patient(connection: HTTPConnection, seconds: float) -> Iterator[None]:
    """A block in which the next answer may take longer than others."""
    link: socket.socket = connection.sock
    usual = link.gettimeout()
    link.settimeout(max(seconds, _SHORTEST_SECONDS))
    try:
        yield
    finally:
        link.settimeout(usual)


def _answer(connection: HTTPConnection) -> bytes:
    """The body of the answer; raises VapiError for one that is no success."""
    answer = connection.getresponse()
    body = answer.read()
    if answer.status not in _FINE:
        raise error_of(answer.status, answer.reason, body)
    return body
