"""Commands of the program whose process dies (SIGKILL) at a write of the journal of a run:
``python -m tests.live.recoverykilled NUMBER before|after COMMAND...``.

NUMBER counts the writes of this process that follow on the first of them, which says that it
carries the run out.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from typing import TypeVar

from provisioner.cli.main import run
from provisioner.workflows.journal import Journal

T = TypeVar("T")


def _main(number: int, moment: str, command: list[str]) -> int:
    original, writes = Journal._write, -1

    def counted(self: Journal, work: Callable[[sqlite3.Connection], T]) -> T:
        nonlocal writes
        writes += 1
        if (writes, moment) == (number, "before"):
            os.kill(os.getpid(), signal.SIGKILL)
        value = original(self, work)
        if (writes, moment) == (number, "after"):
            os.kill(os.getpid(), signal.SIGKILL)
        return value

    Journal._write = counted  # type: ignore[method-assign] # in a process of its own
    return run(command)


if __name__ == "__main__":
    sys.exit(_main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
