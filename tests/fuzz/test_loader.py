"""Whatever stands in the files of a stack, the loader ends soon, with a stack or with diagnostics
that can be shown: no crash, no more than two seconds, no more than half a gigabyte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import example, given

from tests.fuzz import loading
from tests.fuzz.hostile import FILES
from tests.fuzz.loading import Crash, Hang, LoaderProcess


@pytest.fixture(scope="module")
def loader() -> Iterator[LoaderProcess]:
    with LoaderProcess() as process:
        yield process


@given(content=FILES)
@example(content=b"a: " * 20_000)
@example(content=b"[" * 100_000)
@example(content=b"- " * 50_000)
@example(content=b"? " * 50_000)
@example(content=b"a: &a [" + b"*a, " * 50_000)
@example(content=b"'" + b"x\n" * 100_000)
@example(content=b"&x " * 50_000)
@example(content=("k: " + "!" * 100_000).encode())
@example(content=b"\xff\xfe" * 1000)
def test_the_loader_ends_with_a_stack_or_with_diagnostics(
    loader: LoaderProcess, content: bytes
) -> None:
    for diagnostic in loader.load(content):
        check_place(diagnostic.get("source"), content)


def check_place(source: Mapping[str, Any] | None, content: bytes) -> None:
    """A place that is named is one."""
    if source is None or not source["file"].endswith("hostile.yaml"):
        return
    assert source["line"] >= 1
    assert source["column"] >= 1
    assert source["text"] in content.decode("utf-8", "replace")


# What is held against the loader is held against anything

WORK = {
    "computes without end": ("while True: pass", Hang, "of CPU time"),
    "computes without end in C": (f"import re; re.match('(a+)+$', '{'a' * 40}b')", Hang, "of CPU"),
    "takes all memory": ("bytearray(1 << 30)", Crash, "MemoryError"),
    "recurses": ("f = lambda: f(); f()", Crash, "RecursionError"),
    "dies": ("import os; os.abort()", Crash, "ended with -6"),
}


@pytest.mark.parametrize("what", WORK)
def test_what_is_no_way_to_end_is_noticed(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "CPU_SECONDS", 0.3)
    code, kind, words = WORK[what]
    program = (
        "from tests.fuzz.loading import serve\n"
        f"def work(content):\n    if content: exec({code!r}, {{}})\n    return []\n"
        "serve(work)\n"
    )
    with LoaderProcess(("-c", program)) as process:
        assert [] == process.load(b"")
        with pytest.raises(kind, match=words):
            process.load(b"x")
        assert [] == process.load(b"")


def test_waiting_without_end_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loading, "SECONDS", 0.5)
    program = (
        "from tests.fuzz.loading import serve\nimport time\n"
        "serve(lambda content: time.sleep(3600))\n"
    )
    with LoaderProcess(("-c", program)) as process, pytest.raises(Hang, match="by the clock"):
        process.load(b"x")
