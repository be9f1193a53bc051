"""Loads hostile files in a process of its own, which is killed when one takes too long and may not
have more than so much memory.

tests/fuzz/test_loader.py asks it with :class:`LoaderProcess`; ``python -m tests.fuzz.loading`` is
the other side: it reads a file's length and content, and answers with one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import select
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NamedTuple

from provisioner.cli.render.diagnostics import render_diagnostics
from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.service.layout import CachePlace
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace

BASE = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: fuzz}
spec: {variables: {x: {type: string, default: y}}}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: lab}
spec: {provider: memory}
"""
CPU_SECONDS = 2.0
"""Of the processor, for reading one file: what else the machine does makes nothing longer."""
READINGS = 3
"""Of each file: without a cache, with a cold one, with a warm one."""
SECONDS = 60.0
"""By the clock, for one that waits and computes nothing."""
MORE_BYTES = 512 << 20
"""What a file may cost beyond what the process has before it."""
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = ("-m", "tests.fuzz.loading")
_TICKS = os.sysconf("SC_CLK_TCK")


class Hang(Exception):
    """A file took too long; the process was killed."""


class Crash(Exception):
    """Something else than diagnostics came of a file."""


class LoaderProcess:
    """The process that loads; begun at the first file and again after one that it did not survive.
    A context manager that ends it.
    """

    def __init__(self, program: Sequence[str] = PROGRAM) -> None:
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None

    def load(self, content: bytes) -> list[dict[str, Any]]:
        """The diagnostics that come of a file, as plain data. Raises :class:`Hang` and
        :class:`Crash`.
        """
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        before = cpu_seconds(process.pid)
        began = time.monotonic()
        process.stdin.write(len(content).to_bytes(8, "big") + content)
        process.stdin.flush()
        while not select.select([process.stdout], [], [], 0.05)[0]:
            spent = cpu_seconds(process.pid) - before
            waited = time.monotonic() - began
            if spent > READINGS * CPU_SECONDS or waited > SECONDS:
                self.end()
                raise Hang(f"after {spent:.1f} s of CPU time, {waited:.1f} s by the clock")
        line = process.stdout.readline()
        if not line:
            self.end()
            raise Crash(f"the process ended with {process.returncode}")
        answer = json.loads(line)
        if "crash" in answer:
            raise Crash(answer["crash"])
        found: list[dict[str, Any]] = answer["found"]
        return found

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, *self._program],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            assert self._process.stdout is not None
            self._process.stdout.readline()  # it is ready
        return self._process

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> LoaderProcess:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()


def cpu_seconds(pid: int) -> float:
    """What a process has had of the processor so far."""
    # proc_pid_stat(5): utime and stime are fields 14 and 15; the name in field 2 may hold spaces.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def load(content: bytes, catalog: SchemaCatalog) -> list[dict[str, Any]]:
    """Validate a stack with this file in it, without a cache, with one that is empty and with what
    that has kept; and render what is found to see that it can be.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder) / "stack"
        root.mkdir()
        (root / "stack.yaml").write_text(BASE)
        (root / "hostile.yaml").write_bytes(content)
        place = CachePlace(Path(folder) / "cache", Path(folder) / "cache.key")
        plain = outcome(root, catalog, None)
        for state in ("cold", "warm"):
            assert plain == outcome(root, catalog, place), f"with a {state} cache it is another"
        render_diagnostics(plain.found)
        return [diagnostic.as_json() for diagnostic in plain.found]


class Outcome(NamedTuple):
    """What came of a folder of manifests: a stack, or what is wrong; and warnings."""

    stack: str
    found: Sequence[Diagnostic]


def outcome(root: Path, catalog: SchemaCatalog, cache: CachePlace | None) -> Outcome:
    """Load as the program does, with or without a cache."""
    began = time.process_time()
    try:
        valid = validate(Workspace(root, environ={}, catalog=catalog, cache=cache))
        result = Outcome(repr(valid.stack), valid.warnings)
    except ProvisionerError as problem:
        result = Outcome("", problem.diagnostics)
    spent = time.process_time() - began
    assert spent <= CPU_SECONDS, f"{spent:.1f} s of CPU time for one reading"
    assert result.stack or result.found, "refused without a diagnostic"
    return result


def serve(work: Callable[[bytes], list[dict[str, Any]]]) -> None:
    """Answer until nobody asks any more."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8", errors="surrogateescape")
    os.dup2(2, 1)
    answers.write("ready\n")
    answers.flush()
    while size := sys.stdin.buffer.read(8):
        content = sys.stdin.buffer.read(int.from_bytes(size, "big"))
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + MORE_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, most))
        try:
            answer: dict[str, Any] = {"found": work(content)}
        except BaseException:  # noqa: BLE001 - all that is no diagnostic is a crash
            resource.setrlimit(resource.RLIMIT_AS, (most, most))
            answer = {"crash": traceback.format_exc()}
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def main() -> None:
    """The process that loads."""
    catalog = SchemaCatalog.installed()
    load(b"", catalog)  # what is made once is no cost of a file
    serve(lambda content: load(content, catalog))


if __name__ == "__main__":
    main()
