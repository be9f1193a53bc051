"""Runs of a recovery plan that are killed wherever their journal is written: resumed, they end as
if nothing had been, and no machine ever runs at both sites.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lifecycle import killing

ROOT = Path(killing.__file__).parents[2]
RUNNING = {
    "test": (["db"], ["drill-shop-db"]),
    "cleanup": (["db"], []),
    "migrate": ([], ["db"]),
    "failover": ([], ["db"]),
    "reprotect": ([], ["db"]),
}


@pytest.mark.parametrize("mode", RUNNING)
def test_a_killed_run_ends_as_if_nothing_had_been(tmp_path: Path, mode: str) -> None:
    check(mode, "one", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", RUNNING)
def test_so_does_a_killed_run_of_machines_that_need_one_another(tmp_path: Path, mode: str) -> None:
    check(mode, "two", tmp_path)


def check(mode: str, machines: str, folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.lifecycle.killing", mode, machines, str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "" == done.stderr
    runs = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(runs) > 10
    names = ["db", "web"][: 1 if machines == "one" else 2]
    expected = [
        sorted(found.replace("db", name) for found in at for name in names) for at in RUNNING[mode]
    ]
    for run in runs:
        assert ("succeeded", expected) == (run["outcome"], run["running"])
        assert runs[-1]["objects"] == run["objects"]
        # Before reprotection the old site has started its own again.
        assert [] == run["both"] or mode == "reprotect"
