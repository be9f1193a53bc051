"""Image files on this machine: what they are taken for, and what is sent of them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner_plugins.vmware.storage.local_file import local_file

CONTENT = b"x" * 3 * 2**20


def deadline(seconds: float = 60.0) -> Deadline:
    return Deadline.after(seconds, SystemClock())


def silent(_done: int, _total: int) -> None:
    pass


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("form", ["iso", "raw"])
def test_a_plain_file_is_sent_as_it_is(file: Path, form: str) -> None:
    found = local_file(file, form)
    assert len(CONTENT) == found.capacity
    assert CONTENT == b"".join(found.content(silent, deadline()))
    assert hashlib.sha256(CONTENT).hexdigest() == found.checksum(silent, deadline())


def test_progress_is_told(file: Path) -> None:
    told: list[tuple[int, int]] = []
    b"".join(local_file(file, "raw").content(lambda *it: told.append(it), deadline()))
    assert (len(CONTENT), len(CONTENT)) == told[-1]


@pytest.mark.parametrize(
    ("content", "form", "code"),
    [
        (b"", "iso", "PRV5351"),
        (b"QFI\xfb".ljust(1024), "raw", "PRV5353"),
        (b"KDMV".ljust(1024, b"\0"), "raw", "PRV5353"),
        (b"KDMV".ljust(1024, b"\0"), "vmdk", "PRV5353"),
        (b"# Disk DescriptorFile\n".ljust(1024), "vmdk", "PRV5353"),
        (b"x" * 1024, "vmdk", "PRV5353"),
        (b"x" * 1025, "raw", "PRV5353"),
    ],
    ids=["empty", "qcow2", "vmdk for raw", "damaged", "descriptor", "raw for vmdk", "odd"],
)
def test_what_is_something_else_is_refused(
    tmp_path: Path, content: bytes, form: str, code: str
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(Terminal) as caught:
        local_file(path, form)
    assert code == caught.value.diagnostic.code


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(Terminal) as caught:
        local_file(tmp_path / "none", "iso")
    assert "PRV5351" == caught.value.diagnostic.code


def test_a_file_that_changes_while_it_is_sent_is_not_taken(file: Path) -> None:
    content = local_file(file, "raw").content(silent, deadline())
    next(content)
    with file.open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(ProviderError) as caught:
        list(content)
    assert isinstance(caught.value, Terminal)


def test_a_copy_ends_with_its_time(file: Path) -> None:
    with pytest.raises(Retryable) as caught:
        list(local_file(file, "raw").content(silent, deadline(-1.0)))
    assert "PRV5352" == caught.value.diagnostic.code
