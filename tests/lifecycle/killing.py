"""Kills runs of a recovery plan at each write of their journal, before it and after it, resumes
them, and watches both sites meanwhile. Run by test_recovery_killed as a process of its own, which
has no threads: ``python -m tests.lifecycle.killing MODE one|two FOLDER``.

It prints a line of JSON for each kill: where, how the resumed run ended, what runs where in the
end, and machines that were seen to run at both sites at once.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.runs import Outcome
from tests.lifecycle.twosites import TwoSites
from tests.unit.workflows.recovery.plans import A, B, machine_address, planned

DB = planned("db", tier=1)
MACHINES = {"one": [DB], "two": [DB, planned("web", tier=2, needs=(machine_address("db"),))]}


class Mortal(Journal):
    """Kills its process at the given write."""

    def __init__(self, path: Path, number: int, *, before: bool) -> None:
        super().__init__(path)
        self._left = number
        self._before = before

    def write(self, run: str, notes: Sequence[Note]) -> None:
        self._around(lambda: super(Mortal, self).write(run, notes))

    def end(self, run: str, outcome: Outcome, notes: Sequence[Note] = ()) -> None:
        self._around(lambda: super(Mortal, self).end(run, outcome, notes))

    def _around(self, write: Callable[[], None]) -> None:
        self._left -= 1
        if not self._left and self._before:
            os.kill(os.getpid(), signal.SIGKILL)
        write()
        if not self._left:
            os.kill(os.getpid(), signal.SIGKILL)


def prepared(folder: Path, mode: str, machines: str) -> None:
    """What is there before the run that is killed."""
    sites = TwoSites(folder, MACHINES[machines])
    sites.write("db", "order 1")
    sites.replicate()
    if mode == Mode.CLEANUP:
        sites.run(Mode.TEST)
    if mode == Mode.FAILOVER:
        sites.outside(A).power_off()
    if mode == Mode.REPROTECT:
        sites.outside(A).cut_off()
        sites.run(Mode.FAILOVER)
        sites.outside(A).come_back()  # and its machines run still


def found(folder: Path, mode: str, machines: str) -> TwoSites:
    """The sites as they are."""
    sites = TwoSites(folder, MACHINES[machines], new=False)
    if mode == Mode.REPROTECT:
        sites.turn()
    return sites


def watched(
    look: Callable[[], TwoSites], work: Callable[[TwoSites], None]
) -> tuple[int, list[str]]:
    """Do something in a process of its own; returns its status, and what ran at both sites."""
    child = os.fork()
    if not child:
        try:
            work(look())
        finally:
            os._exit(0)
    seen: set[str] = set()
    sites = look()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        # One that runs at A before and after the look at B ran there all the time.
        before = set(sites.running(A))
        there = set(sites.running(B))
        seen |= before & there & set(sites.running(A))
        if ended:
            return status, sorted(seen)


def main(mode: str, machines: str, folder: Path) -> None:
    """Kill at the first write, at the second, and so on, until a run ends by itself."""
    origin = folder / "origin"
    origin.mkdir()
    pid = os.fork()
    if not pid:
        prepared(origin, mode, machines)
        os._exit(0)
    os.waitpid(pid, 0)
    number, over = 0, False
    while not over:
        number += 1
        for before in (True, False):
            place = folder / f"{number}-{before}"
            shutil.copytree(origin, place)
            look = partial(found, place, mode, machines)

            def die(sites: TwoSites, number: int = number, before: bool = before) -> None:
                sites.new_journal = lambda path: Mortal(path, number, before=before)
                sites.run(Mode(mode))

            status, at_both = watched(look, die)
            over = not os.WIFSIGNALED(status)
            if not over:
                _, later = watched(look, lambda sites: _resume(sites, mode))
                at_both += later
            sites = look()
            last = sites.journal.last()
            assert last is not None
            sys.stdout.write(
                json.dumps(
                    {
                        "number": number,
                        "before": before,
                        "outcome": last.outcome,
                        "running": [sites.running(A), sites.running(B)],
                        "objects": sites.objects(B),
                        "both": at_both,
                    }
                )
                + "\n"
            )
            shutil.rmtree(place)


def _resume(sites: TwoSites, mode: str) -> None:
    last = sites.journal.last()
    if last is None:
        sites.run(Mode(mode))  # it was killed before anything was noted
    elif last.outcome is not Outcome.SUCCEEDED:
        sites.resume(mode)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
