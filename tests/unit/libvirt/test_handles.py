"""Lending the handles of a daemon: to one thread at a time, as few as do."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from provisioner.core.diagnostics import error
from provisioner.providers.api import ProviderError, Terminal

module = pytest.importorskip("provisioner_plugins._libvirt.handles")


class Handle:
    """Looks like a virConnect."""

    def __init__(self) -> None:
        self.alive = True

    def isAlive(self) -> int:  # noqa: N802 - libvirt's name
        return int(self.alive)


class Daemon:
    """Hands out handles; knows which of them have not ended, and the time."""

    def __init__(self) -> None:
        self.opened = 0
        self.now = 0.0
        self.reachable = True
        self._there: weakref.WeakSet[Handle] = weakref.WeakSet()

    @property
    def connected(self) -> int:
        return len(self._there)

    def open(self) -> Handle:
        if not self.reachable:
            raise ConnectionError
        self.opened += 1
        handle = Handle()
        self._there.add(handle)
        return handle

    def kill(self) -> None:
        for handle in self._there:
            handle.alive = False

    def lending(self, **options: Any) -> Any:
        return module.Handles(
            self.open, lambda: self.now, closed=lambda: said("closed"), busy=said_busy, **options
        )


def said(text: str) -> ProviderError:
    return Terminal(error("PRV9999", text))


def said_busy() -> ProviderError:
    return said("busy")


@pytest.fixture
def daemon() -> Daemon:
    return Daemon()


def aside(work: Callable[[], Any]) -> Any:
    """What ``work`` returns in a thread of its own, which ends."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(work()))
    thread.start()
    thread.join(10)
    (result,) = found
    return result


def identity(handles: Any) -> int:
    with handles.lent() as lease:
        return id(lease.handle)


def test_threads_that_take_turns_use_one_handle(daemon: Daemon) -> None:
    handles = daemon.lending()
    assert 1 == len({identity(handles), *(aside(lambda: identity(handles)) for _ in range(5))})
    assert 1 == daemon.opened


def test_no_two_threads_have_a_handle_at_once(daemon: Daemon) -> None:
    handles = daemon.lending()
    users: dict[int, int] = {}
    clashes: list[int] = []

    def work() -> None:
        for _ in range(200):
            with handles.lent() as lease:
                key = id(lease.handle)
                if users.setdefault(key, threading.get_ident()) != threading.get_ident():
                    clashes.append(key)
                time.sleep(0)
                del users[key]

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert [] == clashes
    assert daemon.opened <= module.MOST


def test_within_a_block_a_thread_goes_on_with_its_handle(daemon: Daemon) -> None:
    handles = daemon.lending()
    with handles.lent() as outer:
        assert id(outer.handle) == identity(handles)
        assert id(outer.handle) != aside(lambda: identity(handles))
        assert id(outer.handle) == identity(handles)


def test_a_thread_gets_the_handle_that_it_had_last(daemon: Daemon) -> None:
    handles = daemon.lending()
    with handles.lent() as mine:
        aside(lambda: identity(handles))
        had = id(mine.handle)
    aside(lambda: identity(handles))
    assert had == identity(handles)
    assert 2 == daemon.opened


def test_a_short_call_is_waited_for_before_one_more_is_opened(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE_SECONDS", 10.0)
    handles = daemon.lending()
    with handles.lent():
        waiting = threading.Thread(target=lambda: identity(handles))
        waiting.start()
        time.sleep(0.05)
    waiting.join(5)
    assert not waiting.is_alive()
    assert 1 == daemon.opened


def test_where_all_are_lent_a_thread_waits_for_its_turn(daemon: Daemon) -> None:
    handles = daemon.lending(most=1)
    got = threading.Event()

    def wait() -> None:
        identity(handles)
        got.set()

    with handles.lent():
        waiting = threading.Thread(target=wait)
        waiting.start()
        assert not got.wait(0.1)
    assert got.wait(5)
    waiting.join(5)
    assert 1 == daemon.opened


def test_nobody_waits_for_ever(daemon: Daemon) -> None:
    handles = daemon.lending(most=1, longest_wait=0.05)

    def refused() -> str:
        with pytest.raises(Terminal) as caught:
            identity(handles)
        return caught.value.diagnostic.summary

    with handles.lent():
        assert "busy" == aside(refused)


def test_who_is_waited_for_does_not_wait(daemon: Daemon) -> None:
    """Or two that help each other would wait for ever."""
    handles = daemon.lending(most=1)

    def refused() -> str:
        with pytest.raises(Terminal) as caught, handles.lent(wait=False):
            pass
        return caught.value.diagnostic.summary

    with handles.lent():
        assert "busy" == aside(refused)
    with handles.lent(wait=False) as lease:
        assert lease.handle.alive


def test_one_that_broke_is_lent_no_more(daemon: Daemon) -> None:
    handles = daemon.lending()
    before = identity(handles)
    daemon.kill()
    daemon.now += 1
    with handles.lent() as lease:
        assert lease.handle.alive
    assert (2, 1) == (daemon.opened, daemon.connected)
    assert before


def test_with_one_that_broke_the_idle_ones_go(daemon: Daemon) -> None:
    """None of them knows yet that the daemon is gone."""
    handles = daemon.lending()
    with handles.lent() as lease:
        aside(lambda: identity(handles))
        assert 2 == daemon.connected
        handles.lost(lease)
        assert 1 == daemon.connected
        assert id(lease.handle) != identity(handles)
    assert 1 == daemon.connected
    assert 3 == daemon.opened


@pytest.mark.parametrize("told", [True, False])
def test_those_that_broke_in_the_hands_of_all_keep_nobody_waiting(
    daemon: Daemon, told: bool
) -> None:
    handles = daemon.lending(most=3, longest_wait=2.0)
    together, alive = threading.Barrier(3), []

    def work() -> None:
        with handles.lent() as lease:
            together.wait(10)
            daemon.kill()
            daemon.now += 1
            together.wait(10)
            if told:
                handles.lost(lease)
            with handles.lent() as other:
                alive.append(other.handle.alive)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert [True, True, True] == alive
    assert aside(lambda: identity(handles))
    assert handles._count == len(handles._idle)


def test_an_opening_that_failed_does_not_count(daemon: Daemon) -> None:
    handles = daemon.lending(most=1, longest_wait=1.0)
    daemon.reachable = False
    for _ in range(3):
        with pytest.raises(ConnectionError):
            identity(handles)
    daemon.reachable = True
    assert identity(handles)


def test_what_was_not_needed_for_a_while_ends(daemon: Daemon) -> None:
    handles = daemon.lending()
    with handles.lent(), handles.lent():
        aside(lambda: identity(handles))
    assert 2 == daemon.connected
    daemon.now += module.IDLE_SECONDS + 1
    identity(handles)
    assert 1 == daemon.connected


def test_closing_ends_those_that_are_idle_and_the_others_when_they_come_back(
    daemon: Daemon,
) -> None:
    handles = daemon.lending()
    with handles.lent() as lease:
        aside(lambda: identity(handles))
        handles.close()
        assert 1 == daemon.connected
        assert lease.handle.alive
    assert 0 == daemon.connected
    with pytest.raises(Terminal) as caught:
        identity(handles)
    assert "closed" == caught.value.diagnostic.summary


def test_what_is_opened_while_it_is_closed_ends(daemon: Daemon) -> None:
    handles = daemon.lending()
    opening = daemon.open

    def slow() -> Handle:
        handles.close()
        return opening()

    handles._opening = slow
    with pytest.raises(Terminal):
        identity(handles)
    assert 0 == daemon.connected


def test_who_waits_learns_that_it_was_closed(daemon: Daemon) -> None:
    handles = daemon.lending(most=1)
    refused = threading.Event()

    def wait() -> None:
        with pytest.raises(Terminal):
            identity(handles)
        refused.set()

    with handles.lent():
        waiting = threading.Thread(target=wait)
        waiting.start()
        time.sleep(0.05)
        handles.close()
        assert refused.wait(5)
    waiting.join(5)


def test_what_is_taken_out_is_nobody_elses_and_does_not_count(daemon: Daemon) -> None:
    handles = daemon.lending(most=1)
    had = identity(handles)
    stream = handles.take_out()
    assert had == id(stream.handle)
    assert had != identity(handles)
    assert 2 == daemon.opened
    handles.put_back(stream)
    # There is one already, and one is enough.
    assert 1 == daemon.connected
    handles.put_back(stream)
    assert 1 == daemon.connected


def test_what_was_taken_out_is_lent_again(daemon: Daemon) -> None:
    handles = daemon.lending()
    stream = handles.take_out()
    had = id(stream.handle)
    handles.put_back(stream)
    handles.put_back(stream)
    with handles.lent() as lease:
        assert had == id(lease.handle)
        assert had != aside(lambda: identity(handles))


def test_what_was_taken_out_outlives_the_session(daemon: Daemon) -> None:
    handles = daemon.lending()
    stream = handles.take_out()
    handles.close()
    assert stream.handle.alive
    handles.put_back(stream)
    assert 0 == daemon.connected
    with pytest.raises(Terminal):
        handles.take_out()
