"""Commands of the program whose process dies (SIGKILL) at a write of the journal of a run:
``python -m tests.live.recoverykilled SEEN STRIDE COMMAND...``.

Just before a write and just after it are moments, told apart by what is noted of which task. The
file SEEN has the moments that this process or one before it has come by; it dies at the STRIDEth
that is not there yet. So with 1, run again and again, it dies at each moment once; and it always
comes further than before, however much a run does anew.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from provisioner.cli.main import run
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.runs import Outcome


class Moments:
    """The moments that were come by, and how many new ones are left to live."""

    def __init__(self, path: Path, left: int) -> None:
        self._path, self._left = path, left
        self._seen = set(path.read_text().splitlines()) if path.exists() else set()

    def come_by(self, moment: str) -> None:
        """Die here, if it is time."""
        if moment in self._seen:
            return
        self._seen.add(moment)
        with self._path.open("a") as file:
            file.write(f"{moment}\n")
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def _main(moments: Moments, command: list[str]) -> int:
    write, end = Journal.write, Journal.end

    def mortal_write(self: Journal, run: str, notes: Sequence[Note]) -> None:
        told = ", ".join(f"{note.what} {note.task}" for note in notes)
        moments.come_by(f"before {told}")
        write(self, run, notes)
        moments.come_by(f"after {told}")

    def mortal_end(self: Journal, run: str, outcome: Outcome, notes: Sequence[Note] = ()) -> None:
        moments.come_by("before the end")
        end(self, run, outcome, notes)
        moments.come_by("after the end")

    Journal.write = mortal_write  # type: ignore[method-assign] # in a process of its own
    Journal.end = mortal_end  # type: ignore[method-assign]
    return run(command)


if __name__ == "__main__":
    sys.exit(_main(Moments(Path(sys.argv[1]), int(sys.argv[2])), sys.argv[3:]))
