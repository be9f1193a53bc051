"""SIGKILL of what carries out a runbook, at every point: whoever goes on comes to the same end."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from provisioner.workflows.journal import Journal
from provisioner.workflows.runs import Outcome, Run, What
from tests.faults.runbookpoints import RUNBOOK, carry_out

ROOT = Path(__file__).resolve().parents[2]
ONCE = Counter(["fence", "disk.1", "disk.2", "start", "gate"])
RESULTS = {
    "fence": [],
    "disk": ["fence"],
    "mail": ["fence"],
    "start": ["disk", "fence"],
    "gate": ["disk", "fence", "mail", "start"],
}


def effects(folder: Path) -> list[str]:
    file = folder / "world" / "effects"
    return file.read_text().split() if file.exists() else []


def check_end(folder: Path, run: Run, deaths: int) -> None:
    assert Outcome.SUCCEEDED is run.record.outcome
    assert {What.DONE} == {state.what for state in run.tasks.values()}
    assert RESULTS == {name: state.result["after"] for name, state in run.tasks.items()}
    found = effects(folder)
    count = Counter(found)
    mails = count.pop("mail")
    assert 1 <= mails <= 1 + deaths
    # A file that was made when its process died before it could say so is not in the list.
    assert count <= ONCE
    assert {*ONCE, "effects"} == {path.name for path in (folder / "world").iterdir()}
    order = {name.partition(".")[0]: place for place, name in reversed([*enumerate(found)])}
    for task in RUNBOOK.tasks:
        for needed in task.needs:
            assert order.get(needed, -1) < order.get(task.id, len(found))


def check_describable(folder: Path) -> None:
    """What its journal says after a death: nothing had an effect that was not begun."""
    journal = Journal(folder / "runs.db")
    last = journal.last()
    if last is None:
        assert [] == effects(folder)
        return
    run = journal.run(last.id)
    assert not last.is_open or journal.is_orphaned(last.id)
    for name in effects(folder):
        assert run.tasks[name.partition(".")[0]].what in (What.BEGUN, What.DONE)


@pytest.mark.parametrize("parallel", [1, 3])
def test_a_run_that_is_killed_anywhere_comes_to_the_same_end(tmp_path: Path, parallel: int) -> None:
    program = [sys.executable, "-m", "tests.faults.runbookpoints", str(tmp_path), str(parallel)]
    died = subprocess.run(
        program, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False
    )
    assert (0, "") == (died.returncode, died.stderr)
    folders = [path for path in tmp_path.iterdir() if path.name.isdigit()]
    reached = Counter[str]()
    for folder in sorted(folders, key=lambda path: int(path.name)):
        points = (folder / "points").read_text().split()
        if int(folder.name) < len(folders):
            assert int(folder.name) == len(points)
            reached[points[-1]] += 1
        check_describable(folder)
        last = Journal(folder / "runs.db").last()
        if last is None or last.outcome is not Outcome.SUCCEEDED:
            run = carry_out(folder, parallel=parallel)
        else:
            run = Journal(folder / "runs.db").run(last.id)
        check_end(folder, run, deaths=1)
    kinds = [f"effect.{when}" for when in ("before", "after")]
    kinds += [f"write.{when}" for when in ("before", "within", "after")]
    assert set(kinds) == reached.keys()
    if parallel == 1:
        # Six effects; the run begins, five tasks begin, the last one ends, the run ends.
        assert [6, 6, 8, 8, 8] == [reached[kind] for kind in kinds]

    often = tmp_path / "often"
    deaths = int((tmp_path / "deaths").read_text())
    assert deaths >= 2
    last = Journal(often / "runs.db").last()
    assert last is not None
    check_end(often, Journal(often / "runs.db").run(last.id), deaths)
