"""Starts programs below a reaper and ends all that came of them. Called by ``daemon`` and ``ssh``.

The other end of the protocol that ``reaper`` describes.
"""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.lab.namespaces import Isolation
from tests.lab.reaper import descendants

# Daemons are where an ordinary user does not look, and nothing of the caller's is to be found.
SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_CHECKOUT = Path(__file__).resolve().parents[2]
_END_SECONDS = 30.0


class LabError(Exception):
    """The lab itself failed, not what is tested in it; the text says where and holds the log."""


class Launcher:
    """Programs that live and end together, in namespaces of their own if ``isolation`` says so.

    ``scratch`` is removed when all has ended, also if this process dies before it can ask for it.
    """

    def __init__(self, isolation: Isolation, scratch: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.lab.reaper"],
            cwd=_CHECKOUT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PATH": SEARCH_PATH},
            # Ctrl-C is for the caller, who ends what is below in good order.
            start_new_session=True,
        )
        try:
            self._ask({"isolation": isolation._asdict(), "scratch": str(scratch)})
        except BaseException:
            self.close()
            raise

    def start(self, argv: Sequence[str], env: Mapping[str, str], output: Path) -> int:
        """Starts a program from SEARCH_PATH with its output appended to a file; its process id."""
        answer = self._ask({"argv": list(argv), "env": dict(env), "output": str(output)})
        return int(answer["pid"])

    def processes(self) -> list[int]:
        """Process ids of all that runs."""
        return descendants(self._process.pid)

    def close(self) -> None:
        """Ends everything. Raises LabError if something is left after 30 seconds."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            left = self.processes()
            self._process.kill()
            self._process.wait()
            raise LabError(f"these processes of the lab did not end: {left}") from None
        finally:
            self._process.stdout.close()

    def cut(self, first: int) -> None:
        """Ends everything at once, as a power cut does: ``first`` before the others, so that it
        cannot see them end. ``scratch`` stays. Raises LabError if something is left after 30
        seconds.
        """
        deadline = time.monotonic() + _END_SECONDS
        left = [first, *self.processes()]
        while left:
            for pid in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise LabError(f"these processes of the lab did not end: {left}")
            left = self.processes()
        # Killed, because in good order it would remove the scratch.
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()

    def _ask(self, request: Mapping[str, object]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line or '{"error": "the reaper has ended"}')
        if "error" in answer:
            raise LabError(f"the lab could not start a program: {answer['error']}")
        return answer


def runs(pid: int) -> bool:
    """Whether the process exists and has not ended."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def end(pid: int, number: signal.Signals) -> None:
    """Sends a signal and waits until the process is gone; LabError after 30 seconds."""
    os.kill(pid, number)
    deadline = time.monotonic() + _END_SECONDS
    while runs(pid):
        if time.monotonic() > deadline:
            raise LabError(f"process {pid} did not end on {number.name}")
        time.sleep(0.01)
