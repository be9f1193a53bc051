"""The lock on a stack's state: a dead process loses it to the next run, a living one keeps it
whatever it does.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lifecycle.commandline import SECONDS, CommandLine, Finished
from tests.lifecycle.refused import diagnostics
from tests.lifecycle.test_cli_interrupt import wait_for

SLOW = {"call": "create", "address": "Network/lan", "effect": "delay", "seconds": 4.0}
DEADLY = {"call": "create", "address": "Disk/*", "effect": "kill-before"}


def test_that_of_a_dead_process_is_taken_over(shop: CommandLine) -> None:
    shop.faults(DEADLY)
    dead = shop.start("apply", "--yes")
    dead.communicate(timeout=SECONDS)
    assert -signal.SIGKILL == dead.returncode
    shop.faults()
    finished = shop("apply", "--yes")
    assert 0 == finished.code
    told = finished.out + finished.err
    assert "Took over the lock of" in told
    assert f"(process {dead.pid})" in told
    assert 4 == len(shop.objects())
    assert "not locked" in shop("state", "unlock").out


@pytest.mark.parametrize("stopped", [False, True], ids=["working", "stopped"])
def test_that_of_a_living_process_is_respected(shop: CommandLine, stopped: bool) -> None:
    """Even if it does not move (SIGSTOP): it may go on at any time, and does."""
    shop.faults(SLOW)
    first = shop.start("apply", "--yes")
    try:
        wait_for(first, "Network/lan: creating")
        if stopped:
            time.sleep(0.5)  # past the writing of intents, in the middle of the calls
            first.send_signal(signal.SIGSTOP)
        for command in ("apply", "destroy"):
            check_refused(shop(command, "--yes", "--json"), first)
        # What changes nothing may go on.
        assert 0 == shop("plan").code
        assert 0 == shop("state", "history").code
    finally:
        first.send_signal(signal.SIGCONT)
        first.communicate(timeout=SECONDS)
    assert 0 == first.returncode
    assert 4 == len(shop.objects())


def check_refused(refused: Finished, holder: subprocess.Popen[str]) -> None:
    """It names who holds the lock, since when, and doing what."""
    (problem,) = diagnostics(refused)
    assert (1, "PRV4004") == (refused.code, problem["code"])
    assert f"(process {holder.pid})" in problem["summary"]
    assert re.search(
        r"Held since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \(UTC\) for apply", problem["detail"]
    )
    assert "provisioner state unlock" in problem["hint"]


def test_a_number_that_is_used_again_is_another_process(shop: CommandLine) -> None:
    """The process that held the lock is gone, and its number belongs to somebody else now."""
    shop.faults(DEADLY)
    dead = shop.start("apply", "--yes")
    dead.communicate(timeout=SECONDS)
    heir = process_with(dead.pid)
    try:
        shop.faults()
        assert 0 == shop("apply", "--yes").code
    finally:
        heir.kill()
        heir.wait()


def process_with(pid: int) -> subprocess.Popen[bytes]:
    """A process that has this number; skips where numbers cannot be chosen."""
    for _ in range(50):
        try:
            Path("/proc/sys/kernel/ns_last_pid").write_text(str(pid - 1))
        except OSError as problem:
            pytest.skip(
                f"needs to choose the number of a process: {os.strerror(problem.errno or 0)}"
            )
        process = subprocess.Popen(["sleep", "60"])
        if process.pid == pid:
            return process
        process.kill()
        process.wait()
        time.sleep(0.01)
    pytest.skip("the number of the process was taken by others")


HASTY = """\
import sys
from datetime import timedelta
from provisioner.cli.main import run
from provisioner.engine import apply
apply.LEASE = timedelta(seconds=1)
sys.exit(run(sys.argv[1:]))
"""
"""The program with a lease of one second."""


def test_a_stopped_process_whose_lock_was_broken_begins_nothing_more(
    shop: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sleeps past its lease, somebody breaks its lock and does the work; then it goes on."""
    shop.faults(SLOW)
    with monkeypatch.context() as hasty:
        arguments = staticmethod(lambda *given: [sys.executable, "-c", HASTY, *given])
        hasty.setattr(CommandLine, "start_arguments", arguments)
        first = shop.start("apply", "--yes", "--parallel", "1", "--json")
    try:
        wait_for(first, '"step-started"')
        time.sleep(0.5)
        first.send_signal(signal.SIGSTOP)
        time.sleep(1.5)
        shop.faults()
        # A lease that ran out takes the lock from nobody.
        (refused,) = diagnostics(shop("apply", "--yes", "--json"))
        assert "Its lease ran out" in refused["detail"]
        assert [] == shop.objects()
        token = refused["hint"].split()[-1]
        assert 0 == shop("state", "unlock", token).code
        assert 0 == shop("apply", "--yes").code
        made = shop.outside.objects()
        records = shop("state", "list", "--json").json["resources"]
        operations = [item["operation"] for item in shop("state", "history", "--json").json]
    finally:
        first.send_signal(signal.SIGCONT)
        out, err = first.communicate(timeout=SECONDS)
    assert 1 == first.returncode, out + err
    events = [json.loads(line) for line in out.splitlines()]
    failed = [event for event in events if event["event"] == "step-failed"]
    assert {"PRV4005"} == {event["diagnostic"]["code"] for event in failed}
    assert [] == [event for event in events if event["event"] == "step-finished"]
    # Neither what it made nor what it tells takes anything from what the other one has done.
    assert made == shop.outside.objects()
    assert records == shop("state", "list", "--json").json["resources"]
    assert operations == [item["operation"] for item in shop("state", "history", "--json").json]
    assert [] == shop("plan", "--json").json["steps"]
    assert 0 == shop("state", "verify").code
    assert "" == shop("state", "list").err
