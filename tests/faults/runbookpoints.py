"""A runbook whose process dies (SIGKILL) at a point: around each write of the journal, within its
transaction, and around each effect of a task.

    python -m tests.faults.runbookpoints FOLDER PARALLEL

carries it out in FOLDER/1, FOLDER/2 and so on, in a process of its own each time, which dies at the
first, the second and so on of its points; the last one lives. The tasks have their effects on files
in the folder ``world`` of theirs.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from provisioner.engine.stop import StopSignal
from provisioner.workflows.actions import Done, NotDone, Work
from provisioner.workflows.journal import Journal
from provisioner.workflows.limits import Limits
from provisioner.workflows.runbook import Runbook, Task
from provisioner.workflows.runner import Runner
from provisioner.workflows.runs import Run

T = TypeVar("T")


def _task(name: str, action: str, *needs: str) -> Task:
    return Task(name, name, action, needs=needs, lane="disk" if action == "once" else "")


RUNBOOK = Runbook(
    "plan",
    "test",
    (
        _task("fence", "once"),
        _task("disk", "halves", "fence"),
        _task("mail", "repeat", "fence"),
        _task("start", "once", "disk"),
        _task("gate", "once", "start", "mail"),
    ),
    {"disk": 1},
)


class Points:
    """Counts what is reached, and dies at the ``fatal``-th point; at none if that is 0."""

    def __init__(self, record: Path, fatal: int = 0) -> None:
        self._record = record
        self._fatal = fatal
        self._count = 0
        self._lock = threading.Lock()

    def reach(self, name: str) -> None:
        with self._lock:
            self._count += 1
            with self._record.open("a", encoding="utf-8") as stream:
                stream.write(f"{name}\n")
            if self._count == self._fatal:
                os.kill(os.getpid(), signal.SIGKILL)


class FragileJournal(Journal):
    """A journal with points around and within each of its writes."""

    def __init__(self, path: Path, points: Points) -> None:
        super().__init__(path)
        self._points = points

    def _write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        def within(connection: sqlite3.Connection) -> T:
            value = work(connection)
            self._points.reach("write.within")
            return value

        self._points.reach("write.before")
        value = super()._write(within)
        self._points.reach("write.after")
        return value


class Files:
    """Three actions that work on files. Each effect adds a line to the file ``effects``."""

    def __init__(self, world: Path, points: Points) -> None:
        self.world = world
        self._points = points

    def effect(self, work: Work, part: str = "") -> None:
        """Make the file of the task; raises FileExistsError if it is there already."""
        name = work.task.id + part
        self._points.reach("effect.before")
        with (self.world / name).open("x", encoding="utf-8"):
            pass
        self.note(name)
        self._points.reach("effect.after")

    def note(self, name: str) -> None:
        """Write down that something happened."""
        with (self.world / "effects").open("a", encoding="utf-8") as stream:
            stream.write(f"{name}\n")

    def result(self, work: Work) -> Done:
        """What the task knows of those before it."""
        return Done({"after": sorted({*work.results})})

    def reach(self, name: str) -> None:
        """A point of an action's own."""
        self._points.reach(name)


class Once:
    """One effect that must not happen twice; it can be seen."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def observe(self, work: Work) -> Done | NotDone:
        return self._files.result(work) if self._exists(work) else NotDone()

    def perform(self, work: Work) -> Done:
        self._files.effect(work)
        return self._files.result(work)

    def _exists(self, work: Work) -> bool:
        return (self._files.world / work.task.id).exists()


class Halves:
    """Two effects, neither of which must happen twice; what is missing can be seen."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def observe(self, work: Work) -> Done | NotDone:
        return NotDone() if self._missing(work) else self._files.result(work)

    def perform(self, work: Work) -> Done:
        for part in self._missing(work):
            self._files.effect(work, part)
        return self._files.result(work)

    def _missing(self, work: Work) -> list[str]:
        parts = (".1", ".2")
        return [p for p in parts if not (self._files.world / f"{work.task.id}{p}").exists()]


class Repeat:
    """What nobody can see afterwards, and bears repetition."""

    def __init__(self, files: Files) -> None:
        self._files = files

    def observe(self, _work: Work) -> NotDone:
        return NotDone()

    def perform(self, work: Work) -> Done:
        self._files.reach("effect.before")
        self._files.note(work.task.id)
        self._files.reach("effect.after")
        return self._files.result(work)


def carry_out(folder: Path, *, fatal: int = 0, parallel: int = 1) -> Run:
    """Begin the runbook in a folder, or go on with it."""
    (folder / "world").mkdir(parents=True, exist_ok=True)
    points = Points(folder / "points", fatal)
    files = Files(folder / "world", points)
    journal = FragileJournal(folder / "runs.db", points)
    runner = Runner(
        journal,
        {"once": Once(files), "halves": Halves(files), "repeat": Repeat(files)},
        sink=lambda _event: None,
        stop=StopSignal(),
        limits=Limits(parallel=parallel),
    )
    return runner.start(RUNBOOK, "ann") if journal.last() is None else runner.resume("ann")


def dies(folder: Path, *, fatal: int, parallel: int) -> bool:
    """Whether a process of its own does not live to see the end."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            carry_out(folder, fatal=fatal, parallel=parallel)
            status = 0
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise RuntimeError(f"the process at point {fatal} ended with {code}")
    return code != 0


def main(folder: Path, parallel: int) -> None:
    """Die at each point in turn, then again and again in one and the same folder."""
    fatal = 1
    while dies(folder / str(fatal), fatal=fatal, parallel=parallel):
        fatal += 1
    deaths = 0
    while dies(folder / "often", fatal=13, parallel=parallel):
        deaths += 1
    (folder / "deaths").write_text(str(deaths), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
