"""Who may work on a replica, and who is put out."""

import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

libvirt = pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock  # noqa: E402
from provisioner.providers.api import Retryable, Terminal  # noqa: E402
from provisioner_plugins.kvm.replication import locks  # noqa: E402
from provisioner_plugins.kvm.replication.shell import Shell  # noqa: E402

HERE = Shell("lab")


def soon(seconds: float = 20) -> Deadline:
    return Deadline.after(seconds, SystemClock())


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.5)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "lock")


def held(path: str, about: str = "VirtualMachine/web", **how: Any) -> Any:
    return locks.held(HERE, path, about, datetime(2026, 1, 2, tzinfo=UTC), soon(), **how)


def code(action: Any) -> str:
    with pytest.raises((Terminal, Retryable)) as refused:
        action()
    problem: Any = refused.value
    return str(problem.diagnostic.code)


def test_one_at_a_time_holds_it(path: str) -> None:
    with held(path), pytest.raises(Retryable) as refused, held(path):
        pass
    found = refused.value.diagnostic
    assert ("PRV5358", True) == (found.code, "since 2026-01-02T00:00:00Z" in found.detail)
    with held(path):
        pass


@pytest.mark.parametrize(
    ("ends", "expected"),
    [
        ("echo 'No route to host' >&2; exit 255", ("PRV5362", "No route to host")),
        ("echo 'no such folder' >&2; exit 2", ("PRV5360", "no such folder")),
        ("sleep 60", ("PRV5362", "")),
    ],
)
def test_a_host_that_gives_no_answer_has_no_other_holder(
    path: str, ends: str, expected: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "ANSWER_SECONDS", 1.0)
    far, now = Shell("far", ("sh", "-c", ends)), datetime(2026, 1, 2, tzinfo=UTC)
    for puts_out in (False, True):
        with (
            pytest.raises((Terminal, Retryable)) as refused,
            locks.held(far, path, "VirtualMachine/web", now, soon(), puts_out=puts_out),
        ):
            pass
        found: Any = refused.value
        assert expected[0] == found.diagnostic.code
        assert expected[1] in found.diagnostic.detail


def test_it_is_readable_by_its_user_alone(path: str) -> None:
    with held(path):
        assert 0o600 == Path(path).stat().st_mode & 0o777


def test_who_waits_for_it_gets_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 10.0)
    inside, leave = threading.Event(), threading.Event()
    ended_well: list[bool] = []

    def work() -> None:
        with held(path) as shell:
            inside.set()
            leave.wait(10)
            shell.run(("true",), soon())
        ended_well.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    inside.wait(10)
    threading.Timer(0.5, leave.set).start()
    with held(path, puts_out=True):
        assert [True] == ended_well
    thread.join()


def test_who_was_put_out_runs_nothing_more(path: str, tmp_path: Path) -> None:
    mark = tmp_path / "mark"

    def late() -> None:
        with held(path) as old:
            old.run(("true",), soon())
            with held(path, puts_out=True) as new:
                new.run(("true",), soon())
                assert "PRV5386" == code(lambda: old.run(("touch", str(mark)), soon()))
            # Nor once the other one has ended.
            old.run(("touch", str(mark)), soon())

    assert ("PRV5386", False) == (code(late), mark.exists())


def test_what_the_one_who_was_put_out_had_running_is_ended(path: str, tmp_path: Path) -> None:
    mark, failed = tmp_path / "mark", []

    def late() -> None:
        with held(path) as old:
            text = 'trap "" TERM; touch "$1.begun"; while :; do sleep 0.1; touch "$1"; done'
            old.script(text, (str(mark),), soon())

    thread = threading.Thread(target=lambda: failed.append(code(late)))
    thread.start()
    while not Path(f"{mark}.begun").exists():
        time.sleep(0.02)
    with held(path, puts_out=True):
        mark.unlink(missing_ok=True)
        time.sleep(0.5)
        assert not mark.exists()
    thread.join()
    assert ["PRV5386"] == failed


@pytest.fixture
def left_behind(path: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """What a caller had running that was killed."""
    with held(path) as shell:
        us = shell.lock[1]
    ready = tmp_path / "ready"
    argv = ("sh", "-c", f"exec 9<{path}; touch {ready}; exec sleep 60", us)
    with subprocess.Popen(argv) as process:
        while not ready.exists():
            time.sleep(0.02)
        yield process
        process.kill()


def test_what_a_killed_caller_had_running_is_ended_by_the_next(
    path: str, left_behind: subprocess.Popen[bytes]
) -> None:
    with held(path):
        assert -signal.SIGTERM == left_behind.wait(5)


def test_what_cannot_be_read_any_more_is_no_lock_that_is_held(path: str) -> None:
    def lost() -> None:
        with held(path) as shell:
            Path(path).unlink()
            shell.run(("true",), soon())

    assert "PRV5386" == code(lost)


def test_an_error_of_the_work_stays_what_it_is(path: str) -> None:
    def failing() -> None:
        with held(path) as shell:
            shell.run(("false",), soon())

    assert "PRV5360" == code(failing)
