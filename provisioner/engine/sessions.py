"""Opens one session per endpoint, at its first use, asks it what changes nothing, and closes them
all at the end. None of that is waited for without end.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import wait
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeAlias, TypeVar

from provisioner.core.clock import Clock
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error
from provisioner.core.redaction import Redactor
from provisioner.core.sealed import SealedFile
from provisioner.engine.cleaning import cleaning, guarded, trace_of, words_of
from provisioner.engine.events import EventSink, Noticed, StepProgress, Warned
from provisioner.engine.patience import NoAnswer, answer_of, begun, seconds_for_reading
from provisioner.engine.remembering import EndpointMemory
from provisioner.engine.subjects import endpoint_value
from provisioner.providers.api import (
    Context,
    Endpoint,
    Memory,
    NoMemory,
    Provider,
    Retryable,
    SecretResolver,
    Session,
    Terminal,
)
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord

OPEN_ATTEMPTS = 3
ASK_ATTEMPTS = 3
CLOSE_SECONDS = 10.0
"""How long all sessions together may take to close."""

Answer = TypeVar("Answer")
Memories: TypeAlias = Callable[[Endpoint, str], SealedFile]
"""Where an endpoint's sessions, of one version of its provider, keep what they remember."""


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
        redactor: Redactor | None = None,
        memories: Memories | None = None,
        warned: set[Diagnostic] | None = None,
    ) -> None:
        """``root`` is the stack's folder: what relative paths in specs start from. ``redactor``
        learns the ``secrets`` that are resolved. Without ``memories`` sessions remember nothing.
        ``warned``: what providers warned of in this run already; it is added to.
        """
        self._redactor = redactor or Redactor()
        self._registry = registry
        self._clock = clock
        self._sink = sink
        self._context = Context(
            root,
            clock,
            secrets,
            lambda address, text, done=0, total=0: sink(
                StepProgress(str(address), self._redactor.text(text), done, total)
            ),
        )
        self._memories = memories
        self._warned = set() if warned is None else warned
        self._remembering: dict[str, EndpointMemory] = {}
        self._lock = threading.Lock()
        self._opening: dict[str, threading.Lock] = {}
        self._open: dict[str, Session] = {}
        self._hanging: set[str] = set()

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

    def get(self, endpoint: EndpointRecord, given_up: threading.Event | None = None) -> Session:
        """The session to an endpoint; raises ProvisionerError if it cannot be opened. No further
        attempt is made once it is ``given_up``.
        """
        with self._lock:
            gate = self._opening.setdefault(endpoint.name, threading.Lock())
        with gate:
            session = self._open.get(endpoint.name)
            if session is None:
                session = self._connect(endpoint, given_up or threading.Event())
                self._open[endpoint.name] = session
            return session

    def ask(
        self,
        endpoint: EndpointRecord,
        question: Callable[[Session], Answer],
        *,
        doing: str,
        seconds: float | None = None,
        once: bool = False,
    ) -> Answer:
        """Ask an endpoint something that changes nothing there, a few times (or ``once``) while it
        says that it may answer later; raises ProvisionerError if it does not, also within
        ``seconds`` (those of the Host for reading, unless given).
        """
        given_up = threading.Event()
        if once:
            given_up.set()
        allowed = seconds_for_reading(endpoint) if seconds is None else seconds
        try:
            return answer_of(
                lambda: self._ask(endpoint, question, doing, given_up),
                allowed,
                f"ask-{endpoint.name}",
            )
        except NoAnswer as problem:
            self._hanging.add(endpoint.name)
            raise ProvisionerError(
                _no_answer(endpoint, doing, allowed, of_host=seconds is None)
            ) from problem
        finally:
            given_up.set()

    def _ask(
        self,
        endpoint: EndpointRecord,
        question: Callable[[Session], Answer],
        doing: str,
        given_up: threading.Event,
    ) -> Answer:
        attempt = 1
        while True:
            session = self.get(endpoint, given_up)
            try:
                return question(session)
            except Retryable as problem:
                if attempt == ASK_ATTEMPTS or not self._may_try_again(problem, given_up):
                    raise _of_host(endpoint, provider_failure(problem, doing)) from problem
                attempt += 1
            except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
                raise _of_host(endpoint, provider_failure(problem, doing)) from problem

    def _connect(self, endpoint: EndpointRecord, given_up: threading.Event) -> Session:
        provider = self._registry.get(endpoint.provider)
        value = endpoint_value(endpoint)
        context = replace(
            self._context,
            memory=self._memory_of(value, provider),
            warn=lambda warning: self._warn(warning.about(about_host(endpoint.name))),
        )
        doing = f"connecting to {about_host(endpoint.name)}"
        attempt = 1
        while True:
            try:
                with cleaning(self._redactor):
                    return guarded(provider.open(value, context), self._redactor)
            except Retryable as problem:
                if attempt == OPEN_ATTEMPTS or not self._may_try_again(problem, given_up):
                    raise _of_host(endpoint, provider_failure(problem, doing)) from problem
                attempt += 1
            except Exception as problem:  # whatever a plugin raises becomes a diagnostic here
                raise _of_host(endpoint, provider_failure(problem, doing)) from problem

    def _warn(self, warning: Diagnostic) -> None:
        warning = self._redactor.diagnostic(warning)
        with self._lock:
            if warning in self._warned:
                return
            self._warned.add(warning)
        self._sink(Warned(warning))

    def _memory_of(self, endpoint: Endpoint, provider: Provider) -> Memory:
        if self._memories is None:
            return NoMemory()
        file = self._memories(endpoint, provider.describe().version)
        with self._lock:
            return self._remembering.setdefault(endpoint.name, EndpointMemory(file, self._redactor))

    def _may_try_again(self, problem: Retryable, given_up: threading.Event) -> bool:
        """Wait as long as a provider asks for; False as soon as nobody waits for the answer."""
        if given_up.is_set():
            return False
        self.notice(f"{problem.diagnostic.summary}; trying again in {problem.after:g} s")
        return not given_up.wait(problem.after)

    def close(self) -> None:
        """Close every session that was opened, but those that did not answer, and keep what all of
        them remember.
        """
        with self._lock:
            opened, self._open = self._open, {}
            remembering, self._remembering = self._remembering, {}
        # The work is done and recorded; a failing logout changes nothing about it.
        closing = [
            begun(session.close, f"close-{name}")
            for name, session in opened.items()
            if name not in self._hanging
        ]
        wait(closing, timeout=CLOSE_SECONDS)
        for memory in remembering.values():
            memory.save()

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
            detail=words_of(problem),
            hint="This is a defect of the provider plugin; please report it with the output of "
            "--verbose.",
            trace=trace_of(problem),
        )
    )


def about_host(name: str) -> str:
    """What a diagnostic about an endpoint has as its address."""
    return f"Host/{name}"


def is_about_host(problem: Diagnostic) -> bool:
    """Whether a diagnostic is about an endpoint as a whole."""
    return (problem.address or "").startswith(about_host(""))


def _of_host(endpoint: EndpointRecord, failure: ProvisionerError) -> ProvisionerError:
    """The failure as one of the whole endpoint, where it names no resource."""
    host = about_host(endpoint.name)
    return ProvisionerError([item.about(host) for item in failure.diagnostics])


def _no_answer(
    endpoint: EndpointRecord, doing: str, seconds: float, *, of_host: bool
) -> Diagnostic:
    raised = " If it only takes longer, raise limits.readTimeout in its manifest."
    return error(
        "PRV3003",
        f"Host/{endpoint.name}: no answer after {seconds:g} s while {doing}",
        detail="Nothing was changed by that. What a host does not tell is neither absent nor "
        "present, so nothing is planned for it.",
        hint="Look at the host, or leave out what is on it with --exclude."
        + (raised if of_host else ""),
        address=about_host(endpoint.name),
    )
