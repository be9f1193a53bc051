"""Asking a running apply to stop: once after the steps under way, twice at once."""

from __future__ import annotations

import threading
from collections.abc import Callable


class StopSignal:
    """Requests to stop; made by the command line's Ctrl-C, read by the executor. Safe in signal
    handlers.
    """

    def __init__(self) -> None:
        self._requests = 0
        self._listeners: list[Callable[[], None]] = []
        self._lock = threading.RLock()

    def request(self) -> int:
        """Ask to stop; returns how often that has been asked now."""
        with self._lock:
            self._requests += 1
            listeners = list(self._listeners)
        for listener in listeners:
            listener()
        return self._requests

    def on_request(self, listener: Callable[[], None]) -> None:
        """Call ``listener`` at every request."""
        with self._lock:
            self._listeners.append(listener)

    @property
    def stopping(self) -> bool:
        """Whether no further step shall begin."""
        return self._requests >= 1

    @property
    def abandoning(self) -> bool:
        """Whether the steps under way shall not be waited for."""
        return self._requests >= 2
