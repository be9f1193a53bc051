"""Ctrl-C, typed at a terminal: once it lets the steps under way finish, twice it abandons them, and
before anything was begun it ends the program at once.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.person import Person

CTRL_C = "\x03"
SLOW = {"call": "create", "effect": "delay", "seconds": 2.0, "times": 0}
ENDLESS = {"call": "create", "effect": "delay", "seconds": 300, "times": 0}
SOON = 15.0
"""Seconds in which the program has to have ended, with much room for a busy machine."""

Start = Callable[..., Person]


@pytest.fixture
def start(shop: CommandLine) -> Iterator[Start]:
    """Starts the program at a terminal; it is killed if it outlives the test."""
    people: list[Person] = []

    def begin(*arguments: str) -> Person:
        people.append(Person(shop.root, *arguments))
        return people[-1]

    yield begin
    for person in people:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(person.pid, signal.SIGKILL)
            os.waitpid(person.pid, 0)


def leave_soon(person: Person) -> int:
    assert not person.is_there(SOON), person.screen[-300:]
    return person.leave()


def finish(cli: CommandLine) -> None:
    """The next run brings everything to its end, and everything is there once."""
    cli.faults()
    assert 0 == cli("apply", "--yes").code
    assert ["Disk/web-root", "Network/lan", "StoragePool/pool", "VirtualMachine/web"] == (
        cli.objects()
    )
    assert "" == cli("state", "list").err
    assert 0 == cli("plan", "--detailed-exitcode").code


def test_once(shop: CommandLine, start: Start) -> None:
    shop.faults(SLOW)
    person = start("apply")
    person.see("Apply this plan?")
    person.type("y\n")
    person.see("creating")
    person.type(CTRL_C)
    person.see("Stopping after the steps under way")
    assert 6 == leave_soon(person)
    # What had been begun was finished, the rest was not begun.
    assert ["Network/lan", "StoragePool/pool"] == shop.objects()
    assert "" == shop("state", "list").err
    finish(shop)


def test_twice(shop: CommandLine, start: Start) -> None:
    shop.faults(ENDLESS)
    person = start("apply", "--yes")
    person.see("creating")
    person.type(CTRL_C)
    person.see("Stopping after the steps under way")
    person.type(CTRL_C)
    assert 6 == leave_soon(person)
    assert "The last run did not finish" in shop("state", "list").err
    finish(shop)


def test_at_the_question(shop: CommandLine, start: Start) -> None:
    person = start("apply")
    person.see("Apply this plan?")
    # Between writing the question and waiting for the answer, readline does not see the signal.
    time.sleep(0.5)
    person.type(CTRL_C)
    assert 130 == leave_soon(person)
    assert "Interrupted; nothing was done." in person.screen
    assert [] == shop.objects()
    finish(shop)


@pytest.mark.parametrize("command", ["plan", "apply", "drift", "destroy"])
def test_while_an_endpoint_gives_no_answer(shop: CommandLine, start: Start, command: str) -> None:
    """A host that hangs is not waited for by a person who has had enough."""
    assert 0 == shop("apply", "--yes").code
    shop.faults({"call": "observe", "effect": "hang", "seconds": 300, "times": 0})
    person = start(command)
    person.see("Observing")
    time.sleep(0.3)
    person.type(CTRL_C)
    assert 130 == leave_soon(person)
    assert "Interrupted" in person.screen
    assert (command in ("apply", "destroy")) == ("nothing was done" in person.screen)
    shop.faults()
    assert 0 == shop("plan", "--detailed-exitcode").code


def test_while_the_plan_is_verified(shop: CommandLine, start: Start) -> None:
    """The endpoint answers while the plan is made, and hangs when it is looked at again: the lock
    is held by then, and nothing was begun.
    """
    shop.faults(
        {"call": "observe", "effect": "delay", "seconds": 0, "times": 4},
        {"call": "observe", "effect": "hang", "seconds": 300, "times": 0},
    )
    person = start("apply", "--yes")
    person.see("Checking that the plan still fits")
    person.type(CTRL_C)
    assert 130 == leave_soon(person)
    assert "Interrupted; nothing was done." in person.screen
    assert [] == shop.objects()
    finish(shop)
