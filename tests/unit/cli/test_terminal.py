"""The two streams: colours, width, encodings, and pipes whose reader went away."""

import io
import json
import os
import sys
from collections.abc import Callable

import pytest

from provisioner.cli.render.text import painted, plain, printable, table, wrap
from provisioner.cli.terminal import Terminal
from provisioner.core.diagnostics import error


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def put_screen(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Screen]:
    """Called within the test, for the test runner sets the streams anew between set-up and test."""

    def put() -> Screen:
        stream = Screen()
        monkeypatch.setattr(sys, "stdout", stream)
        return stream

    return put


@pytest.mark.parametrize(
    ("environ", "no_color", "expected"),
    [
        ({}, False, painted),
        ({"NO_COLOR": ""}, False, painted),
        ({"NO_COLOR": "1"}, False, plain),
        ({"TERM": "dumb"}, False, plain),
        ({}, True, plain),
    ],
)
def test_colours(environ: dict[str, str], no_color: bool, expected: object) -> None:
    assert expected is Terminal(environ, no_color=no_color).paint(Screen())


def test_no_colours_in_a_pipe() -> None:
    assert plain is Terminal({}).paint(io.StringIO())


def test_width_of_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    assert 80 == Terminal({}).width


@pytest.mark.parametrize(("columns", "expected"), [("20", 40), ("90", 90), ("400", 110)])
def test_width_of_a_terminal(
    columns: str,
    expected: int,
    put_screen: Callable[[], Screen],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    put_screen()
    monkeypatch.setenv("COLUMNS", columns)
    assert expected == Terminal({}).width


def test_live_view_only_on_a_capable_terminal(put_screen: Callable[[], Screen]) -> None:
    put_screen()
    assert Terminal({"TERM": "xterm"}).live
    assert not Terminal({"TERM": "dumb"}).live
    assert not Terminal({"TERM": "xterm"}, json=True).live


def test_text_that_the_encoding_cannot_carry(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    Terminal({}).print(["Grüße \udc80"])
    assert b"Gr\\xfc\\xdfe \\udc80\n" == raw.getvalue()


def test_reader_that_went_away_is_not_written_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        terminal = Terminal({})
        terminal.print(["a"])
        terminal.print(["b"])
        assert not terminal.write_bytes(b"c")
        terminal.flush()


def test_json_diagnostics_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal({}, json=True).report([error("PRV1", "a"), error("PRV2", "b", hint="do this")])
    lines = capsys.readouterr().err.splitlines()
    assert [
        {"severity": "error", "code": "PRV1", "summary": "a"},
        {"severity": "error", "code": "PRV2", "summary": "b", "hint": "do this"},
    ] == [json.loads(line) for line in lines]


def test_no_diagnostics_print_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    Terminal({}).report([])
    assert "" == capsys.readouterr().err


def test_table_columns_line_up_with_wide_characters() -> None:
    assert ["A     B", "日本  x", "a     y"] == table(["A", "B"], [["日本", "x"], ["a", "y"]])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("a\x1b[0m", "a\\x1b[0m"),
        ("a\u202eb", "a\\u202eb"),
        ("two\nlines", "two\nlines"),
        ("\ud800", "\\ud800"),
        ("grün", "grün"),
    ],
)
def test_printable(text: str, expected: str) -> None:
    assert expected == printable(text)


def test_wrap_keeps_line_breaks_and_long_words() -> None:
    word = "x" * 30
    assert ["  a", f"  {word}", "  b"] == wrap(f"a {word}\nb", 20, "  ")
