"""Shares of the parts of the program in the time of a command."""

from pathlib import Path

import pytest

import provisioner
from tests.bench import estate, shares
from tests.bench.shares import PARTS, REST

HERE = Path(provisioner.__file__).parent
LOADER = (str(HERE / "manifest" / "loader.py"), 1, "load")
CODEC = (str(HERE / "state" / "codec.py"), 1, "decode")
LOADS = ("/usr/lib/python3/json.py", 1, "loads")
SCAN = ("~", 0, "<built-in scan>")


def entry(seconds: float, **callers: float) -> tuple[int, int, float, float, dict]:
    names = {"loader": LOADER, "codec": CODEC, "loads": LOADS, "scan": SCAN}
    return 1, 1, seconds, seconds, {names[who]: (1, 1, s, s) for who, s in callers.items()}


def test_what_others_do_counts_for_whoever_called_them() -> None:
    found = shares.shares(
        {
            LOADER: entry(1.0),
            CODEC: entry(2.0),
            LOADS: entry(4.0, loader=1.0, codec=3.0),
            SCAN: entry(8.0, loads=8.0),
        }
    )
    assert {PARTS["state"]: 2 + 3 + 6, PARTS["manifest"]: 1 + 1 + 2, REST: 0} == found


def test_what_nobody_called_is_the_rest() -> None:
    assert {REST: 3.0} == shares.shares({SCAN: entry(3.0)})


def test_what_calls_itself_in_a_circle_is_the_rest() -> None:
    assert {REST: 3.0} == shares.shares({LOADS: entry(1.0, scan=1.0), SCAN: entry(2.0, loads=2.0)})


def test_a_command_is_profiled_with_its_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    estate.write(tmp_path / "stack", 5)
    found = shares.shares(shares.profile(["apply", "--yes", str(tmp_path / "stack")]))
    assert set(PARTS.values()) <= set(found)
    assert all(found[name] > 0 for name in PARTS.values())
