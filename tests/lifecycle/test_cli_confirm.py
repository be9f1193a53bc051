"""Questions: asked on a terminal, never answered by silence."""

import re
import signal

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.person import Person, displayed


@pytest.mark.parametrize(
    ("answer", "code", "objects"), [("y\n", 0, 4), ("n\n", 130, 0), ("\n", 130, 0)]
)
def test_apply_asks(shop: CommandLine, answer: str, code: int, objects: int) -> None:
    person = Person(shop.root, "apply")
    person.see("Apply this plan? [y/N]")
    assert "Plan: 4 to create." in person.screen
    person.type(answer)
    assert code == person.leave()
    assert objects == len(shop.objects())


@pytest.mark.parametrize(("answer", "code", "left"), [("test\n", 0, 1), ("y\n", 130, 4)])
def test_destroy_wants_the_name(shop: CommandLine, answer: str, code: int, left: int) -> None:
    shop("apply", "--yes")
    person = Person(shop.root, "destroy")
    person.see("type the name of the stack (test)")
    person.type(answer)
    assert code == person.leave()
    assert left == len(shop.objects())


def test_ctrl_c_at_the_question(shop: CommandLine) -> None:
    person = Person(shop.root, "apply")
    person.see("[y/N]")
    # A signal that comes just before Python begins to read a line waits for the line: type again.
    person.type("\x03")
    while person.is_there():
        person.type("\x03")
    # The second one while Python was already about to end: shells see the same 130.
    assert person.leave() in (130, -signal.SIGINT)
    assert "Traceback" not in person.screen
    assert [] == shop.objects()


def test_end_of_input_at_the_question(shop: CommandLine) -> None:
    person = Person(shop.root, "apply")
    person.see("[y/N]")
    person.type("\x04")
    assert 130 == person.leave()
    assert "[y/N]: \r\nNothing was changed.\r\n" in person.screen
    assert [] == shop.objects()


@pytest.mark.parametrize("command", ["apply", "destroy"])
def test_nobody_to_ask(shop: CommandLine, command: str) -> None:
    if command == "destroy":
        shop("apply", "--yes")
    before = shop.objects()
    refused = shop(command)
    assert 1 == refused.code
    assert "PRV6002" in refused.err
    assert "--yes" in refused.err
    assert before == shop.objects()


def test_nothing_to_ask_about(shop: CommandLine) -> None:
    shop("apply", "--yes")
    assert 0 == shop("apply").code


def test_live_view_leaves_the_log_behind(cli: CommandLine) -> None:
    """On a terminal steps under way are drawn at the bottom and erased; finished ones stay."""
    cli.write(
        "networks.yaml",
        """
        apiVersion: provisioner/v1
        kind: Network
        metadata:
          name: lan-${replica.index}
          replicas: {count: 20}
        spec: {mode: isolated}
        """,
    )
    cli.faults({"call": "create", "effect": "delay", "seconds": 0.2, "times": 0})
    person = Person(cli.root, "apply", "--yes")
    assert 0 == person.leave(), person.screen
    assert "Network/lan-1: creating" in person.screen
    assert "\x1b[32m" in person.screen
    left = displayed(person.screen)
    begin = left.index("Plan: 20 to create.")
    log = [line.rpartition(" in ")[0] for line in left[begin + 1 :] if ": created" in line]
    assert sorted(f"  Network/lan-{number}: created" for number in range(1, 21)) == sorted(log)
    assert not any("creating" in line for line in left)
    assert "Applied: 20 steps done." in left


def test_live_view_keeps_bar_and_clock_beside_a_long_text(cli: CommandLine) -> None:
    name = "x" * 63
    cli.declare(f"Network/{name}\nmode: isolated\n")
    cli.faults({"call": "create", "effect": "delay", "seconds": 1.0, "times": 0})
    person = Person(cli.root, "apply", "--yes")
    assert 0 == person.leave(), person.screen
    frames = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", person.screen)
    assert re.search(r"Network/x+… \S{20} 0:00:0\d", frames)


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_no_colours_on_request(shop: CommandLine, environ: dict[str, str]) -> None:
    person = Person(shop.root, "plan", environ=environ)
    assert 0 == person.leave(), person.screen
    assert "create" in person.screen
    assert "\x1b[3" not in person.screen
