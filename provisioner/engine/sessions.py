"""Opens one session per endpoint, at its first use, and closes them all at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from provisioner.core.clock import Clock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.engine.events import EventSink, Noticed, StepProgress
from provisioner.engine.subjects import endpoint_value
from provisioner.providers.api import (
    Context,
    Retryable,
    SecretResolver,
    Session,
    Terminal,
)
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord

OPEN_ATTEMPTS = 3
ASK_ATTEMPTS = 3

Answer = TypeVar("Answer")


class Sessions:
    """The sessions of one operation. Safe to use from several threads; a context manager."""

    def __init__(
        self,
        registry: Registry,
        *,
        root: Path,
        clock: Clock,
        secrets: SecretResolver,
        sink: EventSink,
    ) -> None:
        """``root`` is the stack's folder: what relative paths in specs start from."""
        self._registry = registry
        self._clock = clock
        self._sink = sink
        self._context = Context(
            root,
            clock,
            secrets,
            lambda address, text, done=0, total=0: sink(
                StepProgress(str(address), text, done, total)
            ),
        )
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, Session] = {}

    @property
    def registry(self) -> Registry:
        """Where the providers come from."""
        return self._registry

    @property
    def clock(self) -> Clock:
        """The clock that sessions use."""
        return self._clock

    def notice(self, text: str) -> None:
        """Tell whoever follows the operation something about it."""
        self._sink(Noticed(text))

    def get(self, endpoint: EndpointRecord) -> Session:
        """The session to an endpoint; raises ProvisionerError if it cannot be opened."""
        with self._lock:
            gate = self._opening.setdefault(endpoint.name, threading.Lock())
        with gate:
            session = self._open.get(endpoint.name)
            if session is None:
                session = self._connect(endpoint)
                self._open[endpoint.name] = session
            return session

    def ask(
        self, endpoint: EndpointRecord, question: Callable[[Session], Answer], *, doing: str
    ) -> Answer:
        """Ask an endpoint something that changes nothing there, a few times while it says that it
        may answer later; raises ProvisionerError if it does not.
        """
        waiter = threading.Event()
        attempt = 1
        while True:
            session = self.get(endpoint)
            try:
                return question(session)
            except Retryable as problem:
                if attempt == ASK_ATTEMPTS:
                    raise provider_failure(problem, doing) from problem
                attempt += 1
                self.notice(f"{problem.diagnostic.summary}; trying again in {problem.after:g} s")
                waiter.wait(problem.after)
            except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
                raise provider_failure(problem, doing) from problem

    def _connect(self, endpoint: EndpointRecord) -> Session:
        provider = self._registry.get(endpoint.provider)
        value = endpoint_value(endpoint)
        waiter = threading.Event()
        for attempt in range(1, OPEN_ATTEMPTS + 1):
            try:
                return provider.open(value, self._context)
            except Terminal as problem:
                raise ProvisionerError(
                    problem.diagnostic.about(f"Host/{endpoint.name}")
                ) from problem
            except Retryable as problem:
                if attempt == OPEN_ATTEMPTS:
                    raise ProvisionerError(
                        problem.diagnostic.about(f"Host/{endpoint.name}")
                    ) from problem
                self.notice(f"{problem.diagnostic.summary}; trying again in {problem.after:g} s")
                waiter.wait(problem.after)
            except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
                raise provider_failure(problem, f"connecting to Host/{endpoint.name}") from problem
        raise AssertionError("the loop returns or raises")

    def close(self) -> None:
        """Close every session that was opened."""
        with self._lock:
            sessions, self._open = list(self._open.values()), {}
        for session in sessions:
            # The work is done and recorded; a failing logout changes nothing about it.
            with suppress(Exception):
                session.close()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def provider_failure(problem: Exception, doing: str) -> ProvisionerError:
    """The error to show for anything that left a plugin: its own diagnostic, or PRV5004 for a
    broken contract.
    """
    if isinstance(problem, (Terminal, Retryable)):
        return ProvisionerError(problem.diagnostic)
    if isinstance(problem, ProvisionerError):
        return problem
    return ProvisionerError(
        error(
            "PRV5004",
            f"a provider failed in an unforeseen way while {doing}",
            detail=f"{type(problem).__name__}: {problem}",
            hint="This is a defect of the provider plugin; please report it with the output of "
            "--verbose.",
        )
    )
