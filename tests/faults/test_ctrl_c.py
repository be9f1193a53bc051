"""Ctrl-C, typed at a terminal: once it lets the steps under way finish, twice it abandons them, and
before anything was begun it ends the program at once.
"""

from __future__ import annotations

import time

import pytest

from tests.faults.terminal import CTRL_C, session
from tests.lifecycle.commandline import CommandLine

SLOW = {"call": "create", "effect": "delay", "seconds": 2.0, "times": 0}
ENDLESS = {"call": "create", "effect": "delay", "seconds": 300, "times": 0}
SOON = 15.0
"""Seconds in which the program has to have ended, with much room for a busy machine."""


def finish(cli: CommandLine) -> None:
    """The next run brings everything to its end, and everything is there once."""
    cli.faults()
    assert 0 == cli("apply", "--yes").code
    assert ["Disk/web-root", "Network/lan", "StoragePool/pool", "VirtualMachine/web"] == (
        cli.objects()
    )
    assert "" == cli("state", "list").err
    assert 0 == cli("plan", "--detailed-exitcode").code


def test_once(shop: CommandLine) -> None:
    shop.faults(SLOW)
    with session(shop.start_arguments("apply"), shop.root) as person:
        person.wait_for("Apply this plan?")
        person.type("y\n")
        person.wait_for("creating")
        person.type(CTRL_C)
        person.wait_for("Stopping after the steps under way")
        assert 6 == person.end()
    # What had been begun was finished, the rest was not begun.
    assert ["Network/lan", "StoragePool/pool"] == shop.objects()
    assert "" == shop("state", "list").err
    finish(shop)


def test_twice(shop: CommandLine) -> None:
    shop.faults(ENDLESS)
    with session(shop.start_arguments("apply", "--yes"), shop.root) as person:
        person.wait_for("creating")
        began = time.monotonic()
        person.type(CTRL_C)
        person.wait_for("Stopping after the steps under way")
        person.type(CTRL_C)
        assert 6 == person.end(SOON)
        assert time.monotonic() - began < SOON
    assert "The last run did not finish" in shop("state", "list").err
    finish(shop)


def test_at_the_question(shop: CommandLine) -> None:
    with session(shop.start_arguments("apply"), shop.root) as person:
        person.wait_for("Apply this plan?")
        person.type(CTRL_C)
        assert 130 == person.end(SOON)
    assert "Interrupted." in person.shown
    assert [] == shop.objects()
    finish(shop)


@pytest.mark.parametrize("command", ["plan", "apply", "drift", "destroy"])
def test_while_an_endpoint_gives_no_answer(shop: CommandLine, command: str) -> None:
    """A host that hangs is not waited for by a person who has had enough."""
    assert 0 == shop("apply", "--yes").code
    shop.faults({"call": "observe", "effect": "hang", "seconds": 300, "times": 0})
    with session(shop.start_arguments(command), shop.root) as person:
        time.sleep(2)
        person.type(CTRL_C)
        assert 130 == person.end(SOON)
    assert "Interrupted." in person.shown
    shop.faults()
    assert 0 == shop("plan", "--detailed-exitcode").code


def test_while_the_plan_is_verified(shop: CommandLine) -> None:
    """The endpoint answers while the plan is made, and hangs when it is looked at again: the lock
    is held by then, and nothing was begun.
    """
    shop.faults(
        {"call": "observe", "effect": "delay", "seconds": 0, "times": 4},
        {"call": "observe", "effect": "hang", "seconds": 300, "times": 0},
    )
    with session(shop.start_arguments("apply", "--yes"), shop.root) as person:
        person.wait_for("Checking that the plan still fits")
        person.type(CTRL_C)
        assert 130 == person.end(SOON)
    assert [] == shop.objects()
    finish(shop)
