"""Somebody at a terminal who runs the program; used by tests of what it does only there."""

from __future__ import annotations

import os
import pty
import select
import sys
import time
from contextlib import suppress
from pathlib import Path

SECONDS = 60


class Person:
    """Somebody at a terminal who starts the program and types."""

    def __init__(
        self, folder: Path, *arguments: str, environ: dict[str, str] | None = None
    ) -> None:
        self.screen = ""
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

    def is_there(self) -> bool:
        """Wait for half a second; whether the program still runs then."""
        with suppress(OSError):
            if select.select([self._terminal], [], [], 0.5)[0]:
                return self._read()
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
        self.screen += data.decode()
        return bool(data)
