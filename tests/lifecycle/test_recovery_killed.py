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
    "rollback": (["db"], []),
    "failback": (["db"], []),
}
WITHOUT_NEWS = {"rollback", "failback"}
"""Made of what the others are made of: behind --slow."""


@pytest.mark.parametrize("mode", sorted(RUNNING.keys() - WITHOUT_NEWS))
def test_a_killed_run_ends_as_if_nothing_had_been(tmp_path: Path, mode: str) -> None:
    check(mode, "one", tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("mode", sorted(WITHOUT_NEWS))
def test_so_does_a_killed_run_that_leads_back(tmp_path: Path, mode: str) -> None:
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
    assert (0, "") == (done.returncode, done.stderr)
    unharmed, *killed, often = [json.loads(line) for line in done.stdout.splitlines()]
    names = ["db", "web"][: 1 if machines == "one" else 2]
    assert [
        sorted(found.replace("db", name) for found in at for name in names) for at in RUNNING[mode]
    ] == unharmed["running"]
    writes = {item["number"] for item in killed}
    assert set(range(1, len(writes) + 1)) == writes
    assert len(killed) > 10
    assert often["deaths"] > 0
    for run in (unharmed, *killed, often):
        assert ("succeeded", []) == (run["outcome"], run["undone"])
        assert (unharmed["mode"], unharmed["state"]) == (run["mode"], run["state"])
        # Before reprotection the old site has started its own again.
        assert [] == run["both"] or mode == "reprotect"
