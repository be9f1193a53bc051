"""Files that cannot be read as manifests, beside a stack that was applied: each is named, none is
waited for, nothing changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.lifecycle.commandline import SECONDS, CommandLine, Finished
from tests.lifecycle.refused import COMMANDS, check_errors, check_refused, diagnostics
from tests.lifecycle.unharmed import unharmed

MIB = 2**20


def large(path: Path) -> None:
    with path.open("wb") as stream:
        stream.truncate(60 * MIB)


def latin_1(path: Path) -> None:
    path.write_bytes("kind: Network\nmetadata: {name: Köln}\n".encode("latin-1"))


def utf_16(path: Path) -> None:
    path.write_bytes("kind: Network\n".encode("utf-16"))


def binary(path: Path) -> None:
    path.write_bytes(b"kind: Network\n\x00\x01\x02\n")


def cut_off(path: Path) -> None:
    path.write_bytes(("kind: Network\n# " + "ü" * 9).encode()[:-1])


def dangling(path: Path) -> None:
    path.symlink_to("nowhere.yaml")


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (large, "PRV1004 x.yaml:1:1 60.0 MiB, at most 32 MiB are read | Split it"),
        (latin_1, "PRV1005 x.yaml:2:19 byte 0xF6 is not UTF-8 | iconv -f LATIN1"),
        (utf_16, "PRV1005 x.yaml:1:1 the file is UTF-16, expected UTF-8 | iconv -f UTF-16"),
        (binary, "PRV1007 x.yaml:2:1 control character U+0000 in a manifest"),
        (cut_off, "PRV1005 x.yaml:2:11 byte 0xC3 is not UTF-8"),
        (dangling, "PRV1002 x.yaml:1:1 the file cannot be read | No such file or directory"),
        (os.mkfifo, "PRV1006 x.yaml:1:1 not a regular file | could block for ever"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
def test_a_file_that_is_no_manifest(
    applied: CommandLine, make: Callable[[Path], None], error: str
) -> None:
    with unharmed(applied):
        make(applied.root / "x.yaml")
        check_refused(applied, [error])


ARCHIVE = """\
apiVersion: provisioner/v1
kind: StoragePool
metadata: {name: archive}
spec:
  type: dir
  path: /srv/archive
"""
GUEST = """\
apiVersion: provisioner/v1
kind: Image
metadata: {name: guest}
spec: {pool: pool, source: {file: "${var.image}"}, format: qcow2}
"""
VARIABLES = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: test}
spec: {variables: {image: {type: string, default: guest.qcow2}}}
"""


@pytest.mark.parametrize("name", ["archive.yaml", "sub/archive.yaml"])
def test_a_manifest_that_was_broken_takes_nothing_away(applied: CommandLine, name: str) -> None:
    """An image whose file is a variable could be any file, but is only the one that is named."""
    applied.write("guest.qcow2", "")
    applied.write("stack.yaml", VARIABLES)
    applied.write("guest.yaml", GUEST)
    applied.write(name, ARCHIVE)
    assert 0 == applied("apply", "--yes").code
    with unharmed(applied):
        applied.write(name, ARCHIVE.replace("  path", "\tpath"))
        check_refused(applied, [f"PRV1011 {name}:6:1 a tab is used for indentation"])
        applied.write(name, ARCHIVE)
    assert "StoragePool/archive" in applied.objects()


VALIDATE_AND_TELL_MEMORY = """
import re, sys
from pathlib import Path
from provisioner.cli.main import run
code = run(["validate"])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
sys.exit(code)
"""


def test_sixty_mebibytes_are_not_read(applied: CommandLine) -> None:
    """Neither the time nor the memory that they would take is spent."""
    large(applied.root / "x.yaml")
    # The kernel's own count of a process begins with what the one that started it had.
    result = subprocess.run(
        [sys.executable, "-c", VALIDATE_AND_TELL_MEMORY],
        cwd=applied.root,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert 1 == result.returncode, result.stderr
    assert int(result.stdout) < 150 * 1024  # KiB


def test_a_folder_that_is_called_like_a_file_is_a_folder(applied: CommandLine) -> None:
    (applied.root / "x.yaml").mkdir()
    assert 0 == applied("plan", "--detailed-exitcode").code
    applied.write("x.yaml/more.yaml", "kind: Netwrk\n")
    check_refused(applied, ["PRV1102 x.yaml/more.yaml:1:7 unknown kind 'Netwrk'"])


def without_privilege() -> list[str]:
    """What a command line begins with so that the modes of files bind it, even for root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("needs setpriv (util-linux), or not to run as root")
    return [setpriv, "--bounding-set", "-dac_override,-dac_read_search"]


@pytest.mark.parametrize("name", ["closed.yaml", "closed"])
def test_what_may_not_be_read(applied: CommandLine, name: str) -> None:
    """A file, or a whole folder: nobody knows what it declares."""
    path = applied.root / name
    with unharmed(applied):
        if path.suffix:
            path.write_text("kind: Network\n")
        else:
            path.mkdir()
        path.chmod(0)
        for command in COMMANDS:
            process = subprocess.run(
                [*without_privilege(), *applied.start_arguments(*command, "--json")],
                cwd=applied.root,
                capture_output=True,
                text=True,
                timeout=SECONDS,
            )
            assert 1 == process.returncode
            found = diagnostics(Finished(process.returncode, process.stdout, process.stderr))
            check_errors(applied.root, found, [f"PRV1002 {name}:1:1 Permission denied"])
        path.chmod(0o700)


def test_a_stack_where_nobody_may_go(applied: CommandLine) -> None:
    """The folder above is closed; so nobody knows whether there is a stack at all."""
    closed = applied.root / "closed"
    (closed / "stack").mkdir(parents=True)
    closed.chmod(0)
    process = subprocess.run(
        [*without_privilege(), *applied.start_arguments("validate", "closed/stack")],
        cwd=applied.root,
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    closed.chmod(0o700)
    assert 1 == process.returncode
    assert "error[PRV6003]: 'closed/stack' cannot be looked at: Permission denied" in process.stderr


def test_a_folder_whose_name_is_too_long(applied: CommandLine) -> None:
    refused = applied("validate", "x" * 5000)
    assert 1 == refused.code
    assert "File name too long" in refused.err
    assert len(refused.err) < 400
