"""The two output streams of a run: colours, width, JSON, and streams that cannot be written to any
more. Made by :mod:`main`."""

from __future__ import annotations

import io
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

from provisioner.cli.render.diagnostics import diagnostic_json, render_diagnostics
from provisioner.cli.render.text import Paint, painted, plain, printable
from provisioner.core.diagnostics import Diagnostic, Severity

PIPE_WIDTH = 80
WIDEST = 110


def json_lines(value: Any, *, indent: int | None = 2) -> list[str]:
    """One JSON document as a result."""
    return [json.dumps(value, indent=indent, ensure_ascii=False)]


@dataclass
class Terminal:
    """Where a command writes, and how.

    Results go to ``out``, diagnostics, questions and progress to ``err``. With ``json`` results are
    JSON documents on ``out`` and diagnostics are JSON objects, one a line, on ``err``. Writing
    never raises: a run that changes something goes on without a reader and on a full disk.
    """

    environ: Mapping[str, str]
    json: bool = False
    no_color: bool = False
    verbose: bool = False
    acts: bool = False
    """Whether the run changes something, so that its exit code tells of that and not of the output.
    """
    untouched: bool = False
    """Whether a command that is to change something has done nothing yet: an interruption says so.
    """
    _lost: dict[str, OSError] = field(default_factory=dict)

    @property
    def out(self) -> TextIO:
        """Standard output as it is now; tests replace it."""
        return sys.stdout

    @property
    def err(self) -> TextIO:
        """Standard error as it is now."""
        return sys.stderr

    @property
    def is_lost(self) -> bool:
        """Whether what is printed arrives no more: the reader went away, or writing failed."""
        return "out" in self._lost

    def lost_output(self) -> Diagnostic | None:
        """PRV6017 if writing the output failed; a reader that left (``| head``) is no failure."""
        problem = self._lost.get("out")
        if problem is None or isinstance(problem, BrokenPipeError):
            return None
        return Diagnostic(
            Severity.WARNING if self.acts else Severity.ERROR,
            "PRV6017",
            f"the output could not be written: {problem.strerror or problem}",
            detail="The run went on without it; the exit code says how it ended."
            if self.acts
            else "",
            hint="'provisioner state history' shows what was done."
            if self.acts
            else "Redirect it to somewhere writable and run the command again.",
        )

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
        self._write("out", self.out, "".join(f"{line}\n" for line in lines))

    def note(self, lines: Iterable[str]) -> None:
        """Write lines about what goes on; nothing that a script would read."""
        self._write("err", self.err, "".join(f"{line}\n" for line in lines))

    def print_json(self, value: Any, *, indent: int | None = 2) -> None:
        """Write one JSON document; ``indent=None`` puts it on one line."""
        self.print(json_lines(value, indent=indent))

    def print_raw(self, text: str) -> None:
        """Write a guest's own text as it is; on a terminal without what could steer it."""
        shown = printable(text.replace("\r\n", "\n")) if self.out.isatty() else text
        self._write("out", self.out, shown if shown.endswith("\n") or not shown else shown + "\n")

    def write_bytes(self, data: bytes) -> bool:
        """Pass a guest's bytes through, as a terminal emulator's other end would; False if they do
        not arrive any more."""
        if self.is_lost:
            return False
        try:
            self.out.flush()
            self.out.buffer.write(data)
            self.out.buffer.flush()
        except OSError as problem:
            self._lose("out", self.out, problem)
            return False
        return True

    def report(self, diagnostics: Sequence[Diagnostic]) -> None:
        """Write diagnostics to the error stream, in the form that was asked for."""
        if self.json:
            lines = [json.dumps(diagnostic_json(item), ensure_ascii=False) for item in diagnostics]
        else:
            lines = render_diagnostics(diagnostics, self.width, self.paint(self.err))
            if self.verbose:
                traces = dict.fromkeys(item.trace for item in diagnostics if item.trace)
                lines += [line for trace in traces for line in ("", *trace.splitlines())]
        if diagnostics:
            self.note(lines)

    def flush(self) -> None:
        """Bring everything out; called at the end of a run."""
        self._write("out", self.out, "")
        self._write("err", self.err, "")

    def guarded(self) -> TextIO:
        """The output as a file for a library that draws on it; writing never raises either."""
        return cast(TextIO, _Guarded(self.out, self._write))

    def _write(self, name: str, stream: TextIO, text: str) -> None:
        if name in self._lost:
            return
        encoding = getattr(stream, "encoding", None) or "utf-8"
        try:
            stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
            stream.flush()
        except OSError as problem:
            self._lose(name, stream, problem)

    def _lose(self, name: str, stream: TextIO, problem: OSError) -> None:
        self._lost[name] = problem
        # What is left in the stream's buffer goes nowhere: the interpreter flushes it at exit and
        # would complain once more.
        with suppress(OSError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class _Guarded(io.TextIOBase):
    """See :meth:`Terminal.guarded`. Keeps the stream, for the library may take its place."""

    def __init__(self, stream: TextIO, write: Callable[[str, TextIO, str], None]) -> None:
        self._stream = stream
        self._write = write

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """That of the output."""
        return self._stream.encoding

    def isatty(self) -> bool:
        """As the output says."""
        return self._stream.isatty()

    def write(self, text: str) -> int:
        """Write to the output, unless that is lost."""
        self._write("out", self._stream, text)
        return len(text)
