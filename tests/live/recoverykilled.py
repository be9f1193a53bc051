"""Commands of the program whose process dies (SIGKILL) at a write of the journal of a run:
``python -m tests.live.recoverykilled SEEN STRIDE COMMAND...``.

Just before and just after something is noted of a task are moments. The file SEEN has those that
this process or one before it has come by; it dies at the STRIDEth write with one that is not there
yet. So with 1, run again and again, it dies before and after each note once, whichever others are
written with it; and it always comes further than before, however much a run does anew.
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

    def come_by(self, *moments: str) -> None:
        """Die here, if it is time."""
        new = {*moments} - self._seen
        if not new:
            return
        self._seen |= new
        with self._path.open("a") as file:
            file.writelines(f"{moment}\n" for moment in sorted(new))
        self._left -= 1
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def _main(moments: Moments, command: list[str]) -> int:
    write, end = Journal.write, Journal.end

    def mortal_write(self: Journal, run: str, notes: Sequence[Note]) -> None:
        told = [f"{note.what} {note.task}" for note in notes]
        moments.come_by(*(f"before {item}" for item in told))
        write(self, run, notes)
        moments.come_by(*(f"after {item}" for item in told))

    def mortal_end(self: Journal, run: str, outcome: Outcome, notes: Sequence[Note] = ()) -> None:
        moments.come_by("before the end")
        end(self, run, outcome, notes)
        moments.come_by("after the end")

    Journal.write = mortal_write  # type: ignore[method-assign] # in a process of its own
    Journal.end = mortal_end  # type: ignore[method-assign]
    return run(command)


if __name__ == "__main__":
    sys.exit(_main(Moments(Path(sys.argv[1]), int(sys.argv[2])), sys.argv[3:]))
