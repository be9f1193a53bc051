"""Ctrl-C, termination, a reader that goes away and sudden death: every end leaves a state that the
next run understands."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.lifecycle.commandline import SECONDS, CommandLine

SLOW = {"call": "create", "effect": "delay", "seconds": 1.5, "times": 0}


def wait_for(process: subprocess.Popen[str], text: str) -> None:
    assert process.stdout is not None
    seen = ""
    while text not in seen:
        line = process.stdout.readline()
        assert line, seen
        seen += line


WAITS_WHILE_IT_IS_LOADED = """\
import sys, time

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == "provisioner.cli.main":
            print("loading", flush=True)
            time.sleep(30)

sys.meta_path.insert(0, Finder())
"""


def test_an_interruption_before_anything_is_begun_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(WAITS_WHILE_IT_IS_LOADED)
    process = subprocess.Popen(
        [sys.executable, "-m", "provisioner", "version"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for(process, "loading")
    process.send_signal(signal.SIGINT)
    assert ("", "") == process.communicate(timeout=SECONDS)
    assert -signal.SIGINT == process.returncode


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_request_finishes_what_is_under_way(shop: CommandLine, number: int) -> None:
    shop.faults(SLOW)
    process = shop.start("apply", "--yes")
    wait_for(process, ": creating")
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert 6 == process.returncode
    assert "Stopping after the steps under way" in err
    # The network and the pool were being made; the disk and the machine were not begun.
    assert ["Network/lan", "StoragePool/pool"] == shop.objects()
    assert "Not begun, because the run was stopped: Disk/web-root and VirtualMachine/web." in out
    assert 1 == out.count("Disk/web-root")
    (operation,) = shop("state", "history", "--json").json
    assert "interrupted" == operation["outcome"]
    shop.faults()
    assert 0 == shop("apply", "--yes").code
    assert 4 == len(shop.objects())


def test_the_second_request_abandons(shop: CommandLine) -> None:
    shop.faults({**SLOW, "seconds": 60.0})
    process = shop.start("apply", "--yes")
    wait_for(process, ": creating")
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while "Stopping" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=SECONDS)
    assert time.monotonic() - began < 20
    assert 6 == process.returncode
    assert "Abandoned, to be checked by the next run" in out
    (operation,) = shop("state", "history", "--json").json
    assert 2 == operation["summary"]["abandoned"]
    assert "The last run did not finish" in shop("state", "list").err
    shop.faults()
    assert 0 == shop("apply", "--yes").code
    assert 4 == len(shop.objects())


def test_one_request_is_enough_before_the_first_step(shop: CommandLine) -> None:
    """The plan is checked against the endpoint again; nothing can be left half done by then."""
    shop.faults({"call": "observe", "effect": "delay", "seconds": 3.0, "times": 0})
    shop("plan", "-o", "first.plan")
    process = shop.start("apply", "first.plan", "--verbose")
    wait_for(process, "Checking that the plan still fits")
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=SECONDS)
    assert 130 == process.returncode
    assert [] == shop.objects()


@pytest.mark.parametrize("command", ["plan", "drift", "apply"])
def test_one_request_is_enough_while_nothing_is_changed(shop: CommandLine, command: str) -> None:
    """An endpoint that does not answer cannot hold the program."""
    shop("apply", "--yes")
    shop.faults({"call": "observe", "effect": "delay", "seconds": 60.0, "times": 0})
    process = shop.start(command)
    assert process.stderr is not None
    while "Observing" not in process.stderr.readline():
        assert process.poll() is None
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=SECONDS)
    assert time.monotonic() - began < 20
    assert 130 == process.returncode
    assert "Traceback" not in err


def test_sudden_death_in_the_middle(shop: CommandLine) -> None:
    shop.faults({"call": "create", "address": "Disk/*", "effect": "kill-after"})
    process = shop.start("apply", "--yes")
    process.communicate(timeout=SECONDS)
    assert -signal.SIGKILL == process.returncode
    # Made, but nobody lived to write that down.
    assert "Disk/web-root" in shop.objects()
    assert "Disk/web-root" not in shop("state", "list").out
    shop.faults()
    assert 0 == shop("apply", "--yes").code
    assert 4 == len(shop.objects())
    assert 0 == shop("plan", "--detailed-exitcode").code


def test_an_apply_goes_on_when_its_reader_goes_away(shop: CommandLine) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen(
        shop.start_arguments("apply", "--yes"),
        cwd=shop.root,
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(writer)
    os.close(reader)
    _, err = process.communicate(timeout=SECONDS)
    assert 0 == process.returncode
    assert "Traceback" not in err
    assert "Broken" not in err
    assert 4 == len(shop.objects())


def test_two_at_once(shop: CommandLine) -> None:
    """The second one names who works, since when and on what, and changes nothing."""
    shop.faults(SLOW)
    first = shop.start("apply", "--yes")
    wait_for(first, ": creating")
    second = shop("apply", "--yes", "--json")
    assert 1 == second.code
    assert ["PRV4004"] == second.codes
    assert f"(process {first.pid})" in second.err
    assert "apply" in second.err
    shown = shop("state", "unlock")
    assert f"(process {first.pid}) for apply" in shown.out
    first.communicate(timeout=SECONDS)
    assert 0 == first.returncode


def test_a_lock_can_be_broken_by_its_token(shop: CommandLine) -> None:
    shop.faults({**SLOW, "seconds": 3.0})
    first = shop.start("apply", "--yes")
    wait_for(first, ": creating")
    token = shop("state", "unlock", "--json").json["lock"]["token"]
    assert 1 == shop("state", "unlock", "000000").code
    assert 0 == shop("state", "unlock", token).code
    assert "not locked" in shop("state", "unlock").out
    assert "not locked" in shop("state", "unlock", shop.root).out
    _, err = first.communicate(timeout=SECONDS)
    assert first.returncode in (1, 6)
    assert "PRV4005" in err


@pytest.mark.parametrize("json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("redirection", [">/dev/full", ">&-", "2>&-", ">&- 2>&-"])
def test_an_apply_goes_on_when_it_cannot_write(
    shop: CommandLine, redirection: str, json: list[str]
) -> None:
    program = shop.start_arguments("apply", "--yes", *json)
    finished = subprocess.run(
        ["sh", "-c", f'"$0" "$@" {redirection}', *program],
        cwd=shop.root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert 0 == finished.returncode
    assert ("2>&-" not in redirection) == ("PRV6017" in finished.stderr)
    assert 4 == len(shop.objects())
    (operation,) = shop("state", "history", "--json").json
    assert ("done", 4) == (operation["outcome"], operation["summary"]["done"])


def test_failures_are_told_when_the_output_is_lost(shop: CommandLine) -> None:
    shop.faults({"call": "create", "address": "Disk/*", "effect": "terminal", "times": 0})
    finished = subprocess.run(
        ["sh", "-c", '"$0" "$@" >/dev/full', *shop.start_arguments("apply", "--yes", "--json")],
        cwd=shop.root,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert 6 == finished.returncode
    assert "PRV5902" in finished.stderr
