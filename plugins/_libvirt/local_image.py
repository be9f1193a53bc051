"""Image files on this machine: what they are, and their SHA-256.

Called by the Image and Disk handlers before anything is sent. Imports no libvirt.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Retryable, Terminal

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""

_QCOW2 = b"QFI\xfb"
_HEAD = 64
_CHUNK = 1 << 20
_REPORT_SECONDS = 0.2
_NO_IMAGE = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "Zstandard",
    b"PK\x03\x04": "zip",
    b"KDMV": "VMDK",
    b"vhdxfile": "VHDX",
}
"""How files begin that people take for raw images."""


class LocalFile(NamedTuple):
    """A file to upload, as it was when it was looked at. ``capacity`` is the size of the disk in
    it, in bytes.
    """

    path: Path
    size: int
    capacity: int


def local_file(path: Path, kind_of_file: str) -> LocalFile:
    """Look at a file before anything is sent; raises Terminal (PRV5130, PRV5131)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
        size = path.stat().st_size
    except OSError as problem:
        raise unreadable(path, problem) from problem
    if size == 0:
        raise Terminal(_no_image(f"the image file {path} is empty", "It has 0 bytes."))
    found = "qcow2" if head.startswith(_QCOW2) else "other than qcow2"
    for magic, name in _NO_IMAGE.items():
        if head.startswith(magic):
            found = name
    if found != kind_of_file and (kind_of_file == "qcow2" or found != "other than qcow2"):
        raise Terminal(
            error(
                "PRV5131",
                f"the image file {path} is not of the format {kind_of_file}",
                detail=f"Found a file of a format {found}."
                if found.startswith("other")
                else f"Found a {found} file.",
                hint="Correct format in the Image, or convert or unpack the file: qemu-img "
                "convert reads other disk formats.",
                path=("format",),
            )
        )
    if found != "qcow2":
        return LocalFile(path, size, size)
    if int.from_bytes(head[8:16], "big"):
        raise Terminal(
            error(
                "PRV5131",
                f"the image file {path} needs another file below it",
                detail="Its qcow2 header names a backing file, which would not be uploaded.",
                hint="Make it whole first: qemu-img convert -O qcow2 FILE NEW.",
                path=("source", "file"),
            )
        )
    # Source: QEMU, docs/interop/qcow2.txt, "Header".
    return LocalFile(path, size, int.from_bytes(head[24:32], "big"))


def unreadable(path: Path, problem: OSError) -> Terminal:
    """The error (PRV5130) for an image file that the system does not give."""
    detail = f"{problem.strerror or problem}."
    return Terminal(_no_image(f"the image file {path} cannot be read", detail))


def _no_image(summary: str, detail: str) -> Diagnostic:
    return error(
        "PRV5130",
        summary,
        detail=detail,
        hint="Correct source.file in the Image, or put the file there.",
        path=("source", "file"),
    )


def file_checksum(file: LocalFile, report: Report, deadline: Deadline) -> str:
    """SHA-256 of the file in hexadecimal digits; raises Terminal (PRV5130, PRV5132)."""
    checksum = hashlib.sha256()
    meter = Meter(report, file.size, deadline)
    done = 0
    try:
        with file.path.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                checksum.update(chunk)
                done += len(chunk)
                meter.passed(done)
    except OSError as problem:
        raise unreadable(file.path, problem) from problem
    return checksum.hexdigest()


def wrong_checksum(image: str, what: str, found: str, wanted: str) -> Diagnostic:
    """The diagnostic for an image that is another one than its author thinks. ``found`` are
    hexadecimal digits.
    """
    return error(
        "PRV5134",
        f"the checksum of image {image} is wrong",
        detail=f"{what} has sha256:{found}; expected {wanted}.",
        hint="Get the file again, or correct checksum in the Image.",
        path=("checksum",),
    )


class Meter:
    """Reports progress a few times a second, and ends a copy whose time is up."""

    def __init__(self, report: Report, total: int, deadline: Deadline) -> None:
        self._report = report
        self._total = total
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        self._next = 0.0

    def passed(self, done: int) -> None:
        """``done`` bytes are through; raises Retryable (PRV5132) when there is no time for more."""
        now = self._clock.monotonic()
        if now < self._next and done < self._total:
            return
        self._next = now + _REPORT_SECONDS
        self._report(done, self._total)
        if self._deadline.passed and done < self._total:
            raise Retryable(
                error(
                    "PRV5132",
                    "the copy did not end in time",
                    detail=f"{done} of {self._total} bytes were through.",
                    hint="Raise limits.stepTimeout in the Host's manifest, or use a faster way "
                    "to it.",
                )
            )
