"""Somebody at a terminal who runs the program; used by tests of what it does only there."""

from __future__ import annotations

import codecs
import os
import pty
import re
import select
import sys
import time
from pathlib import Path

SECONDS = 60


class Person:
    """Somebody at a terminal who starts the program and types."""

    def __init__(
        self, folder: Path, *arguments: str, environ: dict[str, str] | None = None
    ) -> None:
        self.screen = ""
        # A read may end within a character.
        self._decode = codecs.getincrementaldecoder("utf-8")().decode
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update({"TERM": "xterm", "COLUMNS": "80", **(environ or {})})
            os.execv(sys.executable, [sys.executable, "-m", "provisioner", *arguments])

    def see(self, text: str) -> None:
        """Read until the text is on the screen."""
        deadline = time.monotonic() + SECONDS
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen
            assert self._read(), self.screen

    def type(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def is_there(self, seconds: float = 1.0) -> bool:
        """Read for a while; whether the program still runs then."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self._terminal], [], [], left)[0] and not self._read():
                return False
        return True

    def leave(self) -> int:
        """Read to the end; returns the exit code."""
        while self._read():
            pass
        os.close(self._terminal)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])

    def _read(self) -> bool:
        ready, _, _ = select.select([self._terminal], [], [], SECONDS)
        try:
            data = os.read(self._terminal, 4096) if ready else b""
        except OSError:  # Linux: the other end was closed
            data = b""
        self.screen += self._decode(data)
        return bool(data)


def displayed(written: str) -> list[str]:
    """The lines that a terminal shows after all this was written to it, however high it is. Knows
    what rich uses: carriage return, line feed, cursor up, erase line.
    """
    lines = [""]
    row = 0
    for text, control in re.findall(r"([^\x1b\r\n]*)(\r|\n|\x1b\[[0-9;?]*[A-Za-z]|$)", written):
        lines[row] += text
        if control == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif control.endswith("K"):
            lines[row] = ""
        elif control.endswith("A"):
            row -= int(control[2:-1] or 1)
    return lines
