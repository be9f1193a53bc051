"""The file that tells since when drift is known, under runs at the same time."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from provisioner.state import sightings
from provisioner.state.sightings import Sweep, remember

LINEAGE = "6f9619ff-8b86-4d01-b42d-00c04fc964ff"


def sweep(at: str, **marks: list[str]) -> Sweep:
    return Sweep(at, marks, (), ["a", "b"])


def test_runs_at_the_same_time_do_not_damage_it(tmp_path: Path) -> None:
    path = tmp_path / sightings.NAME

    def run(number: int) -> list[str]:
        _, notes = remember(path, LINEAGE, sweep(str(number), a=[f"m{number}"] * (number % 7)))
        return [note.code for note in notes]

    with ThreadPoolExecutor(8) as pool:
        told = list(pool.map(run, range(200)))
    assert [[]] * 200 == told
    assert sightings.FORMAT == json.loads(path.read_text())["format"]
    assert [path] == list(tmp_path.iterdir())


def test_what_is_recorded_no_more_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / sightings.NAME
    remember(path, LINEAGE, Sweep("1", {"gone": ["m"], "a": ["m"]}, (), ["gone", "a"]))
    remember(path, LINEAGE, sweep("2", b=["m"]))
    assert {"a": {"m": "1"}, "b": {"m": "2"}} == json.loads(path.read_text())["seen"]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / sightings.NAME
    remember(path, LINEAGE, sweep("1", a=["m"]))
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    seen, notes = remember(path, LINEAGE, sweep("2", a=["m", "n"]))
    assert ({"a": {"m": "1", "n": "2"}}, ["PRV2106"]) == (seen, [note.code for note in notes])
    assert (before, [path]) == (path.read_bytes(), list(tmp_path.iterdir()))
