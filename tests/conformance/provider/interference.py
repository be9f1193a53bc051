"""Loses answers on the way back from a session, for providers whose endpoints cannot be made to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from provisioner.core.diagnostics import error
from provisioner.providers.api import Context, Endpoint, Provider, Retryable, Session

CALLS = ("create", "update", "delete")


class Lossy:
    """A provider like the one it is made of, but that the next call of a kind can lose its answer:
    it is carried out in full, and the caller gets a Retryable.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._lost: set[str] = set()
        self.describe = provider.describe
        self.normalise = provider.normalise
        self.impact = provider.impact

    def lose(self, call: str) -> None:
        """The next ``create``, ``update`` or ``delete`` of any session."""
        self._lost.add(call)

    def open(self, endpoint: Endpoint, context: Context) -> Session:
        """A session whose calls can lose their answers."""
        session = self._provider.open(endpoint, context)
        for call in CALLS:
            setattr(session, call, self._losing(call, getattr(session, call)))
        return session

    def _losing(self, call: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **rest: Any) -> Any:
            result = method(*args, **rest)
            if call in self._lost:
                self._lost.remove(call)
                raise Retryable(error("PRV5999", "the answer was lost on its way"), 0.0)
            return result

        return wrapper
