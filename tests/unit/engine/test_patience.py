"""What a call that is waited for leaves behind."""

import gc
import threading
import weakref

import pytest

from provisioner.engine.patience import answer_of


class Failure(Exception):
    """What the call fails of."""


def test_nothing_is_left_of_a_failure_that_was_dealt_with() -> None:
    """No cycle holds the failure, its traceback and all that the frames in it hold."""
    threads: list[threading.Thread] = []
    failures: list[weakref.ref[Failure]] = []

    def call() -> None:
        threads.append(threading.current_thread())
        failure = Failure()
        failures.append(weakref.ref(failure))
        try:
            raise failure
        finally:
            del failure

    gc.disable()
    try:
        with pytest.raises(Failure) as caught:
            answer_of(call, 60, "call")
        del caught
        threads[0].join()
        assert [None] == [failure() for failure in failures]
    finally:
        gc.enable()
