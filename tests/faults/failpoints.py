"""The program with named points at which it can be killed, and with a record of what it reached.

    python -m tests.faults.failpoints RECORD [--kill POINT NUMBER [--victim PID]] apply --yes
    python -m tests.faults.failpoints RECORD --full NUMBER apply --yes
    python -m tests.faults.failpoints RECORD [--kill POINT NUMBER] --disk SECONDS apply --yes

A point is ``<what>.<when>``: each call of the store, of a session and of the lock, ``before`` and
``after``; and within a transaction of the state ``written`` (all is written, nothing is committed)
and ``committed`` (the disk has it, nobody was told). Where several threads share a transaction, the
same two are also called ``shared.written`` and ``shared.committed``. For the making of a state: its
empty file, its tables and its mark. For a plan file: its writing, ``planfile.half``, and the rename
that puts it in its place. Where libvirt-python is installed, also each call of libvirt that changes
something, as ``virDomainDefineXML.before``. When POINT is reached for the NUMBERth time, the
process dies (SIGKILL), or the one with the number PID. From the transaction NUMBER on, the disk is
full; or each transaction takes SECONDS longer to write, and as long to commit.

Each line of RECORD is a point as it is reached, and within a transaction how many ``tickets`` it
has: pieces of work, each from a thread of its own. Before a session is called, the line also holds
the intents that stand open in the state at that moment, read by a connection of its own.
"""

from __future__ import annotations

import json
import math
import os
import re
import signal
import sqlite3
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from functools import wraps
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, TextIO

from provisioner.cli.main import run
from provisioner.core.address import Address
from provisioner.engine import planfile
from provisioner.providers.api import Resource
from provisioner.state import database, schema, sqlite
from provisioner.state.ledger import Transaction
from provisioner.state.lock import HeldLock
from provisioner.state.mark import Mark
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.session import MemorySession

STACK_NAME = "test"
STATE = ".provisioner/default/state.db"
"""Where the state of a stack without an environment lies, from its folder."""
STORE = ("lock", "read", "record_endpoints", "begin", "intend", "settle", "finish")
SESSION = ("observe", "create", "update", "adopt", "delete")
TRANSACTION = ("written", "committed")
SHARED = tuple(f"shared.{when}" for when in TRANSACTION)
MAKING = ("make_file", "make_tables", "mark")
PLAN_FILE = ("planfile", "rename")
_READ = sqlite.SqliteStore.read
POINTS = (
    *(f"{call}.{when}" for call in (*STORE, "release", *SESSION) for when in ("before", "after")),
    *(f"transaction.{when}" for when in TRANSACTION),
)
PLAN_POINTS = (
    *(
        f"{call}.{when}"
        for call in ("open", "observe", "read", *MAKING, *PLAN_FILE)
        for when in ("before", "after")
    ),
    "transaction.written",
    "planfile.half",
)
"""Those of ``plan -o FILE``."""
LIBVIRT = re.compile(
    "vir(Domain|Network|StoragePool|StorageVol|Stream|DomainSnapshot).*"
    "(Define|Create|Delete|Undefine|Destroy|Set|Attach|Detach|Update|Resize|Upload|Build|Send|Finish"
    "|Shutdown|Suspend|Resume|Revert).*"
)
"""Functions of libvirt's C module that change something."""


class Failpoints:
    """Counts how often each point is reached; kills at the one that was asked for."""

    def __init__(
        self, record: Path, state: Path, kill: tuple[str, int] | None, victim: int
    ) -> None:
        self._record = record
        self._state = state
        self._kill = kill
        self._victim = victim
        self._reached: Counter[str] = Counter()
        self._mutex = threading.Lock()
        self._tickets = 0
        self.full_from = math.inf
        self.disk_seconds = 0.0

    def reach(
        self, point: str, subject: str = "", *, look: bool = False, tickets: int | None = None
    ) -> None:
        """Note that a point is reached, about a resource; and die there if that is its turn."""
        with self._mutex:
            self._reached[point] += 1
            number = self._reached[point]
            line: dict[str, Any] = {"point": point, "number": number, "subject": subject}
            if tickets is not None:
                line["tickets"] = tickets
            if look:
                line["intents"] = list(open_intents(self._state))
            with self._record.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line) + "\n")
            if self._kill == (point, number):
                os.kill(self._victim, signal.SIGKILL)

    def around(self, owner: type | ModuleType, name: str, call: str, *, look: bool = False) -> None:
        """Put points before and after a method, or a function of a module."""
        method: Callable[..., Any] = getattr(owner, name)

        @wraps(method)
        def wrapped(*arguments: Any, **options: Any) -> Any:
            subject = _subject(arguments[1:])
            self.reach(f"{call}.before", subject, look=look)
            result = method(*arguments, **options)
            self.reach(f"{call}.after", subject)
            return result

        setattr(owner, name, wrapped)

    def install(self) -> None:
        """Put every point in its place."""
        for call in STORE:
            self.around(sqlite.SqliteStore, call, call)
        self.around(HeldLock, "release", "release")
        for call in SESSION:
            self.around(MemorySession, call, call, look=call != "observe")
        self.around(MemoryProvider, "open", "open")
        self._around_commit()
        self._around_libvirt()

    def install_for_plan(self) -> None:
        """Put those in their places that only a plan has: it never looks into the state itself."""
        self.around(database, "_make_file", "make_file")
        self.around(schema, "create_tables", "make_tables")
        self.around(Mark, "write", "mark")
        self.around(planfile, "write", "planfile")
        self._around_rename()
        self._halve_plan_file()

    def _around_commit(self) -> None:
        transact, seal, settle = sqlite.SqliteStore._transact, Transaction.seal, sqlite._settle

        def transacted(store: sqlite.SqliteStore, batch: list[Any]) -> None:
            self._tickets = len(batch)  # the store has one transaction at a time
            transact(store, batch)

        def sealed(transaction: Transaction) -> int:
            serial = seal(transaction)
            self._reach_within("written")
            if self._reached["transaction.written"] >= self.full_from:
                problem = sqlite3.OperationalError("database or disk is full")
                problem.sqlite_errorcode = sqlite3.SQLITE_FULL
                raise problem
            return serial

        def settled(batch: Any) -> None:
            self._reach_within("committed")
            settle(batch)

        sqlite.SqliteStore._transact = transacted  # type: ignore[method-assign, assignment]
        Transaction.seal = sealed  # type: ignore[method-assign, assignment]
        sqlite._settle = settled

    def _reach_within(self, when: str) -> None:
        """A point in a transaction; the slower the disk, the more threads come to share one."""
        time.sleep(self.disk_seconds)
        self.reach(f"transaction.{when}", tickets=self._tickets)
        if self._tickets > 1:
            self.reach(f"shared.{when}", tickets=self._tickets)

    def _around_rename(self) -> None:
        """Of the plan file alone: others are put in their places in the same way."""
        rename = Path.replace

        def renamed(path: Path, target: Path) -> Path:
            if target.suffix != ".plan":
                return rename(path, target)
            self.reach("rename.before")
            result = rename(path, target)
            self.reach("rename.after")
            return result

        Path.replace = renamed  # type: ignore[method-assign, assignment]

    def _halve_plan_file(self) -> None:
        def dump(data: Any, stream: TextIO, **options: Any) -> None:
            text = json.dumps(data, **options)
            stream.write(text[: len(text) // 2])
            stream.flush()
            self.reach("planfile.half")
            stream.write(text[len(text) // 2 :])

        module: Any = planfile
        module.json = SimpleNamespace(dump=dump, loads=json.loads)

    def _around_libvirt(self) -> None:
        with suppress(ImportError):
            module = import_module("libvirtmod")
            for name in filter(LIBVIRT.fullmatch, dir(module)):
                setattr(module, name, self._pointed(name, getattr(module, name)))

    def _pointed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            self.reach(f"{name}.before")
            result = function(*arguments)
            self.reach(f"{name}.after")
            return result

        return call


def _subject(arguments: tuple[Any, ...]) -> str:
    """Whom a call is about."""
    if arguments and isinstance(arguments[0], Resource):
        return str(arguments[0].address)
    if arguments and isinstance(arguments[0], (list, tuple)):
        return " ".join(str(item.address) for item in arguments[0] if isinstance(item, Resource))
    return " ".join(str(item) for item in arguments if isinstance(item, Address))


def open_intents(state: Path) -> Iterator[str]:
    """What the state says is under way, to somebody who reads it now: ``create Disk/data``."""
    with closing(sqlite.SqliteStore(state, stack=STACK_NAME)) as store:
        for record in _READ(store).open_intents:
            yield f"{record.action} {record.address}"


def main(arguments: list[str]) -> int:
    """See the head of the module."""
    record, *rest = arguments
    kill = None
    if rest[0] == "--kill":
        _, point, number, *rest = rest
        kill = point, int(number)
    victim = os.getpid()
    if rest[0] == "--victim":
        _, pid, *rest = rest
        victim = int(pid)
    full_from = math.inf
    if rest[0] == "--full":
        _, number, *rest = rest
        full_from = int(number)
    disk_seconds = 0.0
    if rest[0] == "--disk":
        _, seconds, *rest = rest
        disk_seconds = float(seconds)
    failpoints = Failpoints(Path(record), Path(STATE), kill, victim)
    failpoints.full_from = full_from
    failpoints.disk_seconds = disk_seconds
    failpoints.install()
    if rest[0] == "plan":
        failpoints.install_for_plan()
    return run(rest)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
