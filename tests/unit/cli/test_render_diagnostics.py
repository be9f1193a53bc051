"""Diagnostics as people read them."""

import shlex
from dataclasses import replace

import pytest

from provisioner.cli.render.diagnostics import (
    diagnostic_json,
    render_diagnostic,
    render_diagnostics,
)
from provisioner.cli.render.text import cells
from provisioner.core.diagnostics import Diagnostic, SourceRange, error, warning
from tests.golden_support import CheckGolden

TYPO = error(
    "PRV1203",
    "unknown field 'memroy'",
    detail="Expected one of cpu, memory, disks, nics, firmware, machineType, boot, console.",
    source=SourceRange("web.yaml", 12, 3, "  memroy: 4GiB", 6),
    hint="Did you mean 'memory'?",
    address="VirtualMachine/web01",
)


def test_golden(check_golden: CheckGolden) -> None:
    ring = error(
        "PRV2001",
        "resources depend on each other in a ring: Disk/a -> Image/b -> Disk/a",
        detail="Disk/a needs Image/b (spec.image)\nImage/b needs Disk/a (spec.source)",
        source=SourceRange("a.yaml", 1, 1, "apiVersion: provisioner/v1", 26),
        related=(SourceRange("b.yaml", 118, 9, "        source: a", 6),),
    )
    slow = warning("PRV1901", "the C parser of YAML is missing", hint="Install it.")
    lines = render_diagnostics([TYPO, ring, slow])
    check_golden("cli/diagnostics.txt", "\n".join(lines) + "\n")


def caret_of(lines: list[str]) -> tuple[str, str]:
    """The quoted line and what stands above the carets."""
    number = next(i for i, line in enumerate(lines) if "^" in line)
    quoted, carets = lines[number - 1], lines[number]
    return quoted, "".join(
        char for char, mark in zip(quoted, carets.ljust(len(quoted)), strict=False) if mark == "^"
    )


def test_carets_mark_the_place() -> None:
    assert "memroy" == caret_of(render_diagnostic(TYPO))[1]


@pytest.mark.parametrize("width", [40, 80])
def test_long_line_is_cut_around_the_place(width: int) -> None:
    text = "x" * 300 + "HERE" + "y" * 300
    lines = render_diagnostic(
        error("PRV1", "bad", source=SourceRange("a.yaml", 7, 301, text, 4)), width
    )
    assert "HERE" == caret_of(lines)[1]
    assert [] == [line for line in lines if cells(line) > width]


def test_tab_is_shown_as_spaces_and_marked() -> None:
    lines = render_diagnostic(error("PRV1", "tab", source=SourceRange("a.yaml", 1, 3, "a:\tb", 1)))
    quoted, marked = caret_of(lines)
    assert "\t" not in quoted
    assert set(" ") == set(marked)


def test_wide_characters_do_not_shift_the_caret() -> None:
    line = "名前: memroy"
    lines = render_diagnostic(error("PRV1", "x", source=SourceRange("a.yaml", 1, 5, line, 6)))
    number = next(i for i, text in enumerate(lines) if "^" in text)
    before_value = lines[number - 1][: lines[number - 1].index("memroy")]
    before_caret = lines[number][: lines[number].index("^")]
    assert cells(before_value) == cells(before_caret)


def test_place_past_the_end_of_the_line() -> None:
    lines = render_diagnostic(error("PRV1", "x", source=SourceRange("a.yaml", 1, 99, "short", 1)))
    assert any("^" in line for line in lines)


def test_escape_sequences_are_made_visible() -> None:
    diagnostic = error(
        "PRV1",
        "bad \x1b]0;title\x07",
        detail="\x9b31m",
        source=SourceRange("a\x1bb.yaml", 1, 1, "\x1b[2J", 2),
        hint="\u202egnp.exe",
    )
    text = "\n".join(render_diagnostic(diagnostic))
    assert set() == {char for char in text if not char.isprintable()} - {"\n"}


def test_everything_fits_into_80_columns() -> None:
    assert [] == [line for line in render_diagnostic(TYPO) if cells(line) > 80]


def full(address: str) -> Diagnostic:
    return error(
        "PRV4008",
        "there is no room left",
        detail=f"The outcome of {address} was not recorded.",
        hint="Make room.",
        address=address,
    )


def test_what_is_the_same_for_many_is_said_once() -> None:
    problems = [full(f"Network/n{number}") for number in range(286)]
    lines = render_diagnostics([*problems, error("PRV1", "something else")])
    text = "\n".join(lines)
    assert 1 == text.count("there is no room left")
    assert "Network/n0: there is no room left" in text
    assert "The same for Network/n1, Network/n2," in text
    assert "and 275 more." in " ".join(text.split())
    assert text.endswith("something else\n\n287 errors")


def test_what_differs_is_said_each_time() -> None:
    place = SourceRange("a.yaml", 1, 1, "a", 1)
    for other in (
        replace(full("Network/b"), hint="Make more room."),
        replace(full("Network/b"), code="PRV4009"),
        replace(full("Network/b"), source=place),
    ):
        assert 2 == "\n".join(render_diagnostics([full("Network/a"), other])).count("no room")


def taken(number: int, code: str = "PRV2010") -> Diagnostic:
    name = ("vm {}", "v'm {}", 'v"m {}', "v'm\" {}")[number % 4].format(number)
    return error(
        code,
        f"the name {name!r} is taken",
        hint=f"provisioner adopt VirtualMachine/vm-{number}",
        source=SourceRange(f"vm-{number}.yaml", 4, 9, f"  name: vm {number}", 4),
        address=f"VirtualMachine/vm-{number}",
        path=("name",),
    )


@pytest.mark.parametrize(("number", "told"), [(5, 5), (130, 1)])
def test_many_names_that_are_taken_are_one_message(number: int, told: int) -> None:
    text = "\n".join(render_diagnostics([taken(one) for one in range(number)]))
    assert told == text.count("is taken")
    assert ("The same for VirtualMachine/vm-1," in text) == (told == 1)


def test_only_the_first_hundred_are_shown() -> None:
    problems = [replace(TYPO, summary=f"unknown field '{one}'") for one in range(44_783)]
    lines = render_diagnostics(problems)
    assert 100 == sum("unknown field" in line for line in lines)
    assert ["and 44,683 more, which are not shown; --json has them all.", "", "44,783 errors"] == (
        lines[-3:]
    )


LONG = "provisioner dr test shop --from /srv/recovery/plans/shop.plan --var 'fence=./cut off'"


@pytest.mark.parametrize(
    ("hint", "expected"),
    [
        (f"Drill again: '{LONG}'.", ["  hint: Drill again:", f"          {LONG}"]),
        (
            f"Clear it away: '{LONG}'. Or go on: '{LONG}'.",
            [
                "  hint: Clear it away:",
                f"          {LONG}",
                "        Or go on:",
                f"          {LONG}",
            ],
        ),
        (
            f"'{LONG}' shows what takes longest.",
            ["  hint:", f"          {LONG}", "        shows what takes longest."],
        ),
        (
            "Share it: 'chmod 2770 '/srv/a b'', 'chmod 660 /srv/c'. Then go on.",
            [
                "  hint: Share it:",
                "          chmod 2770 '/srv/a b'",
                "          chmod 660 /srv/c",
                "        Then go on.",
            ],
        ),
        ("See 'provisioner plan'.", ["  hint: See 'provisioner plan'."]),
        ("Did you mean 'memory'?", ["  hint: Did you mean 'memory'?"]),
    ],
)
def test_a_command_in_a_hint_stands_on_a_line_of_its_own(hint: str, expected: list[str]) -> None:
    assert expected == render_diagnostic(error("PRV7099", "a drill stands", hint=hint))[1:]


@pytest.mark.parametrize("word", ["plain", "two words", "it's", "'", "'a' and 'b'"])
def test_commands_keep_their_own_quotes(word: str) -> None:
    command = shlex.join(["provisioner", "dr", "test", "shop", "--var", word])
    found = error("PRV7099", "a drill stands", hint=f"Run '{command}', or 'provisioner plan'.")
    assert [command, "provisioner plan"] == diagnostic_json(found)["commands"]
