"""Asking endpoints that may be dead: a dead one costs one short wait, not one for each machine.

Called by :mod:`.powering` where a failover looks whether anything of the old site can still be
seen, and before each start.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from provisioner.core.clock import Clock
from provisioner.core.diagnostics import ProvisionerError
from provisioner.engine.sessions import is_about_host
from provisioner.providers.api import Retryable
from provisioner.workflows.recovery.actions.estate import diagnostic_of

Answer = TypeVar("Answer")

PATIENCE = 10.0
"""Seconds for which an endpoint that is probably dead is waited for: the recovery waits, too."""
SILENCE = 30.0
"""Seconds for which one that gave no answer is not asked again."""


class SilentError(Exception):
    """An endpoint gives no answer; the text says why, as far as that is known."""


class Silence:
    """Which endpoints answer. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._gates: dict[str, threading.Lock] = {}
        self._answering: set[str] = set()
        self._since: dict[str, float] = {}
        self._probed: set[str] = set()

    def ask(self, name: str, clock: Clock, question: Callable[[], Answer]) -> Answer:
        """Ask an endpoint. Raises :class:`SilentError` if it cannot be asked, and what ``question``
        raises if it answers and cannot tell.
        """
        with self._one_at_first(name):
            since = self._since.get(name)
            if since is not None and clock.monotonic() - since < SILENCE:
                raise SilentError(f"{name} did not answer")
            try:
                answer = question()
            except (ProvisionerError, Retryable) as problem:
                told = diagnostic_of(problem)
                if not is_about_host(told):
                    raise
                self._since[name] = clock.monotonic()
                self._answering.discard(name)
                raise SilentError(told.summary) from problem
            self._answering.add(name)
            return answer

    def ask_unless_silent(self, name: str, clock: Clock, question: Callable[[], Answer]) -> Answer:
        """The same for those who must not wait for one that gave no answer before: after a while it
        is asked again beside them, and the next one who wants to know hears of it.
        """
        with self._lock:
            since = self._since.get(name)
            silent = since is not None and name not in self._answering
            overdue = since is not None and clock.monotonic() - since >= SILENCE
            probe = silent and overdue and name not in self._probed
            if probe:
                self._probed.add(name)
        if not silent:
            return self.ask(name, clock, question)
        if probe:
            threading.Thread(
                target=self._probe, args=(name, clock, question), name=f"probe {name}", daemon=True
            ).start()
        raise SilentError(f"{name} did not answer")

    def _probe(self, name: str, clock: Clock, question: Callable[[], object]) -> None:
        try:
            question()
        except (ProvisionerError, Retryable) as problem:
            answers = not is_about_host(diagnostic_of(problem))
        else:
            answers = True
        with self._lock:
            self._probed.discard(name)
            if answers:
                self._since.pop(name, None)
                self._answering.add(name)
            else:
                self._since[name] = clock.monotonic()

    @contextmanager
    def _one_at_first(self, name: str) -> Iterator[None]:
        """While it is not known to answer one asks, and the others wait for what comes of that."""
        if name in self._answering:
            yield
            return
        with self._lock:
            gate = self._gates.setdefault(name, threading.Lock())
        with gate:
            yield
