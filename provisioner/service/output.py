"""Runs a command for its output, within limits: :class:`Running`.

Used by :mod:`provisioner.service.secretcommands`. A command gets a session of its own, so that no
key typed reaches it and all that it has started can be ended with it.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
import weakref
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

LARGEST_OUTPUT = 1024 * 1024
"""Bytes."""
END_SECONDS = 1.0
"""How long a command that is told to end may take for it before it is killed."""
_PIECE = 65536


class NoOutput(Exception):
    """Why there is no output, as a sentence that says nothing of what was written."""


class Running:
    """The commands of one run. What is still running when it is let go of, or when the program
    ends, is ended.
    """

    def __init__(self) -> None:
        self._processes: set[subprocess.Popen[bytes]] = set()
        weakref.finalize(self, _end_all, self._processes)

    def output_of(
        self,
        arguments: Sequence[str],
        environ: Mapping[str, str],
        folder: Path,
        seconds: float,
    ) -> bytes:
        """What a command writes on its standard output; raises :class:`NoOutput` if it cannot be
        started, fails, writes too much, or takes longer than ``seconds``.
        """
        ends = time.monotonic() + seconds
        try:
            process = subprocess.Popen(  # noqa: S603 - the user's own configuration allows it
                arguments,
                cwd=folder,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise NoOutput(f"It cannot be started: {reason}.") from None
        self._processes.add(process)
        try:
            data = _all_of(process, ends)
            code = process.wait(max(0.0, ends - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise NoOutput(f"It was ended after {seconds:g} s (its timeout).") from None
        finally:
            # Whatever ended the wait, Ctrl-C too.
            if process.returncode is None:
                _end(process)
            self._processes.discard(process)
            assert process.stdout is not None
            process.stdout.close()
        if code < 0:
            raise NoOutput(f"It was ended by {_name(-code)}.")
        if code:
            raise NoOutput(f"Its exit code is {code}.")
        return data


def _all_of(process: subprocess.Popen[bytes], ends: float) -> bytes:
    assert process.stdout is not None
    descriptor = process.stdout.fileno()
    data = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        while True:
            left = ends - time.monotonic()
            if left <= 0:
                raise subprocess.TimeoutExpired(process.args, 0)
            if not selector.select(left):
                continue
            piece = os.read(descriptor, _PIECE)
            if not piece:
                return bytes(data)
            data += piece
            if len(data) > LARGEST_OUTPUT:
                raise NoOutput(f"It wrote more than {LARGEST_OUTPUT} bytes.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a command and all of its group: ask, then kill."""
    _signal(process, signal.SIGTERM)
    killed_at = time.monotonic() + END_SECONDS
    while not _has_ended(process) and time.monotonic() < killed_at:
        time.sleep(0.01)
    # Before it is waited for: until then nobody else's group can have this number.
    _signal(process, signal.SIGKILL)
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    try:
        return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)


def _end_all(processes: set[subprocess.Popen[bytes]]) -> None:
    for process in list(processes):
        _end(process)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
