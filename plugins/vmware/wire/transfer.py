"""Whole files over HTTP, into datastores and out of them: ``https://SERVER/folder/PATH`` with the
cookie of the session and the TLS context of the client (vSphere Web Services SDK Programming Guide,
"HTTP Access to vSphere Server Files"); and into machines that are being imported, to where their
lease says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.wire.client import FAULTS, USER_AGENT, Client
from provisioner_plugins.vmware.wire.errors import UNTRUSTED, translate
from provisioner_plugins.vmware.wire.tls import context_beside, context_of

_CHUNK = 1 << 20
_FINE = range(200, 300)
_GONE = 404
_FILE = {"Content-Type": "application/octet-stream", "Overwrite": "t"}
_DISK = {"Content-Type": "application/x-vnd.vmware-streamVmdk"}
"""How the two are told apart (VMware, OVF Tool; a lease says nothing of it)."""


@dataclass(frozen=True, slots=True)
class Place:
    """A file: the inventory path of its datacenter, the name of its datastore, its path there."""

    datacenter: str
    datastore: str
    path: str

    @property
    def target(self) -> str:
        """Path and query of its URL."""
        query = urlencode({"dcPath": self.datacenter.strip("/"), "dsName": self.datastore})
        return f"/folder/{quote(self.path)}?{query}"


@dataclass(frozen=True, slots=True)
class Leased:
    """Where a file of a machine that is being imported goes: the URL that its lease has given out,
    and the SHA-1 thumbprint of the certificate there, as the endpoint tells it. ``replaces``: the
    whole file is new there; else it is the content of a disk.
    """

    url: str
    thumbprint: str
    replaces: bool


class Transfer:
    """Moves files for a client. What goes wrong leaves as Retryable or Terminal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, what: str, place: Place, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file of ``size`` bytes. Of one that fails something may be left."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._request(what, "PUT", place, headers) as connection:
            _send(connection, chunks)

    def give(self, what: str, leased: Leased, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file of a machine that is being imported. The cookie of the session is not for
        whoever takes it.
        """
        verb, more = ("PUT", _FILE) if leased.replaces else ("POST", _DISK)
        with self._opened(what, partial(self._at, what, leased)) as connection:
            target = urlsplit(leased.url)
            headers = {"Content-Length": str(size), "User-Agent": USER_AGENT, **more}
            query = f"?{target.query}" if target.query else ""
            _begin(connection, verb, f"{target.path}{query}", headers)
            _send(connection, chunks)

    def size(self, what: str, place: Place) -> int | None:
        """The bytes of a file; None if it is not there."""
        with self._request(what, "HEAD", place, {}) as connection:
            answer = connection.getresponse()
            if answer.status == _GONE:
                return None
            _require_fine(answer)
            return int(answer.headers.get("Content-Length", 0))

    def get(self, what: str, place: Place) -> Iterator[bytes]:
        """The content of a file."""
        with self._request(what, "GET", place, {}) as connection:
            answer = connection.getresponse()
            _require_fine(answer)
            while chunk := answer.read(_CHUNK):
                yield chunk

    @contextmanager
    def _request(
        self, what: str, verb: str, place: Place, headers: dict[str, str]
    ) -> Iterator[HTTPConnection]:
        with self._opened(what, self._connection) as connection:
            own = {"Cookie": self._client.cookie, "User-Agent": USER_AGENT}
            _begin(connection, verb, place.target, {**own, **headers})
            yield connection

    @contextmanager
    def _opened(self, what: str, connect: Callable[[], HTTPConnection]) -> Iterator[HTTPConnection]:
        try:
            connection = connect()
            try:
                yield connection
            finally:
                connection.close()
        except FAULTS as problem:
            raise translate(problem, what) from problem

    def _connection(self) -> HTTPConnection:
        endpoint, context = self._client.endpoint, self._client.context
        connection: dict[str, Any] = dict(endpoint.connection)
        return HTTPSConnection(
            connection["server"],
            connection.get("port", 443),
            timeout=self._client.read_seconds,
            context=context_of(endpoint.name, connection, context.root),
        )

    def _at(self, what: str, leased: Leased) -> HTTPConnection:
        """The connection to the host that a lease names; ``*`` is the endpoint itself."""
        endpoint, root = self._client.endpoint, self._client.context.root
        connection: dict[str, Any] = dict(endpoint.connection)
        own = (str(connection["server"]).lower(), int(connection.get("port", 443)))
        target = urlsplit(leased.url)
        host = own[0] if target.hostname == "*" else target.hostname or ""
        port = target.port or (own[1] if target.hostname == "*" else 443)
        if target.scheme != "https":
            raise Terminal(_not_safe(what, f"It would go to {leased.url}, without encryption."))
        if (host, port) == own:
            context = context_of(endpoint.name, connection, root)
        elif "fingerprint" in connection.get("tls", {}) and not leased.thumbprint:
            raise Terminal(_not_safe(what, f"The endpoint does not tell that of {host}."))
        else:
            context = context_beside(endpoint.name, connection, root, leased.thumbprint)
        return HTTPSConnection(host, port, timeout=self._client.read_seconds, context=context)


def _begin(connection: HTTPConnection, verb: str, target: str, headers: Mapping[str, str]) -> None:
    connection.putrequest(verb, target)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()


def _send(connection: HTTPConnection, chunks: Iterable[bytes]) -> None:
    try:
        for chunk in chunks:
            connection.send(chunk)
    except ConnectionError:
        # An endpoint that will not take it all says so before it hangs up.
        _require_fine(connection.getresponse())
        raise
    _require_fine(connection.getresponse())


def _not_safe(what: str, found: str) -> Diagnostic:
    return error(
        UNTRUSTED.code,
        f"{what}: the certificate of the host that takes it cannot be verified",
        detail=found,
        hint="Name the file of its certificate authority (connection.tls.caFile) in place of a "
        "fingerprint.",
    )


def _require_fine(answer: HTTPResponse) -> None:
    if answer.status not in _FINE:
        # The form in which errors.py knows statuses.
        raise HTTPException(f"{answer.status} {answer.reason}")
