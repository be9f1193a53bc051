"""Whatever stands in the files of a stack, the loader ends soon, with a stack or with diagnostics
that can be shown.
"""

from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType

import pytest
from hypothesis import example, given

from provisioner.cli.render.diagnostics import render_diagnostics
from provisioner.core.diagnostics import ProvisionerError, SourceRange
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace
from tests.fuzz.hostile import FILES

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
MORE_BYTES = 512 << 20


@given(FILES)
@example(b"a: " * 20_000)
@example(b"[" * 100_000)
@example(b"- " * 50_000)
@example(b"? " * 50_000)
@example(b"a: &a [" + b"*a, " * 50_000)
@example(b"'" + b"x\n" * 100_000)
@example(b"&x " * 50_000)
@example(("k: " + "!" * 100_000).encode())
@example(b"\xff\xfe" * 1000)
def test_the_loader_ends_with_a_stack_or_with_diagnostics(content: bytes) -> None:
    with TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "stack.yaml").write_text(BASE)
        (root / "hostile.yaml").write_bytes(content)
        with bounded():
            try:
                found = validate(Workspace(root, environ={})).warnings
            except ProvisionerError as problem:
                found = problem.diagnostics
                assert found
            for diagnostic in found:
                check_place(diagnostic.source, content)
            render_diagnostics(found)


def check_place(source: SourceRange | None, content: bytes) -> None:
    """A place that is named is one."""
    if source is None or not source.file.endswith("hostile.yaml"):
        return
    assert source.line >= 1
    assert source.column >= 1
    assert source.text in content.decode("utf-8", "replace")


@contextmanager
def bounded() -> Iterator[None]:
    """A block that may take some CPU time and memory, and no more."""
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MORE_BYTES
    before = signal.signal(signal.SIGVTALRM, _too_long)
    resource.setrlimit(resource.RLIMIT_AS, (limit, most))
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
        signal.signal(signal.SIGVTALRM, before)


def _too_long(_signal: int, _frame: FrameType | None) -> None:
    pytest.fail(f"it takes more than {CPU_SECONDS} s of CPU time")
