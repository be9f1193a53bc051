"""SIGKILL at every point that ``plan -o FILE`` reaches: connecting, observation, the making of the
state, the writing of the plan file.

Afterwards there is the plan file of before or a whole new one, never a part of one under its name;
the state is whole; nothing was done; and the next plan is made and applied.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.failpoints import PLAN_FILE, PLAN_POINTS, STATE
from tests.faults.test_failpoints import RECORD, ROOT, reached
from tests.lifecycle.commandline import OBJECTS, SECONDS, CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

FILE = "next.plan"
LATER = [point for point in PLAN_POINTS if point.partition(".")[0] in ("read", *PLAN_FILE)]
"""Where it matters that there is a state, and a plan file, of before."""
CASES = [
    *(("first", point) for point in PLAN_POINTS),
    *(("later", point) for point in LATER),
]


def prepare(cli: CommandLine, which: str) -> None:
    """``first``: nothing was ever recorded. ``later``: something was applied, and there is a plan
    file of before.
    """
    if which == "later":
        cli.declare(LAN, POOL)
        assert 0 == cli("apply", "--yes").code
        cli.declare(LAN, POOL, DISK)
        assert 0 == cli("plan", "-o", FILE).code
    cli.declare(LAN, POOL, DISK, WEB)


def plan(cli: CommandLine, *kill: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.faults.failpoints", RECORD, *kill, "plan", "-o", FILE],
        cwd=cli.root,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )


def read(path: Path) -> bytes | None:
    return path.read_bytes() if path.exists() else None


@pytest.mark.parametrize("which", ["first", "later"])
def test_a_plan_reaches_all_these_points(cli: CommandLine, which: str) -> None:
    prepare(cli, which)
    finished = plan(cli)
    assert 0 == finished.returncode, finished.stderr
    expected = {point for case, point in CASES if case == which}
    found = {line["point"] for line in reached(cli.root)}
    assert expected == (found if which == "first" else found & expected)


@pytest.mark.parametrize(("which", "point"), CASES)
def test_a_plan_may_die_at_any_point(cli: CommandLine, which: str, point: str) -> None:
    prepare(cli, which)
    before, objects = read(cli.root / FILE), read(cli.root / OBJECTS)
    died = plan(cli, "--kill", point, "1")
    assert -signal.SIGKILL == died.returncode, died.stdout + died.stderr

    assert objects == (read(cli.root / OBJECTS) or objects)
    new = read(cli.root / FILE)
    assert (new != before) == (point in ("rename.after", "planfile.after"))
    if new is not None:
        assert 0 == cli("show", FILE).code
    if (cli.root / STATE).exists():
        assert 0 == cli("state", "verify").code
        assert "" == cli("state", "list").err

    assert 0 == cli("plan", "-o", FILE).code
    assert 0 == cli("apply", FILE).code
    assert 4 == len(cli.objects())
    assert 0 == cli("plan", "--detailed-exitcode").code
