"""Measuring a process: the figures are those of the process."""

import sys
from pathlib import Path

import pytest

from tests.bench.process import UnexpectedExitError, run


def python(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def test_cpu_is_what_the_process_burns_and_not_what_it_sleeps(tmp_path: Path) -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\ntime.sleep(0.3)"
    cost = run(python(code), tmp_path / "log")
    assert 0.3 <= cost.cpu < 0.6
    assert cost.wall >= 0.6


def test_cpu_counts_children_that_were_waited_for(tmp_path: Path) -> None:
    burn = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {burn!r}])"
    assert run(python(code), tmp_path / "log").cpu >= 0.3


def test_peak_is_what_the_process_held(tmp_path: Path) -> None:
    small = run(python("pass"), tmp_path / "log")
    large = run(python("bytearray(100 << 20)"), tmp_path / "log")
    # A process begins with the peak of its parent, which may be larger than a small one's own.
    assert large.peak >= 100
    assert large.peak >= small.peak


def test_another_exit_status_is_refused_with_the_output(tmp_path: Path) -> None:
    with pytest.raises(UnexpectedExitError, match=r"(?s)ended with 3:.*too bad"):
        run(python("print('too bad'); raise SystemExit(3)"), tmp_path / "log")


def test_an_expected_exit_status_is_taken(tmp_path: Path) -> None:
    run(python("raise SystemExit(2)"), tmp_path / "log", expected={2})


def test_the_process_reads_nothing(tmp_path: Path) -> None:
    run(python("import sys; raise SystemExit(sys.stdin.read() != '')"), tmp_path / "log")


def test_the_environment_is_ours_without_settings_of_what_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PYTHONHASHSEED", "TF_LOG", "OTHER"):
        monkeypatch.setenv(name, "1")
    log = tmp_path / "log"
    code = (
        "import os; print(*sorted(set(os.environ) & {*'PYTHONHASHSEED TF_LOG TF_X OTHER'.split()}))"
    )
    run(python(code), log, environment={"TF_X": "1"})
    assert "OTHER TF_X" == log.read_text().strip()
