"""A dead endpoint costs one wait."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioner.core.clock import SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.workflows.recovery.actions.silence import SILENCE, Silence, SilentError

DEAD = error("PRV5001", "it cannot be reached", address="Host/a")
UNTOLD = error("PRV5001", "it cannot be looked at", address="VirtualMachine/web")


class Clock(SystemClock):
    seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Endpoint:
    """Counts who asks, and answers when it is let."""

    def __init__(self) -> None:
        self.asked = 0
        self.problem: ProvisionerError | None = None
        self.go_on = threading.Event()

    def __call__(self) -> int:
        self.asked += 1
        assert self.go_on.wait(30)
        if self.problem is not None:
            raise self.problem
        return self.asked


def test_of_many_who_ask_a_dead_endpoint_one_waits_for_it() -> None:
    silence, endpoint = Silence(), Endpoint()
    endpoint.problem = ProvisionerError(DEAD)

    def ask() -> str:
        with pytest.raises(SilentError) as silent:
            silence.ask("a", Clock(), endpoint)
        return str(silent.value)

    with ThreadPoolExecutor(8) as pool:
        asking = [pool.submit(ask) for _ in range(8)]
        endpoint.go_on.set()
    assert {"a did not answer", "it cannot be reached"} == {found.result() for found in asking}
    assert 1 == endpoint.asked


def test_it_is_asked_again_after_a_while() -> None:
    silence, endpoint, clock = Silence(), Endpoint(), Clock()
    endpoint.go_on.set()
    endpoint.problem = ProvisionerError(DEAD)
    with pytest.raises(SilentError):
        silence.ask("a", clock, endpoint)
    clock.seconds = SILENCE
    endpoint.problem = None
    assert 2 == silence.ask("a", clock, endpoint)


def test_those_who_ask_one_that_answers_do_not_wait_for_one_another() -> None:
    silence, quick, slow = Silence(), Endpoint(), Endpoint()
    quick.go_on.set()
    silence.ask("a", Clock(), quick)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(silence.ask, "a", Clock(), slow)
        assert 2 == silence.ask("a", Clock(), quick)
        assert not waiting.done()
        slow.go_on.set()


def test_one_that_answers_and_cannot_tell_is_not_silent() -> None:
    silence, endpoint = Silence(), Endpoint()
    endpoint.go_on.set()
    endpoint.problem = ProvisionerError(UNTOLD)
    with pytest.raises(ProvisionerError):
        silence.ask("a", Clock(), endpoint)
    endpoint.problem = None
    assert 2 == silence.ask("a", Clock(), endpoint)


def test_who_must_not_wait_hears_at_once_and_the_next_one_hears_what_came_of_it() -> None:
    silence, endpoint, clock = Silence(), Endpoint(), Clock()
    endpoint.go_on.set()
    endpoint.problem = ProvisionerError(DEAD)
    with pytest.raises(SilentError):
        silence.ask_unless_silent("a", clock, endpoint)
    clock.seconds = SILENCE
    endpoint.problem = None
    endpoint.go_on.clear()
    for _ in range(3):
        with pytest.raises(SilentError):
            silence.ask_unless_silent("a", clock, endpoint)
    endpoint.go_on.set()
    probes = [thread for thread in threading.enumerate() if thread.name == "probe a"]
    for probe in probes:
        probe.join(30)
    assert 2 == endpoint.asked  # once at first, and once for the three who did not wait
    assert 3 == silence.ask_unless_silent("a", clock, endpoint)


def test_one_that_stays_silent_is_asked_beside_them_after_a_while_only() -> None:
    silence, endpoint, clock = Silence(), Endpoint(), Clock()
    endpoint.go_on.set()
    endpoint.problem = ProvisionerError(DEAD)
    for seconds in (0.0, SILENCE / 2):
        clock.seconds = seconds
        with pytest.raises(SilentError):
            silence.ask_unless_silent("a", clock, endpoint)
    assert 1 == endpoint.asked
