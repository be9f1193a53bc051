"""Runs a program as a whole process and says what it cost. Used by every benchmark."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple


class Cost(NamedTuple):
    """What one process cost: CPU seconds (user and system, all threads and children that it waited
    for), seconds from start to end, and the most memory it had at a time, in MiB.

    The kernel counts the memory of the process that forks into the peak of the child (getrusage(2),
    ``ru_maxrss``), so no figure can be lower than the harness's own size.
    """

    cpu: float
    wall: float
    peak: float


class UnexpectedExitError(Exception):
    """A measured program did not end as it should; the text holds the end of its output."""


def run(
    argv: Sequence[str],
    log: Path,
    expected: Collection[int] = (0,),
    environment: Mapping[str, str] | None = None,
) -> Cost:
    """Run a program with its output in ``log``, and ``environment`` on top of this process's own;
    raises UnexpectedExitError for another exit status than the expected ones.
    """
    with log.open("wb") as output, Path(os.devnull).open("rb") as nothing:
        began = time.perf_counter()
        child = os.posix_spawnp(
            argv[0],
            list(argv),
            _inherited() | dict(environment or {}),
            file_actions=[
                (os.POSIX_SPAWN_DUP2, nothing.fileno(), 0),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
        )
        _, status, usage = os.wait4(child, 0)
        wall = time.perf_counter() - began
    code = os.waitstatus_to_exitcode(status)
    if code not in expected:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-20:])
        raise UnexpectedExitError(f"{' '.join(argv)} ended with {code}:\n{tail}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024)


def _inherited() -> dict[str, str]:
    """This process's environment without what it says to Python and to Terraform: a program that
    may not keep its compiled modules, say, would compile them again every time.
    """
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TF_"))
    }
