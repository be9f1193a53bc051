"""What an image file is, told by how it begins."""

import hashlib
from pathlib import Path

import pytest

from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.local_image import file_checksum, local_file

MIB = 1 << 20


def qcow2(capacity: int) -> bytes:
    """A header without a backing file (QEMU, docs/interop/qcow2.txt)."""
    return b"QFI\xfb" + (3).to_bytes(4, "big") + bytes(16) + capacity.to_bytes(8, "big")


@pytest.mark.parametrize(
    ("content", "kind", "capacity"),
    [(qcow2(8 * MIB), "qcow2", 8 * MIB), (b"x" * 1000, "raw", 1000), (b"x" * 1000, "iso", 1000)],
)
def test_what_is_in_a_file(tmp_path: Path, content: bytes, kind: str, capacity: int) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    assert (path, len(content), capacity) == local_file(path, kind)


@pytest.mark.parametrize(
    ("content", "kind", "code", "words", "field"),
    [
        (qcow2(MIB), "raw", "PRV5131", "a qcow2 file", "format"),
        (b"x" * 99, "qcow2", "PRV5131", "a format other than qcow2", "format"),
        (b"\xfd7zXZ\x00\x00", "raw", "PRV5131", "a xz file", "format"),
        (b"\x1f\x8b\x08", "qcow2", "PRV5131", "a gzip file", "format"),
        (b"KDMV\x01", "raw", "PRV5131", "a VMDK file", "format"),
        (b"", "raw", "PRV5130", "0 bytes", "source.file"),
    ],
)
def test_a_file_of_another_kind(  # noqa: PLR0917 - a table's columns
    tmp_path: Path, content: bytes, kind: str, code: str, words: str, field: str
) -> None:
    path = tmp_path / "image"
    path.write_bytes(content)
    with pytest.raises(Terminal) as caught:
        local_file(path, kind)
    found = caught.value.diagnostic
    assert (code, field) == (found.code, ".".join(found.path))
    assert words in found.detail


def test_a_checksum_with_its_progress(tmp_path: Path) -> None:
    content = bytes(range(256)) * 16_384
    path = tmp_path / "image"
    path.write_bytes(content)
    reports: list[tuple[int, int]] = []
    found = file_checksum(
        local_file(path, "raw"),
        lambda *report: reports.append(report),
        Deadline.after(60, SystemClock()),
    )
    assert hashlib.sha256(content).hexdigest() == found
    assert (4 * MIB, 4 * MIB) == reports[-1]
