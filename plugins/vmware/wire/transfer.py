"""Whole files over HTTP, into datastores and out of them: ``https://SERVER/folder/PATH`` with the
cookie of the session and the TLS context of the client (vSphere Web Services SDK Programming Guide,
"HTTP Access to vSphere Server Files").
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode

from provisioner_plugins.vmware.wire.client import FAULTS, USER_AGENT, Client
from provisioner_plugins.vmware.wire.errors import translate
from provisioner_plugins.vmware.wire.tls import context_of

_CHUNK = 1 << 20
_FINE = range(200, 300)
_GONE = 404


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


class Transfer:
    """Moves files for a client. What goes wrong leaves as Retryable or Terminal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, what: str, place: Place, size: int, chunks: Iterable[bytes]) -> None:
        """Write a file of ``size`` bytes. Of one that fails something may be left."""
        headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
        with self._request(what, "PUT", place, headers) as connection:
            try:
                for chunk in chunks:
                    connection.send(chunk)
            except ConnectionError:
                # An endpoint that will not take it all says so before it hangs up.
                _require_fine(connection.getresponse())
                raise
            _require_fine(connection.getresponse())

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
        try:
            connection = self._connection()
        except FAULTS as problem:
            raise translate(problem, what) from problem
        try:
            connection.putrequest(verb, place.target)
            own = {"Cookie": self._client.cookie, "User-Agent": USER_AGENT}
            for name, value in {**own, **headers}.items():
                connection.putheader(name, value)
            connection.endheaders()
            yield connection
        except FAULTS as problem:
            raise translate(problem, what) from problem
        finally:
            connection.close()

    def _connection(self) -> HTTPConnection:
        endpoint, context = self._client.endpoint, self._client.context
        connection: dict[str, Any] = dict(endpoint.connection)
        return HTTPSConnection(
            connection["server"],
            connection.get("port", 443),
            timeout=self._client.read_seconds,
            context=context_of(endpoint.name, connection, context.root),
        )


def _require_fine(answer: HTTPResponse) -> None:
    if answer.status not in _FINE:
        # The form in which errors.py knows statuses.
        raise HTTPException(f"{answer.status} {answer.reason}")
