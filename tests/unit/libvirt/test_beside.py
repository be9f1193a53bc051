"""Reading with several handles at once: every object on the handle of the thread that reads it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

pytest.importorskip("libvirt")

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.beside import read_each

NAMES = [f"volume-{number}" for number in range(40)]


class Found(NamedTuple):
    """An object, on the handle of a thread."""

    name: str
    owner: int


def listed(names: list[str]) -> dict[str, Found]:
    return {name: Found(name, threading.get_ident()) for name in names}


class Connection:
    """Has so many helpers; ``opening`` is what a helper goes through before it has a handle."""

    def __init__(self, helpers: int, opening: Callable[[], None] = lambda: None) -> None:
        self._helpers = helpers
        self._opening = opening

    def helpers(self, reads: int) -> int:
        assert len(NAMES) == reads
        return self._helpers

    def help(self, _: str, function: Callable[[Any], Any]) -> Any:
        self._opening()
        return function(None)


def read(item: Found) -> str:
    assert threading.get_ident() == item.owner
    time.sleep(0.001)
    return item.name.upper()


def read_all(connection: Connection, again: list[str] = NAMES) -> list[str | None]:
    shared: Any = connection
    return read_each(shared, read, listed(NAMES), lambda _: listed(again))


UPPER = [name.upper() for name in NAMES]


@pytest.mark.parametrize("helpers", [0, 1, 4])
def test_all_are_read_in_order_each_on_its_own_handle(helpers: int) -> None:
    assert UPPER == read_all(Connection(helpers))


def test_one_that_cannot_connect_is_not_missed() -> None:
    def refuse() -> None:
        raise Terminal(error("PRV9999", "too many clients"))

    assert UPPER == read_all(Connection(3, refuse))


def test_one_that_connects_slowly_holds_nobody_up() -> None:
    ready = threading.Event()

    def wait() -> None:
        ready.wait(10)

    done: list[Any] = []
    connection = Connection(1, wait)
    reading = threading.Thread(target=lambda: done.append(read_all(connection)))
    reading.start()
    time.sleep(0.3)  # all is read by now
    ready.set()
    reading.join(10)
    assert [UPPER] == done


def test_what_a_helper_does_not_find_any_more_is_none() -> None:
    found = read_all(Connection(2), [])
    assert len(NAMES) == len(found)
    assert {*found} <= {*UPPER, None}


def test_what_goes_wrong_in_a_helper_is_raised() -> None:
    me = threading.get_ident()

    def fail(item: Found) -> str:
        time.sleep(0.01)
        if item.owner != me:
            raise Terminal(error("PRV9999", "broken"))
        return item.name

    shared: Any = Connection(2)
    with pytest.raises(Terminal):
        read_each(shared, fail, listed(NAMES), lambda _: listed(NAMES))
