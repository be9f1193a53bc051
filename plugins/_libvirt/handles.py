"""The open handles (virConnect) of one daemon, each lent to one thread at a time.

libvirt 9.0's client can crash the process when several threads use one handle while events, streams
or the end of the connection come in on it. So a thread borrows one for a call and gives it back;
within a block in which it has one, it goes on with that one. What libvirt gave on a handle (a
domain, a volume, a stream) belongs to it, and is used only by whoever has it.

Nobody disconnects: a handle is let go of, and ends with the last object that has it. Called by
:mod:`connection`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import libvirt

from provisioner.providers.api import ProviderError

MOST = 16
"""Handles at once: more than the steps that run at once on an endpoint, unless its author says
otherwise.
"""
PATIENCE_SECONDS = 0.02
"""So long a thread waits for a handle that another one has before it opens one more: most calls are
shorter, and connecting (ssh, TLS) takes longer.
"""
IDLE_SECONDS = 30.0
"""A handle that nobody needed for so long is let go of, but for the last one."""
_LONGEST_WAIT_SECONDS = 600.0
_ALIVE_SECONDS = 0.1


class Lease:
    """A handle in somebody's hands. ``handle`` is None once it was let go of."""

    __slots__ = ("counts", "handle", "is_lost", "is_out", "seen_alive", "since")

    def __init__(self, handle: Any, now: float) -> None:
        self.handle = handle
        self.counts = False
        """Whether it is one of those that there may be at once."""
        self.is_lost = False
        self.is_out = False
        """Whether it was taken out, see :meth:`Handles.take_out`."""
        self.since = now
        """When it was given back."""
        self.seen_alive = now

    def drop(self) -> Any:
        """Let go of the handle; returns it, so that it ends where the caller lets it."""
        handle, self.handle = self.handle, None
        return handle


class _Mine(threading.local):
    """What the thread has, the newest last; and what it had last, whose objects it may have."""

    def __init__(self) -> None:
        self.leases: list[Lease] = []
        self.last: Lease | None = None


class Handles:
    """A pool of handles. Thread-safe."""

    def __init__(
        self,
        opening: Callable[[], Any],
        monotonic: Callable[[], float],
        *,
        closed: Callable[[], ProviderError],
        busy: Callable[[], ProviderError],
        most: int = MOST,
        longest_wait: float = _LONGEST_WAIT_SECONDS,
    ) -> None:
        """``opening`` connects. ``closed`` and ``busy`` make what is raised after :meth:`close`,
        and where ``most`` handles were lent for ``longest_wait`` seconds.
        """
        self._opening = opening
        self._monotonic = monotonic
        self._closed_error = closed
        self._busy_error = busy
        self._most = most
        self._longest_wait = longest_wait
        self._changed = threading.Condition()
        self._idle: list[Lease] = []
        """The one given back last is last."""
        self._count = 0
        """Handles that are idle, lent or being opened, but for those taken out and lost ones."""
        self._is_closed = False
        self._mine = _Mine()

    @contextmanager
    def lent(self, *, wait: bool = True) -> Iterator[Lease]:
        """A block in which the thread has a handle: the one that it has already, if that lives.

        Raises what ``opening``, ``closed`` and ``busy`` make; the last at once where all are lent
        and it is not to ``wait``.
        """
        mine = self._mine
        if mine.leases:
            if self._is_usable(mine.leases[-1]):
                yield mine.leases[-1]
                return
            # All may be lost at once, each in the hands of a thread that needs another one.
            self._discount(mine.leases[-1])
        lease = self._borrow(self._longest_wait if wait else 0.0)
        mine.leases.append(lease)
        mine.last = lease
        try:
            yield lease
        finally:
            mine.leases.remove(lease)
            self._give_back(lease)

    def take_out(self) -> Lease:
        """A handle for something that lasts, such as a stream; until :meth:`put_back` nobody else
        has it, nor does it count.
        """
        dead: list[Any] = []
        with self._changed:
            self._require_open()
            lease = self._idle_one(dead)
            if lease is not None:
                self._discount(lease)
        if lease is None:
            lease = Lease(self._opening(), self._monotonic())
        lease.is_out = True
        return lease

    def put_back(self, lease: Lease) -> None:
        """Give back what was taken out; does nothing the second time."""
        dead: list[Any] = []
        with self._changed:
            if not lease.is_out:
                return
            lease.is_out = False
            if self._is_closed or self._count >= self._most:
                dead.append(lease.drop())
                return
            self._count += 1
            lease.counts = True
        self._give_back(lease)

    def lost(self, lease: Lease) -> None:
        """Note that a connection broke: so have those, as a rule, that nobody uses now."""
        lease.is_lost = True
        with self._changed:
            self._discount(lease)
            dead = self._without_idle()
        del dead

    def close(self) -> None:
        """Lend nothing more; a handle that is lent ends when it is given back."""
        with self._changed:
            self._is_closed = True
            dead = self._without_idle()
        del dead

    # --- borrowing ---

    def _borrow(self, longest_wait: float) -> Lease:
        lease = self._wait_for_one(longest_wait)
        if lease is not None:
            return lease
        try:
            handle = self._opening()
        except BaseException:
            with self._changed:
                self._count -= 1
                self._changed.notify()
            raise
        lease = Lease(handle, self._monotonic())
        lease.counts = True
        del handle
        if self._is_closed:
            self._give_back(lease)
            raise self._closed_error()
        return lease

    def _wait_for_one(self, longest_wait: float) -> Lease | None:
        """An idle handle; None if one more is to be opened, which counts already."""
        dead: list[Any] = []
        began = time.monotonic()
        with self._changed:
            while True:
                self._require_open()
                lease = self._idle_one(dead)
                if lease is not None:
                    return lease
                waited = time.monotonic() - began
                patience = longest_wait
                if self._count < self._most:
                    patience = PATIENCE_SECONDS
                    if not self._count or waited >= patience:
                        self._count += 1
                        return None
                if waited >= patience:
                    raise self._busy_error()
                self._changed.wait(patience - waited)

    def _idle_one(self, dead: list[Any]) -> Lease | None:
        """The thread's last one, if it is idle, else the one that was used last. What does not live
        any more goes to ``dead``, to end outside of the lock.
        """
        last = self._mine.last
        if last is not None and last in self._idle:
            self._idle.remove(last)
            self._idle.append(last)
        while self._idle:
            lease = self._idle.pop()
            if self._is_usable(lease):
                return lease
            self._discount(lease)
            dead.append(lease.drop())
        return None

    def _give_back(self, lease: Lease) -> None:
        dead: list[Any] = []
        with self._changed:
            now = self._monotonic()
            lease.since = now
            if lease.is_lost or self._is_closed:
                self._discount(lease)
                dead.append(lease.drop())
            else:
                self._idle.append(lease)
            while len(self._idle) > 1 and now - self._idle[0].since > IDLE_SECONDS:
                self._discount(self._idle[0])
                dead.append(self._idle.pop(0).drop())
            self._changed.notify()

    def _discount(self, lease: Lease) -> None:
        """Have a handle count no more; once."""
        with self._changed:
            if lease.counts:
                lease.counts = False
                self._count -= 1
                self._changed.notify()

    def _require_open(self) -> None:
        if self._is_closed:
            raise self._closed_error()

    def _without_idle(self) -> list[Any]:
        for lease in self._idle:
            self._discount(lease)
        dead = [lease.drop() for lease in self._idle]
        self._idle.clear()
        self._changed.notify_all()
        return dead

    def _is_usable(self, lease: Lease) -> bool:
        """Whether a handle was alive a moment ago. Asking before every call would cost as much time
        as a short call does; one that is lost since then says so, and is let go of.
        """
        if lease.is_lost:
            return False
        now = self._monotonic()
        if now - lease.seen_alive < _ALIVE_SECONDS:
            return True
        if not is_alive(lease.handle):
            lease.is_lost = True
            return False
        lease.seen_alive = now
        return True


def is_alive(handle: Any) -> bool:
    """Whether a handle is connected, as far as the client knows."""
    try:
        return bool(handle.isAlive())
    except libvirt.libvirtError:
        return False
