"""Kills runs of a recovery plan at each write of their journal, before it and after it, resumes
them, and watches both sites meanwhile. Run by test_recovery_killed as a process of its own, which
has no threads: ``python -m tests.lifecycle.killing MODE MACHINES FOLDER``.

It prints a line of JSON for each kill: where, how the resumed run ended, what is where in the end,
and machines that were seen to run at both sites at once. Before them comes one of a run that nobody
killed, and behind them one that was killed over and over again until it came to its end.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.runs import Outcome
from provisioner_plugins.memory.objects import StoredObject
from tests.lifecycle.twosites import TwoSites
from tests.unit.workflows.recovery.plans import A, B, machine_address, planned

DB = planned("db", tier=1)
MACHINES = {"one": [DB], "two": [DB, planned("web", tier=2, needs=(machine_address("db"),))]}
FAILBACK = "failback"
TURNED = (Mode.REPROTECT, FAILBACK)
OFTEN = 7
"""Writes after which a run dies the first time that dies over and over, each time one later: what
leads to the turn of a migration is done anew by each process, and is more with each machine."""
BLINK = 0.002
"""Seconds between two looks at the sites."""


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
    match mode:
        case Mode.CLEANUP:
            sites.run(Mode.TEST)
        case Mode.FAILOVER:
            sites.run(Mode.TEST)  # and nobody had cleaned up when the disaster came
            sites.outside(A).power_off()
        case Mode.REPROTECT:
            sites.outside(A).cut_off()
            sites.run(Mode.FAILOVER)
            sites.outside(A).come_back()  # and its machines run still
        case "failback":
            sites.run(Mode.MIGRATE)
            sites.turn()
            sites.run(Mode.REPROTECT)
        case "rollback":
            sites.stop_at("stand-by/db")
            sites.run(Mode.MIGRATE)


def found(folder: Path, mode: str, machines: str) -> TwoSites:
    """The sites as they are."""
    sites = TwoSites(folder, MACHINES[machines], new=False)
    if mode in TURNED:
        sites.turn()
    return sites


def carried_out(mode: str, sites: TwoSites) -> None:
    """Begin what is to be done, or go on with it; nothing where it has succeeded."""
    last = sites.journal.last()
    began_as = Mode.MIGRATE if mode == FAILBACK else mode
    # What was there before has another mode, or (a migration) has succeeded.
    if last is None or last.mode != began_as:
        if mode == ROLLBACK:
            assert last is not None
            sites.roll_back(sites.journal.run(last.id))
        else:
            sites.run(Mode(began_as))
    elif last.outcome is not Outcome.SUCCEEDED:
        sites.resume(last.mode)


def dying(mode: str, number: int, sites: TwoSites, *, before: bool = True) -> None:
    """The same, with a death at a write."""
    sites.new_journal = lambda path: Mortal(path, number, before=before)
    carried_out(mode, sites)


def watched(
    look: Callable[[], TwoSites], work: Callable[[TwoSites], None]
) -> tuple[bool, set[str]]:
    """Do something in a process of its own; returns whether that was killed, and what ran at both
    sites. Raises RuntimeError if it ended in another way.
    """
    child = os.fork()
    if not child:
        status = 1
        try:
            work(look())
            status = 0
        finally:
            os._exit(status)
    seen: set[str] = set()
    sites = look()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        # One that runs at A before and after the look at B ran there all the time.
        before = set(sites.running(A))
        there = set(sites.running(B))
        seen |= before & there & set(sites.running(A))
        if ended:
            break
        time.sleep(BLINK)
    code = os.waitstatus_to_exitcode(status)
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"a run ended with the status {code}")
    return code != 0, seen


def state(sites: TwoSites) -> dict[str, list[list[Any]]]:
    """What is at each site, without what differs from run to run: ids and moments."""

    def line(item: StoredObject) -> list[Any]:
        blocks = [*item.content.blocks.values()]
        return [item.kind, item.name, item.is_running, item.standby is not None, blocks]

    return {site: [line(item) for item in sites.outside(site).objects()] for site in (A, B)}


def told(sites: TwoSites, at_both: set[str], **what: Any) -> None:
    """Print what has become of a run."""
    last = sites.journal.last()
    assert last is not None
    run = sites.journal.run(last.id)
    line = {
        **what,
        "mode": last.mode,
        "outcome": last.outcome,
        "undone": [item.task for item in run.tasks.values() if not item.is_done],
        "running": [sites.running(A), sites.running(B)],
        "state": state(sites),
        "both": sorted(at_both),
    }
    sys.stdout.write(json.dumps(line) + "\n")


def main(mode: str, machines: str, folder: Path) -> None:
    """Kill at the first write, at the second, and so on, until a run ends by itself."""
    origin = folder / "origin"
    origin.mkdir()
    pid = os.fork()
    if not pid:
        prepared(origin, mode, machines)
        os._exit(0)
    os.waitpid(pid, 0)
    go_on = partial(carried_out, mode)

    def place(name: str) -> Callable[[], TwoSites]:
        shutil.copytree(origin, folder / name)
        return partial(found, folder / name, mode, machines)

    look = place("whole")
    _, at_both = watched(look, go_on)
    told(look(), at_both, number=0)
    number, one_died = 0, True
    while one_died:
        number += 1
        one_died = False
        for before in (True, False):
            look = place(f"{number}-{before}")
            killed, at_both = watched(look, partial(dying, mode, number, before=before))
            if killed:
                one_died = True
                at_both |= watched(look, go_on)[1]
                told(look(), at_both, number=number, before=before)
            shutil.rmtree(folder / f"{number}-{before}")
    look = place("often")
    deaths, killed, at_both = -1, True, set()
    while killed:
        deaths += 1
        killed, seen = watched(look, partial(dying, mode, OFTEN + deaths))
        at_both |= seen
    told(look(), at_both, deaths=deaths)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))
