"""The process above a lab daemon: ``python -m tests.lab.reaper``, started by ``daemon``.

QEMU daemonises, and libvirt waits until the process that adopted it has reaped it. Below a slow
init that makes every ``destroy()`` one to two seconds long; as a child subreaper (prctl(2)) this
process reaps at once. It also holds the daemon's namespaces over the daemon's restarts, and ends
everything below it on SIGTERM or when standard input closes, which the kernel does for a test run
that was aborted: nothing stays behind.

Protocol, one JSON document a line. First line in: ``{"isolation": {...}, "scratch": path}``, with
the fields of ``Isolation`` and a directory to be removed at the end, or null; answer
``{"ready": true}``. Each further line ``{"argv": [...], "env": {...}, "output": path}`` starts a
program with its output appended to that file; answer ``{"pid": number}``. An ``{"error": text}``
answers what could not be done.
"""

import contextlib
import ctypes
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.lab.namespaces import Isolation, enter

_PR_SET_CHILD_SUBREAPER = 36
_END_SECONDS = 10.0


def main() -> int:
    """Serves the protocol; exit status 0 when everything below has ended."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    wakeup = _signal_pipe()
    requests = _requests(wakeup)
    first = next(requests, None)
    if first is None:
        return 0
    try:
        enter(Isolation(**first["isolation"]))
    except (OSError, subprocess.CalledProcessError) as error:
        _answer({"error": str(error)})
        return 1
    _answer({"ready": True})
    for request in requests:
        try:
            _answer({"pid": _spawn(**request)})
        except OSError as error:
            _answer({"error": str(error)})
    ended = _end_all(time.monotonic() + _END_SECONDS)
    if first["scratch"] is not None:
        shutil.rmtree(first["scratch"], ignore_errors=not ended)
    return 0 if ended else 1


def descendants(root: int) -> list[int]:
    """Process ids of all running processes below ``root``; zombies are left out."""
    children: dict[int, list[int]] = {}
    zombies = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            # The second field is the program's name, in parentheses, with anything inside.
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            children.setdefault(int(parent), []).append(int(entry.name))
            if state in "ZX":
                zombies.add(int(entry.name))
    found: list[int] = []
    waiting = [root]
    while waiting:
        below = children.get(waiting.pop(), [])
        found.extend(below)
        waiting.extend(below)
    return [pid for pid in found if pid not in zombies]


def _signal_pipe() -> int:
    receive, send = os.pipe()
    os.set_blocking(send, False)
    os.set_blocking(receive, False)
    signal.set_wakeup_fd(send, warn_on_full_buffer=False)
    # A handler of our own makes the signal reach the pipe; what is to be done is done there.
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    # Ctrl-C is for the test run, which closes our input when it has cleaned up.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return receive


def _requests(wakeup: int) -> Iterator[dict[str, Any]]:
    """Yields the decoded lines of standard input, reaping meanwhile, until the end is asked for."""
    pending = b""
    while True:
        readable, _, _ = select.select([sys.stdin.fileno(), wakeup], [], [])
        if wakeup in readable:
            if signal.SIGTERM in os.read(wakeup, 4096):
                return
            _reap()
        if sys.stdin.fileno() in readable:
            chunk = os.read(sys.stdin.fileno(), 65536)
            if not chunk:
                return
            *lines, pending = (pending + chunk).split(b"\n")
            for line in lines:
                yield json.loads(line)


def _spawn(argv: list[str], env: dict[str, str], output: str) -> int:
    # Not subprocess: its own waiting would compete with ours for the exit status.
    with Path(output).open("ab") as log:
        return os.posix_spawnp(
            argv[0],
            argv,
            env,
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, log.fileno(), 2),
            ],
            setsigdef=[signal.SIGINT],
        )


def _reap() -> bool:
    """Collects every child that has ended; False if there is no child left."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return False
    return True


def _end_all(deadline: float) -> bool:
    """Kills by process id all that runs below; whether all of it was gone by the deadline."""
    while _reap():
        if time.monotonic() > deadline:
            return False
        # Whoever lost its parent is our own child now, so repeating this finds them all.
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)
    return True


def _answer(document: dict[str, object]) -> None:
    # The caller may have gone: then the end of the input says so next.
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(document) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
