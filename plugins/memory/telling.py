"""What an endpoint says that does not keep secrets: for tests of what becomes of that.

Used by the session for rules with ``tells`` (:mod:`provisioner_plugins.memory.faults`).
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.values import Secret
from provisioner.providers.api import Endpoint, Memory, SecretResolver, Terminal


class Told:
    """The secrets that an endpoint was told: that of its connection, and those of resources."""

    def __init__(self, endpoint: Endpoint, secrets: SecretResolver, memory: Memory) -> None:
        """Asks for the connection's password; raises Terminal if it is not there."""
        self._secrets = secrets
        self._memory = memory
        self._own = [
            self._resolve(item) for item in _references(endpoint.connection.get("password"))
        ]

    def of(self, spec: Mapping[str, Any]) -> str:
        """All that is known when something is done with a spec, in the forms in which messages of
        others have it. It is remembered for later sessions too, as none should.
        """
        known = [*self._own, *(self._resolve(item) for item in _references(spec))]
        said = "\n".join(form for secret in known for form in _forms(secret.reveal()))
        self._memory.keep("told", said.encode())
        return said

    def _resolve(self, reference: str) -> Secret:
        try:
            return self._secrets.resolve(reference)
        except ProvisionerError as problem:
            raise Terminal(problem.diagnostics[0]) from problem


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "secretRef":
                yield item
            else:
                yield from _references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _references(item)


def _forms(value: str) -> Iterator[str]:
    yield f"got {value} from you"
    yield repr(value)
    yield json.dumps(value)
    yield html.escape(value)
    yield quote(value, safe="")
    yield "Basic " + base64.b64encode(f"admin:{value}".encode()).decode()
    yield "'" + value.replace("'", "'\\''") + "'"
    for number, line in enumerate(value.splitlines(), 1):
        yield f"line {number}: {line}"
