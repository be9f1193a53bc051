"""How long calls may take, and waiting so long and no longer for one that may never come back.

Called by :mod:`provisioner.engine.sessions` around whatever is asked of a provider outside of a
step; the executor has the same patience with steps, and the service layer with a revert.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import Any, TypeVar

from provisioner.state.model import EndpointRecord

Answer = TypeVar("Answer")

STEP_SECONDS = 1800.0
"""How long a step may take where a Host says nothing else."""
READ_SECONDS = 600.0
"""How long connecting and an answer may take together, where a Host says nothing else."""
GRACE_SECONDS = 30.0
"""How long beyond its deadline a call is waited for before it is given up."""


def seconds_for_step(endpoint: EndpointRecord, otherwise: float = STEP_SECONDS) -> float:
    """How long a step on an endpoint may take: what its Host says (``limits.stepTimeout``)."""
    return _limit(endpoint, "stepTimeout", otherwise)


def seconds_for_reading(endpoint: EndpointRecord) -> float:
    """How long connecting and an answer may take together (``limits.readTimeout``)."""
    return _limit(endpoint, "readTimeout", READ_SECONDS)


def _limit(endpoint: EndpointRecord, name: str, otherwise: float) -> float:
    milliseconds = endpoint.spec.get("limits", {}).get(name)
    return otherwise if milliseconds is None else float(milliseconds) / 1000


class NoAnswer(Exception):
    """The call did not come back in time. It may still be under way."""


def begun(call: Callable[[], Answer], name: str) -> Future[Answer]:
    """``call`` on a thread of its own of that name, which nothing waits for."""
    future: Future[Answer] = Future()
    threading.Thread(target=_work, args=(call, future), name=name, daemon=True).start()
    return future


def answer_of(call: Callable[[], Answer], seconds: float, name: str) -> Answer:
    """What ``call`` returns or raises; raises :class:`NoAnswer` after so many seconds, and leaves
    the thread behind in which it hangs. ``name`` is that thread's.
    """
    future = begun(call, name)
    try:
        if not wait([future], timeout=seconds).done:
            raise NoAnswer
        return future.result()
    finally:
        # What was raised knows this frame, and the future knows what was raised: a cycle, and all
        # that the frames of the call hold would stay in it.
        del future


def _work(call: Callable[[], Any], future: Future[Any]) -> None:
    try:
        future.set_result(call())
    except BaseException as problem:  # noqa: BLE001 - raised by the thread that waits
        future.set_exception(problem)
    finally:
        del future  # as above
