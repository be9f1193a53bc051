"""The session in README.md is what the program really says: its commands are run on a real daemon,
and what comes is held against what stands there, but for times, ids and names of this machine.

``--update-goldens`` writes the session anew.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.person import Person, displayed

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^    .*\n(?:    .*\n|\n(?=    ))*", re.MULTILINE)
QUESTION = re.compile(r"^(Apply this plan\? \[y/N\]|To destroy this, .*\)): (.*)$", re.MULTILINE)
COMMAND = re.compile(r"^\$ (.+)$", re.MULTILINE)
SECONDS = 60

Exchange = tuple[str, str]
"""A command, and what comes of it."""


def exchanges(block: str) -> list[Exchange]:
    """What stands in one block of the README."""
    text = re.sub(r"^    ", "", block, flags=re.MULTILINE)
    parts = COMMAND.split(text)[1:]
    return [
        (command, output.strip("\n"))
        for command, output in zip(parts[::2], parts[1::2], strict=True)
    ]


def written(found: list[Exchange]) -> str:
    """One block of the README."""
    parts = [f"$ {command}\n{output}".rstrip() for command, output in found]
    texts = "".join(f"{part}\n" if "\n" not in part else f"{part}\n\n" for part in parts)
    return "".join(f"    {line}".rstrip() + "\n" for line in texts.rstrip("\n").split("\n"))


class Session:
    """Somebody at a terminal in the checkout, whose libvirt is one of the lab."""

    def __init__(self, home: Path, daemon: LibvirtDaemon) -> None:
        self._home = home
        self._folder = ROOT
        self._there = {"qemu:///session": daemon.uri}
        self._pool = str(daemon.directory / "readme")
        self._environ = {
            "HOME": str(home),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def run(self, command: str, expected: str) -> str:
        """Run one command; what it leaves on the screen."""
        for text, real in self._there.items():
            command = command.replace(text, real)
        if command.startswith("cd "):
            self._folder = Path(command[3:].replace("~", str(self._home)))
            self._stay_within_the_lab()
            return ""
        if command.startswith("provisioner console"):
            self._wait_for_the_guest()
        if not re.fullmatch(r"provisioner [^|]+", command):
            return self._shell(command)
        person = Person(self._folder, *_words(command)[1:], environ=self._environ)
        for question, answer in QUESTION.findall(expected):
            person.see(f"{question}: ")
            person.type(f"{answer}\n")
        person.leave()
        text = "\n".join(displayed(person.screen)).strip("\n")
        return text.replace(self._pool, _POOL).replace(str(self._home), _HOME)

    def _shell(self, command: str) -> str:
        finished = subprocess.run(
            ["bash", "-c", command],
            cwd=self._folder,
            env={**os.environ, **self._environ},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=3 * SECONDS,
        )
        assert 0 == finished.returncode, finished.stdout
        return finished.stdout.strip("\n").replace(str(self._home), _HOME)

    def _stay_within_the_lab(self) -> None:
        stack = self._folder / "stack.yaml"
        text = stack.read_text()
        for there, here in {**self._there, _POOL: self._pool}.items():
            assert there in text
            text = text.replace(there, here)
        stack.write_text(text)

    def _wait_for_the_guest(self) -> None:
        deadline = time.monotonic() + SECONDS
        while self._shell("provisioner console hello --log").count("LAB-SEQ") < 4:
            assert time.monotonic() < deadline
            time.sleep(0.5)


_HOME = "/home/ada"
_POOL = "/var/tmp/provisioner-quickstart"


def _words(command: str) -> list[str]:
    return re.findall(r"\S+", command)


def portable(text: str) -> str:
    """A session without what differs from run to run and from machine to machine."""
    for pattern, replacement in (
        (r"LAB-SEQ [0-9a-f]{8}", "LAB-SEQ n"),
        (r"in \d+\.\d s", "in n s"),
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "TIME"),
        (r"\d{8}T\d{6}Z-", "ID-"),
        (r", plan [0-9a-f]{12}", ", plan ID"),
    ):
        text = re.sub(pattern, replacement, text)
    # Steps that are carried out at the same time end in any order.
    done = r"(?:^ +[A-Z]\w+/\S+: \w+ in n s\n?)+"
    return re.sub(done, _sorted_lines, text, flags=re.MULTILINE)


def _sorted_lines(found: re.Match[str]) -> str:
    return "".join(f"{line}\n" for line in sorted(found[0].splitlines()))


def as_ada(text: str) -> str:
    """On paper it is ada who works at her desk; columns stay as wide as they have to be."""
    actor = r"\b[\w.-]+@[\w.-]+"
    width = max((len(name) for name in re.findall(actor, text)), default=0)
    padded = re.sub(rf"({actor}) *(?=  \S)", "ada@desk", text)
    return re.sub(r"WHO {2,}", "WHO       ", padded) if width else text


@pytest.fixture
def session(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Session]:
    """With a home of a few letters: long paths would be shown on lines of their own."""
    home = Path(tempfile.mkdtemp(prefix="h", dir="/tmp"))
    home.chmod(0o755)
    yield Session(home, libvirt_session)
    shutil.rmtree(home)


def test_the_session(session: Session, request: pytest.FixtureRequest) -> None:
    text = README.read_text(encoding="utf-8")
    before, title, rest = text.partition("## A session\n")
    body, end, after = rest.partition("## Read on\n")
    blocks = BLOCK.findall(body)
    assert len(blocks) > 5
    found = []
    for block in blocks:
        ran = [(command, session.run(command, output)) for command, output in exchanges(block)]
        found.append(as_ada(written(ran)))
    if request.config.getoption("--update-goldens"):
        for block, new in zip(blocks, found, strict=True):
            body = body.replace(block, new, 1)
        README.write_text(before + title + body + end + after, encoding="utf-8")
        return
    assert [portable(block) for block in blocks] == [portable(new) for new in found]
