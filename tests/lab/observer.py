"""Watches where guests run, by the process ids of their QEMUs: an observer of several daemons that
asks none of them. Called by tests of recovery, through ``sites``.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

LOOK_SECONDS = 0.02

# Names of running guests, with the process ids of their QEMUs.
Guests = Mapping[str, int]


@dataclass(slots=True)
class Stay:
    """One run of a guest at a site: ``first`` and ``last`` are when it was seen, in seconds since
    the observer began."""

    site: str
    guest: str
    pid: int
    first: float
    last: float

    def __str__(self) -> str:
        return (
            f"{self.guest} at {self.site}: process {self.pid}, "
            f"{self.first:.2f} s to {self.last:.2f} s"
        )


class Observer:
    """Looks every 20 ms, in a thread, from ``__enter__`` to ``__exit__``. ``sites`` gives the
    guests of each site by its name, such as ``LibvirtDaemon.guests``.

    A guest that several sites know by one name is one guest.
    """

    def __init__(self, sites: Mapping[str, Callable[[], Guests]]) -> None:
        self.stays: list[Stay] = []
        self.looks = 0
        self.longest_gap = 0.0
        """Seconds between two looks, at most: what is shorter can have been missed."""
        self._sites = sites
        self._current: dict[tuple[str, str, int], Stay] = {}
        self._twice: list[str] = []
        self._failure: BaseException | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="observer", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        if kind is None:
            self.check()

    def places(self, guest: str) -> list[str]:
        """The sites at which a guest ran, in the order of its runs."""
        return [stay.site for stay in self.stays if stay.guest == guest]

    def check(self) -> None:
        """Raises AssertionError if a guest was seen at two sites at once, or nothing was seen."""
        if self._failure is not None:
            raise AssertionError("the observer ended early") from self._failure
        assert self.looks > 0, "the observer has not looked"
        assert not self._twice, "\n".join(["ran at two sites at once:", *self._twice])

    def _watch(self) -> None:
        began = last = time.monotonic()
        try:
            while not self._ended.wait(LOOK_SECONDS if self.looks else 0):
                self._look(time.monotonic() - began)
                now = time.monotonic()
                self.looks += 1
                self.longest_gap = max(self.longest_gap, now - last)
                last = now
        except BaseException as problem:  # noqa: BLE001 - told by check, in the thread of the test
            self._failure = problem

    def _look(self, now: float) -> None:
        seen = {
            (site, guest, pid)
            for site, guests in self._sites.items()
            for guest, pid in guests().items()
        }
        for key in self._current.keys() - seen:
            del self._current[key]
        for key in sorted(seen):
            stay = self._current.get(key)
            if stay is None:
                stay = self._current[key] = Stay(*key, first=now, last=now)
                self.stays.append(stay)
                self._twice += [
                    f"{other}; {stay}"
                    for other in self._current.values()
                    if other.guest == stay.guest and other.site != stay.site
                ]
            stay.last = now
