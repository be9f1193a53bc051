"""What guests print: reading a serial log that QEMU writes, with deadlines. Called by live tests
and by the demo."""

import re
import time
from pathlib import Path

_SEQUENCE = re.compile(r"LAB-SEQ ([0-9a-f]{8})\r?\n")
_TAIL = 800


class SerialTimeoutError(TimeoutError):
    """A guest did not print what was expected in time; the text holds the end of its log."""


class SerialLog:
    """The serial output of one guest, as it grows in ``path``. The file may not exist yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def text(self) -> str:
        """All of it so far."""
        if not self.path.exists():
            return ""
        return self.path.read_bytes().decode("ascii", errors="replace")

    def mark(self) -> int:
        """The position that the log has reached: what ``wait_for`` takes as ``after``."""
        return len(self.text())

    def wait_for(self, pattern: str, deadline: float, *, after: int = 0) -> re.Match[str]:
        """The first match of the regular expression at or behind position ``after``.

        ``deadline`` is in seconds from now. Raises SerialTimeoutError when it passes.
        """
        compiled = re.compile(pattern, re.MULTILINE)
        end = time.monotonic() + deadline
        while True:
            text = self.text()
            if (match := compiled.search(text, after)) is not None:
                return match
            if time.monotonic() > end:
                raise SerialTimeoutError(
                    f"{self.path}: {pattern!r} was not printed within {deadline} s; "
                    f"the last of {len(text)} characters: {text[-_TAIL:]!r}"
                )
            time.sleep(0.05)

    def sequences(self) -> list[int]:
        """All counts that a boot-sector guest has printed."""
        return [int(digits, 16) for digits in _SEQUENCE.findall(self.text())]

    def sequence(self) -> int | None:
        """The latest count, None before the first."""
        counts = self.sequences()
        return counts[-1] if counts else None

    def wait_for_next(self, deadline: float) -> int:
        """The next count that is printed from now on; ``deadline`` as in ``wait_for``."""
        match = self.wait_for(_SEQUENCE.pattern, deadline, after=self.mark())
        return int(match[1], 16)
