"""The program on real guests: what only a hypervisor can prove about consoles, snapshots and the
stack that ``init`` makes.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.person import Person

pytestmark = pytest.mark.live

SECONDS = 60
COUNT = re.compile(r"LAB-SEQ ([0-9a-f]{8})")


class Stack:
    """A folder with a stack, and the program in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def finish(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(
            [sys.executable, "-m", "provisioner", *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=3 * SECONDS,
        )

    def run(self, *arguments: str, expect: int = 0) -> str:
        """Run a command; its output."""
        finished = self.finish(*arguments)
        assert expect == finished.returncode, finished.stdout + finished.stderr
        return finished.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        path = self.folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    def count(self) -> int:
        """The newest number that the guest has said."""
        found = COUNT.findall(self.run("console", self.folder.name, "--log"))
        return int(found[-1], 16) if found else -1

    def wait_for_count(self, least: int) -> int:
        deadline = time.monotonic() + SECONDS
        while (count := self.count()) < least:
            assert time.monotonic() < deadline, f"the guest is at {count}, not yet at {least}"
            time.sleep(0.3)
        return count


def new_stack(daemon: LibvirtDaemon, tmp_path: Path, *options: str) -> Stack:
    """What ``init`` makes; only the daemon and the pool are others."""
    folder = tmp_path / "first"
    folder.mkdir()
    stack = Stack(folder)
    stack.run("init", *options)
    stack.edit("host.yaml", "uri: qemu:///session", f"uri: {daemon.uri}")
    text = (folder / "stack.yaml").read_text()
    pool = daemon.directory / tmp_path.name
    (folder / "stack.yaml").write_text(re.sub(r"default: /\S+", f"default: {pool}", text))
    return stack


@pytest.fixture
def made(libvirt_session: LibvirtDaemon, tmp_path: Path) -> Stack:
    """A stack whose machine has an empty disk."""
    return new_stack(libvirt_session, tmp_path)


@pytest.fixture
def counting(
    libvirt_session: LibvirtDaemon, tmp_path: Path, boot_image: BootImage
) -> Iterator[Stack]:
    """A stack whose machine boots an image: that of the guest that counts on its serial console."""
    made = new_stack(libvirt_session, tmp_path, "--image", str(boot_image.qcow2))
    made.edit("machine.yaml", "power: running", "power: running\n  shutdownTimeout: 500ms")
    made.run("apply", "--yes")
    yield made
    made.run("destroy", "--yes")


def test_what_init_makes_plans_and_applies_as_it_is(made: Stack) -> None:
    assert "Plan: 4 to create." in made.run("plan")
    made.run("apply", "--yes")
    assert "Nothing to do: 4 resources as declared." in made.run("plan", "--detailed-exitcode")
    assert "No drift" in made.run("drift")
    made.run("destroy", "--yes")
    assert "Nothing to destroy." in made.run("destroy", "--yes")


def test_a_machine_without_a_system_is_silent_and_the_program_is_not(made: Stack) -> None:
    made.run("apply", "--yes")
    log = made.finish("console", "first", "--log")
    assert (0, "") == (log.returncode, log.stdout)
    assert "VirtualMachine/first has written nothing on its serial console" in log.stderr
    made.run("destroy", "--yes")


def test_serial_log(counting: Stack) -> None:
    assert counting.wait_for_count(1) >= 1


def test_serial_console_on_a_terminal(counting: Stack) -> None:
    person = Person(counting.folder, "console", "first")
    person.see("Ctrl-] leaves")
    person.see("LAB-SEQ")
    person.type("\x1d")
    assert 0 == person.leave()
    assert "Left VirtualMachine/first." in person.screen
    # The guest does not notice.
    seen = counting.count()
    assert counting.wait_for_count(seen + 1) > seen


def test_serial_console_through_pipes(counting: Stack) -> None:
    console = subprocess.Popen(
        [sys.executable, "-m", "provisioner", "console", "first"],
        cwd=counting.folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert console.stdout is not None
    seen = b""
    while b"LAB-SEQ" not in seen:
        data = os.read(console.stdout.fileno(), 100)
        assert data
        seen += data
    _, err = console.communicate(timeout=SECONDS)
    assert (0, b"") == (console.returncode, err)


def test_graphical_console(counting: Stack) -> None:
    counting.run("console", "first", "--graphics", expect=1)
    counting.edit(
        "machine.yaml", "  shutdownTimeout", "  console: {graphics: vnc}\n  shutdownTimeout"
    )
    counting.run("apply", "--yes", "--max-impact", "restart")
    found = json.loads(counting.run("console", "first", "--graphics", "--json"))
    assert "vnc" == found["protocol"]
    assert re.fullmatch(r"vnc://127\.0\.0\.1:\d+", found["uri"])


def test_going_back_to_a_snapshot(counting: Stack) -> None:
    taken = counting.wait_for_count(2)
    (counting.folder / "snapshot.yaml").write_text(
        "apiVersion: provisioner/v1\n"
        "kind: Snapshot\n"
        "metadata: {name: before}\n"
        "spec: {machine: first, memory: true}\n"
    )
    counting.run("apply", "--yes")
    later = counting.wait_for_count(taken + 6)
    counting.run("snapshot", "revert", "before", expect=1)
    counting.run("snapshot", "revert", "before", "--yes")
    deadline = time.monotonic() + SECONDS
    while not taken <= counting.count() < later:
        assert time.monotonic() < deadline
    (counting.folder / "snapshot.yaml").unlink()
    counting.run("apply", "--yes", "--max-impact", "replace")
