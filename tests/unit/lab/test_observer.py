"""An observer tells where guests ran, one look after the other, and never passes over a failure."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

import pytest

from tests.lab.observer import Observer

Looks = list[tuple[Mapping[str, int], Mapping[str, int]]]


def observed(*looks: tuple[Mapping[str, int], Mapping[str, int]]) -> Observer:
    """An observer that has made these looks at sites ``a`` and ``b``, and has ended."""
    done = threading.Event()
    at_a, at_b = iter([look[0] for look in looks]), iter([look[1] for look in looks])
    last: Mapping[str, int] = {}

    def following(guests: Iterator[Mapping[str, int]], *, is_last: bool) -> Mapping[str, int]:
        try:
            return next(guests)
        except StopIteration:
            if is_last:
                done.set()
            return last

    observer = Observer(
        {
            "a": lambda: following(at_a, is_last=False),
            "b": lambda: following(at_b, is_last=True),
        }
    )
    observer.__enter__()
    assert done.wait(30)
    observer.__exit__(ValueError, None, None)  # without its own check
    return observer


def test_each_run_of_a_guest_is_one_stay() -> None:
    web, again = {"web": 1, "db": 2}, {"web": 3}
    observer = observed((web, {}), (web, {}), ({}, {}), ({}, again), ({}, again), (web, {}))
    assert ["a", "b", "a"] == observer.places("web")
    assert [("db", "a", 2), ("web", "a", 1)] == [
        (stay.guest, stay.site, stay.pid) for stay in observer.stays[:2]
    ]
    assert observer.stays[0].first < observer.stays[0].last < observer.stays[2].first
    observer.check()


def test_a_guest_at_two_sites_at_once_is_told() -> None:
    observer = observed(({"web": 1}, {}), ({"web": 1}, {"web": 2}), ({}, {"web": 2}))
    with pytest.raises(AssertionError, match=r"web at a: process 1, .*; web at b: process 2, "):
        observer.check()


def test_other_guests_at_both_sites_are_none_of_its_business() -> None:
    observed(({"web": 1}, {"web-drill": 2}), ({"web": 1}, {"web-drill": 2})).check()


def test_an_observer_that_failed_says_so() -> None:
    def fail() -> Mapping[str, int]:
        raise OSError("no such site")

    with pytest.raises(AssertionError, match="ended early") as caught, Observer({"a": fail}):
        pass
    assert "no such site" == str(caught.value.__cause__)
