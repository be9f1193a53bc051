"""Questions of runs of recovery plans: how they are shown, and how ``dr answer`` takes answers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from tests.lifecycle.recovery import declare
from tests.lifecycle.recoveryprogram import PLAN, Sites
from tests.lifecycle.test_cli_recovery import wait_for
from tests.person import Person, displayed

TEXT = (
    "Has the network team moved the shop's address to the hall in the west, "
    "and have the tills been told? Whoever has seen both of them says yes."
)
ASKING = f"""{PLAN}
steps: [{{name: ask, when: before, modes: [migrate], prompt: "{TEXT}", timeout: 1m}}]"""


@pytest.fixture
def waiting(sites: Sites) -> Iterator[Sites]:
    """A migration that waits for an answer; it is ended afterwards."""
    declare(sites.cli, {"RecoveryPlan/shop": ASKING})
    process = sites.cli.start("dr", "migrate", "shop", "--yes", "--json")
    wait_for(sites, "step/ask")
    yield sites
    sites.cli("dr", "cancel", "shop")
    process.communicate(timeout=30)


@pytest.mark.parametrize(
    "words",
    [
        ["yes"],
        ["YES"],
        ["y"],
        ["shop", "yes"],
        ["ask", "Yes"],
        ["step/ask", "yes"],
        ["shop", "ask", "yes"],
        ["RecoveryPlan/shop", "step/ask", "yes"],
    ],
)
def test_what_says_yes(waiting: Sites, words: list[str]) -> None:
    done = waiting.cli("dr", "answer", *words, "--json")
    assert (0, {"task": "step/ask", "text": "yes"}) == (done.code, done.json)


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["shop", "yse"], "PRV7129"),
        (["shop", "ask", "maybe"], "PRV7129"),
        (["shop", "aks", "yes"], "PRV7094"),
        (["mail", "yes"], "PRV7094"),
        (["shop", "begin", "yes"], "PRV7005"),
        ([], "PRV6001"),
    ],
)
def test_what_is_no_answer_leaves_the_question_open(
    waiting: Sites, words: list[str], code: str
) -> None:
    done = waiting.cli("dr", "answer", *words, "--json")
    assert (1, [code]) == (done.code, done.codes)
    assert "step/ask" == waiting("dr", "answer", "yes")["task"]


def test_a_task_that_is_not_there_is_answered_with_those_that_ask(waiting: Sites) -> None:
    done = waiting.cli("dr", "answer", "shop", "aks", "yes")
    assert "hint: Do you mean step/ask?" in done.err


@pytest.mark.parametrize("words", [["yes"], ["ask", "yes"], ["shop", "yes"]])
def test_with_a_file_the_plan_may_be_left_out(waiting: Sites, words: list[str]) -> None:
    journal = next(waiting.cli.root.rglob("recovery/shop.db"))
    shutil.copy(journal, waiting.cli.root / "p.plan.runs.db")
    done = waiting.cli("dr", "answer", *words, "--from", "p.plan", "--json")
    assert (0, {"task": "step/ask", "text": "yes"}) == (done.code, done.json)


def test_the_whole_question_is_shown_with_the_command_below_it(waiting: Sites) -> None:
    lines = waiting.cli("dr", "status", "shop").out.splitlines()
    at = lines.index(f"Question: {TEXT}")
    assert "  provisioner dr answer shop step/ask yes" == lines[at + 2]


def test_a_terminal_shows_the_whole_question_and_then_the_command(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": ASKING})
    carrier = Person(sites.cli.root, "dr", "migrate", "shop", "--yes")
    carrier.see("provisioner dr answer shop step/ask yes")
    assert f"Question: {TEXT}" in displayed(carrier.screen)
    sites("dr", "answer", "no")
    carrier.leave()


def test_who_is_asked_at_a_terminal_is_asked_until_it_is_yes_or_no(waiting: Sites) -> None:
    person = Person(waiting.cli.root, "dr", "answer", "shop")
    person.see("Your answer")
    assert TEXT in displayed(person.screen)[0]
    person.type("yse\n")
    person.see("invalid input")
    person.type("yes\n")
    person.see("Answered 'yes' to step/ask.")
    assert 0 == person.leave()


def test_programs_get_the_question_and_the_commands_that_answer_it(sites: Sites) -> None:
    declare(sites.cli, {"RecoveryPlan/shop": ASKING})
    process = sites.cli.start("dr", "migrate", "shop", "--yes", "--json")
    wait_for(sites, "step/ask")
    sites("dr", "answer", "no")
    out, _ = process.communicate(timeout=30)
    events = [json.loads(line) for line in out.splitlines()]
    (asked,) = [event for event in events if event["event"] == "task-waiting"]
    commands = [f"provisioner dr answer shop step/ask {answer}" for answer in ("yes", "no")]
    assert (TEXT, commands) == (asked["question"], asked["commands"])
