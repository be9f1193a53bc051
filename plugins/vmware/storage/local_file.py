"""Image files on this machine: what they are, their SHA-256, and what is sent of them. Called by
the Image and Disk handlers. Imports no pyvmomi.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.units import format_size
from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins.vmware.storage.sparse import (
    MAGIC,
    Header,
    UnreadableDiskError,
    grains,
    header_of,
)

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""

_CHUNK = 1 << 20
_KIB = 1024
_REPORT_SECONDS = 0.2
_HEAD = 64
_NO_IMAGE = {
    b"QFI\xfb": "qcow2",
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
    MAGIC: "VMDK",
    b"# Disk DescriptorFile": "VMDK descriptor",
    b"vhdxfile": "VHDX",
}
"""How files begin that people take for something else."""


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file to upload, as it was when it was looked at. ``size``: its bytes. ``capacity``: what is
    sent of it, which is the disk in it.
    """

    path: Path
    size: int
    changed: float
    capacity: int
    header: Header | None = None

    def checksum(self, report: Report, deadline: Deadline) -> str:
        """SHA-256 of the file in hexadecimal digits; raises Terminal (PRV5351), Retryable
        (PRV5352).
        """
        digest = hashlib.sha256()
        for chunk in metered(self._chunks(), self.size, report, deadline):
            digest.update(chunk)
        return digest.hexdigest()

    def content(self, report: Report, deadline: Deadline) -> Iterator[bytes]:
        """What is sent, ``capacity`` bytes; raises Terminal (PRV5351 also for a file that was
        changed meanwhile, PRV5353), Retryable (PRV5352).
        """
        chunks = self._chunks() if self.header is None else self._grains(self.header)
        yield from metered(chunks, self.capacity, report, deadline)
        require_unchanged(self.path, self.size, self.changed)

    def _chunks(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    yield chunk
        except OSError as problem:
            raise unreadable(self.path, problem) from problem

    def _grains(self, header: Header) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as stream:
                yield from grains(stream, header)
        except OSError as problem:
            raise unreadable(self.path, problem) from problem
        except UnreadableDiskError as problem:
            raise Terminal(_damaged(self.path, problem)) from problem


def local_file(path: Path, form: str) -> LocalFile:
    """Look at a file before anything is sent; raises Terminal (PRV5351, PRV5353)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            found = next((name for magic, name in _NO_IMAGE.items() if head.startswith(magic)), "")
            header = header_of(stream) if (found, form) == ("VMDK", "vmdk") else None
        status = path.stat()
    except OSError as problem:
        raise unreadable(path, problem) from problem
    except UnreadableDiskError as problem:
        raise Terminal(_damaged(path, problem)) from problem
    if status.st_size == 0:
        raise Terminal(_no_image(f"the image file {path} is empty", "It has 0 bytes."))
    if header is None and (found or form == "vmdk"):
        raise Terminal(_wrong_format(path, form, found))
    capacity = status.st_size if header is None else header.bytes
    if form != "iso" and capacity % _KIB:
        raise Terminal(_odd_size(path, capacity))
    return LocalFile(path, status.st_size, status.st_mtime, capacity, header)


def metered(
    chunks: Iterator[bytes], total: int, report: Report, deadline: Deadline
) -> Iterator[bytes]:
    """``chunks``, told of a few times a second; raises Retryable (PRV5352) when there is no time
    for more.
    """
    done, next_report = 0, 0.0
    for chunk in chunks:
        yield chunk
        done += len(chunk)
        now = deadline.clock.monotonic()
        if now >= next_report or done >= total:
            next_report = now + _REPORT_SECONDS
            report(done, total)
        if deadline.passed and done < total:
            raise Retryable(
                error(
                    "PRV5352",
                    "the copy did not end in time",
                    detail=f"{done} of {total} bytes were through.",
                    hint="Raise limits.stepTimeout in the Host's manifest, or use a faster way "
                    "to it.",
                )
            )


def require_unchanged(path: Path, size: int, changed: float) -> None:
    """Raise Terminal (PRV5351) if a file is not as it was when it was looked at."""
    try:
        now = path.stat()
    except OSError as problem:
        raise unreadable(path, problem) from problem
    if (now.st_size, now.st_mtime) != (size, changed):
        raise Terminal(
            error(
                "PRV5351",
                f"the image file {path} changed while it was read",
                hint="Apply again once nothing writes to it.",
            )
        )


def unreadable(path: Path, problem: OSError) -> Terminal:
    """The error (PRV5351) for an image file that the system does not give."""
    detail = f"{problem.strerror or problem}."
    return Terminal(_no_image(f"the image file {path} cannot be read", detail))


def wrong_checksum(image: str, what: str, found: str, wanted: str) -> Diagnostic:
    """The diagnostic for an image that is another one than its author thinks. ``found`` are
    hexadecimal digits.
    """
    return error(
        "PRV5354",
        f"the checksum of image {image} is wrong",
        detail=f"{what} has sha256:{found}; expected {wanted}.",
        hint="Get the file again, or correct checksum in the Image.",
        path=("checksum",),
    )


def _no_image(summary: str, detail: str) -> Diagnostic:
    return error(
        "PRV5351",
        summary,
        detail=detail,
        hint="Correct source.file in the Image, or put the file there.",
        path=("source", "file"),
    )


def _wrong_format(path: Path, form: str, found: str) -> Diagnostic:
    hint = "Correct format in the Image, or convert or unpack the file: qemu-img convert -O raw."
    if found == "VMDK descriptor":
        hint = "Its data is in the file beside it that ends in -flat.vmdk: name that, with format: "
        hint += "raw."
    return error(
        "PRV5353",
        f"the image file {path} is not of the format {form}",
        detail=f"Found a {found} file." if found else "Found a file of another format.",
        hint=hint,
        path=("format",),
    )


def _odd_size(path: Path, size: int) -> Diagnostic:
    return error(
        "PRV5353",
        f"the image file {path} is no disk that vSphere takes",
        detail=f"It has {size} bytes, and disks have whole kibibytes.",
        hint=f"Enlarge it: qemu-img resize -f raw FILE {format_size((size // _KIB + 1) * _KIB)}.",
        path=("source", "file"),
    )


def _damaged(path: Path, problem: UnreadableDiskError) -> Diagnostic:
    return error(
        "PRV5353",
        f"the image file {path} is damaged",
        detail=f"As a VMDK {problem}.",
        hint="Get the file again.",
        path=("source", "file"),
    )
