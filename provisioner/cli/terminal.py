"""The two output streams of a run: colours, width, JSON, and a reader that went away. Made by
:mod:`main`."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO

from provisioner.cli.render.diagnostics import render_diagnostics
from provisioner.cli.render.text import Paint, painted, plain, printable
from provisioner.core.diagnostics import Diagnostic

PIPE_WIDTH = 80
WIDEST = 110


@dataclass
class Terminal:
    """Where a command writes, and how.

    Results go to ``out``, diagnostics, questions and progress to ``err``. With ``json`` results are
    JSON documents on ``out`` and diagnostics are JSON objects, one a line, on ``err``.
    """

    environ: Mapping[str, str]
    json: bool = False
    no_color: bool = False
    verbose: bool = False
    _closed: set[str] = field(default_factory=set)

    @property
    def out(self) -> TextIO:
        """Standard output as it is now; tests replace it."""
        return sys.stdout

    @property
    def err(self) -> TextIO:
        """Standard error as it is now."""
        return sys.stderr

    @property
    def interactive(self) -> bool:
        """Whether a person can be asked: questions go to the error stream and answers come from the
        input."""
        return sys.stdin is not None and sys.stdin.isatty() and self.err.isatty()

    @property
    def live(self) -> bool:
        """Whether parts of the output can be drawn again: it is a capable terminal and no JSON."""
        return not self.json and self.out.isatty() and self.environ.get("TERM") != "dumb"

    @property
    def colorless(self) -> bool:
        """Whether a person asked for no colours. ``NO_COLOR`` as no-color.org describes it."""
        return self.no_color or bool(self.environ.get("NO_COLOR"))

    @property
    def width(self) -> int:
        """Columns to fill: those of the terminal up to a readable width, 80 in a pipe."""
        if not (self.out.isatty() or self.err.isatty()):
            return PIPE_WIDTH
        return max(40, min(WIDEST, shutil.get_terminal_size((PIPE_WIDTH, 24)).columns))

    def paint(self, stream: TextIO) -> Paint:
        """How to colour text for ``stream``."""
        able = stream.isatty() and self.environ.get("TERM") != "dumb"
        return painted if able and not self.colorless else plain

    def print(self, lines: Iterable[str]) -> None:
        """Write lines of a result."""
        self._write(self.out, "".join(f"{line}\n" for line in lines))

    def note(self, lines: Iterable[str]) -> None:
        """Write lines about what goes on; nothing that a script would read."""
        self._write(self.err, "".join(f"{line}\n" for line in lines))

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Write one JSON document; ``indent=None`` puts it on one line."""
        self._write(self.out, json.dumps(value, indent=indent, ensure_ascii=False) + "\n")

    def print_raw(self, text: str) -> None:
        """Write a guest's own text as it is; on a terminal without what could steer it."""
        shown = printable(text.replace("\r\n", "\n")) if self.out.isatty() else text
        self._write(self.out, shown if shown.endswith("\n") or not shown else shown + "\n")

    def write_bytes(self, data: bytes) -> bool:
        """Pass a guest's bytes through, as a terminal emulator's other end would; False if nobody
        reads any more."""
        if "out" in self._closed:
            return False
        try:
            self.out.flush()
            self.out.buffer.write(data)
            self.out.buffer.flush()
        except BrokenPipeError:
            self._close("out", self.out)
            return False
        return True

    def report(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Write diagnostics to the error stream, in the form that was asked for."""
        if self.json:
            lines = [json.dumps(item.as_json(), ensure_ascii=False) for item in diagnostics]
        else:
            lines = render_diagnostics(diagnostics, self.width, self.paint(self.err))
        if diagnostics:
            self.note(lines)

    def flush(self) -> None:
        """Bring everything out; called at the end of a run."""
        for stream in (self.out, self.err):
            self._write(stream, "")

    def _write(self, stream: TextIO, text: str) -> None:
        """Write, unless the reader has gone (``| head``): an apply that is under way goes on
        without it."""
        name = "out" if stream is self.out else "err"
        if name in self._closed:
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except BrokenPipeError:
            self._close(name, stream)

    def _close(self, name: str, stream: TextIO) -> None:
        self._closed.add(name)
        # The interpreter flushes at exit and would complain about the pipe once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
