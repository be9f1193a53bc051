"""Plans that are not, or no longer, what was reviewed: refused before anything is done."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.refused import diagnostics
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB
from tests.lifecycle.unharmed import evidence, unharmed

EDITED = (LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"))
ALTERATIONS = 60


@pytest.fixture
def planned(applied: CommandLine) -> CommandLine:
    """A stack that was applied and edited, with a plan of the edit in ``edit.plan``."""
    applied.declare(*EDITED)
    assert 0 == applied("plan", "-o", "edit.plan").code
    return applied


def undo_edit(cli: CommandLine) -> None:
    """The manifests as they were applied, so that nothing is left to do."""
    cli.declare(LAN, POOL, DISK, WEB)


def test_no_altered_character_is_taken_for_good(planned: CommandLine) -> None:
    """Wherever a character of the file changes, the file is refused."""
    path = planned.root / "edit.plan"
    text = path.read_text()
    chance = random.Random(4711)
    undo_edit(planned)
    with unharmed(planned):
        for _ in range(ALTERATIONS):
            place = chance.randrange(len(text))
            other = chance.choice([c for c in '0aZ{}[],:" ' if c != text[place]])
            path.write_text(text[:place] + other + text[place + 1 :])
            refused = planned("apply", "edit.plan", "--json")
            assert 1 == refused.code
            (code,) = refused.codes
            assert code in {"PRV2022", "PRV2023"}


def without_its_end(text: str) -> str:
    return text[: len(text) // 2]


def with_another_change(text: str) -> str:
    return text.replace('"after":2', '"after":4', 1)


def of_another_format(text: str) -> str:
    return text.replace("provisioner.plan/1", "provisioner.plan/2")


ALTERED: Mapping[Callable[[str], str], tuple[str, str]] = {
    without_its_end: ("PRV2022", "is no plan file"),
    with_another_change: ("PRV2023", "was altered after it was made"),
    of_another_format: ("PRV2022", "provisioner.plan/2"),
}


@pytest.mark.parametrize("alter", ALTERED, ids=lambda alter: alter.__name__)
def test_what_is_said_of_an_altered_file(planned: CommandLine, alter: Callable[[str], str]) -> None:
    code, words = ALTERED[alter]
    path = planned.root / "edit.plan"
    text = path.read_text()
    path.write_text(alter(text))
    assert text != path.read_text()
    undo_edit(planned)
    with unharmed(planned):
        refused = planned("apply", "edit.plan", "--json")
        (problem,) = diagnostics(refused)
        assert (1, code) == (refused.code, problem["code"])
        assert words in problem["summary"] + problem.get("detail", "")
        assert "provisioner plan -o FILE" in problem["hint"]


def changed_outside(cli: CommandLine) -> None:
    cli.outside.change("VirtualMachine", "web", ("memory", "size"), 2**30)


def removed_outside(cli: CommandLine) -> None:
    cli.outside.remove("VirtualMachine", "web")


def written_again(cli: CommandLine) -> None:
    cli.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 3"))
    assert 0 == cli("apply", "--yes").code


def forgotten(cli: CommandLine) -> None:
    assert 0 == cli("state", "forget", "VirtualMachine/web", "--yes").code


STALE: Mapping[Callable[[CommandLine], None], str] = {
    changed_outside: "VirtualMachine/web: the object has changed",
    removed_outside: "VirtualMachine/web: it existed and is gone now",
    written_again: "VirtualMachine/web: its entry was written again",
    forgotten: "VirtualMachine/web: its entry was written again",
}


@pytest.mark.parametrize("happens", STALE, ids=lambda happens: happens.__name__)
def test_a_stale_plan_is_refused_as_a_whole(
    planned: CommandLine, happens: Callable[[CommandLine], None]
) -> None:
    happens(planned)
    before = evidence(planned)
    stale = planned("apply", "edit.plan", "--json")
    (problem,) = diagnostics(stale)
    assert (3, "PRV3001") == (stale.code, problem["code"])
    assert STALE[happens] in problem["summary"]
    assert "Make a new plan" in problem["hint"]
    assert before == evidence(planned)
    assert 0 == planned("apply", "--yes").code


def test_a_plan_of_another_state(planned: CommandLine) -> None:
    """Somebody removed what was recorded and began anew: the plan is of a lineage that ended."""
    for path in (planned.root / ".provisioner" / "default").iterdir():
        path.unlink()
    planned.declare("Network/other\nmode: isolated\n")
    assert 0 == planned("apply", "--yes").code
    before = planned.objects()
    stale = planned("apply", "edit.plan", "--json")
    (problem,) = diagnostics(stale)
    assert (3, "PRV3001") == (stale.code, problem["code"])
    assert "belongs to another stack" in problem["summary"]
    assert before == planned.objects()
