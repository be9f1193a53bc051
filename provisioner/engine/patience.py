"""Waits for a call that may never come back: so many seconds and no longer.

Called by :mod:`provisioner.engine.sessions` around whatever is asked of a provider outside of a
step; the executor has the same patience with steps.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

Answer = TypeVar("Answer")


class NoAnswer(Exception):
    """The call did not come back in time. It may still be under way."""


def answer_of(call: Callable[[], Answer], seconds: float, name: str) -> Answer:
    """What ``call`` returns or raises; raises :class:`NoAnswer` after so many seconds, and leaves
    the thread behind in which it hangs. ``name`` is that thread's.
    """
    future: Future[Answer] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as problem:  # noqa: BLE001 - raised by the thread that waits
            future.set_exception(problem)

    # A daemon: the end of the program waits for every other thread.
    threading.Thread(target=work, name=name, daemon=True).start()
    if not wait([future], timeout=seconds).done:
        raise NoAnswer
    return future.result()
