"""A person at a terminal: the program on a pseudo-terminal, keys typed into it, text read from it.

Ctrl-C is typed as the key it is: the terminal turns it into SIGINT for the whole process group, as
a real one does.
"""

from __future__ import annotations

import errno
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CTRL_C = "\x03"
SECONDS = 60.0
ROWS, COLUMNS = 50, 100


class Session:
    """One run of a program on a terminal of its own."""

    def __init__(self, process: subprocess.Popen[bytes], terminal: int) -> None:
        self._process = process
        self._terminal = terminal
        self.shown = ""
        """Everything that was written so far, escape sequences included."""

    @property
    def last(self) -> str:
        """The last of what was shown, for messages."""
        return repr(self.shown[-300:])

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._terminal, keys.encode())

    def wait_for(self, text: str, seconds: float = SECONDS) -> None:
        """Read until the text was shown since the last call; fails if it never is."""
        deadline = time.monotonic() + seconds
        start = len(self.shown)
        while text not in self.shown[start:]:
            left = deadline - time.monotonic()
            assert left > 0, f"{text!r} was not shown in {seconds} s, but {self.last}"
            assert self._read(left), f"ended without showing {text!r}, but {self.last}"

    def end(self, seconds: float = SECONDS) -> int:
        """Wait for the end; returns the exit code."""
        deadline = time.monotonic() + seconds
        while self._read(max(0.0, deadline - time.monotonic())):
            assert time.monotonic() < deadline, f"still runs after {seconds} s: {self.last}"
        return self._process.wait(max(0.1, deadline - time.monotonic()))

    def _read(self, seconds: float) -> bool:
        """Take in what is written within some seconds; False once nobody can write any more."""
        ready, _, _ = select.select([self._terminal], [], [], seconds)
        if not ready:
            return True
        try:
            data = os.read(self._terminal, 65536)
        except OSError as problem:
            # Linux: every process has closed the other side (pty(7)).
            if problem.errno != errno.EIO:
                raise
            return False
        self.shown += data.decode("utf-8", "replace")
        return bool(data)


@contextmanager
def session(arguments: Sequence[str], folder: Path) -> Iterator[Session]:
    """Run a program in a folder, on a terminal of its own; it is killed if it outlives the test."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        arguments,
        cwd=folder,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        # In the child, which leads the new session: make this its controlling terminal.
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    try:
        yield Session(process, ours)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            process.wait()
        os.close(ours)
