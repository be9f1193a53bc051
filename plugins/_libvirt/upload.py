"""Streams: a local file into a volume, with its SHA-256 on the way, and a volume's content for its
SHA-256.

Called by the Image handler and for cloud-init seeds. Holes of a sparse file are sent as holes. What
was sent is looked for afterwards, see :mod:`arrival`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import libvirt

from provisioner.core.clock import Clock, Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Retryable, Terminal
from provisioner_plugins._libvirt.arrival import Tail, require_arrived

CHUNK = 256 * 1024
"""A stream message of libvirt holds a little less than 256 KiB
(VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX).
"""
_REPORT_SECONDS = 0.2
_QCOW2_MAGIC = b"QFI\xfb"

Report = Callable[[int, int], None]
"""Called with the bytes done and the bytes in total."""


class LocalFile(NamedTuple):
    """A file to upload, as it was when the upload began."""

    path: Path
    size: int


def local_file(path: Path, kind_of_file: str) -> LocalFile:
    """Check a file before anything is sent; raises Terminal (PRV5130, PRV5131)."""
    try:
        with path.open("rb") as stream:
            head = stream.read(16)
        size = path.stat().st_size
    except OSError as problem:
        raise Terminal(
            error(
                "PRV5130",
                f"the image file {path} cannot be read",
                detail=f"{problem.strerror or problem}.",
                hint="Correct source.file in the Image, or put the file there.",
            )
        ) from problem
    found = "qcow2" if head.startswith(_QCOW2_MAGIC) else "other than qcow2"
    if (found == "qcow2") != (kind_of_file == "qcow2"):
        raise Terminal(
            error(
                "PRV5131",
                f"the image file {path} is not of the format {kind_of_file}",
                detail=f"Found a file of a format {found}.",
                hint="Correct format in the Image, or convert the file: qemu-img convert.",
            )
        )
    if found == "qcow2" and int.from_bytes(head[8:16], "big"):
        raise Terminal(
            error(
                "PRV5131",
                f"the image file {path} needs another file below it",
                detail="Its qcow2 header names a backing file, which would not be uploaded.",
                hint="Make it whole first: qemu-img convert -O qcow2 FILE NEW.",
            )
        )
    return LocalFile(path, size)


def send(handle: Any, volume: Any, source: LocalFile, report: Report, deadline: Deadline) -> str:
    """Send a file into a volume of its size; returns the SHA-256 in hexadecimal digits.

    Raises Terminal (PRV5114 no space, PRV5130 unreadable or changed meanwhile, PRV5137 not kept),
    Retryable (PRV5132 out of time) and libvirtError; the volume's content is then undefined.
    """
    stream = handle.newStream(0)
    volume.upload(stream, 0, source.size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    try:
        sent = _send_extents(stream, source, _Meter(report, source.size, deadline))
    except BaseException:
        _abort(stream)
        raise
    stream.finish()
    if sent.tail is not None:
        require_arrived(handle, volume, sent.tail)
    return sent.checksum


def send_bytes(handle: Any, volume: Any, data: bytes) -> None:
    """Send some bytes into a volume of their length or more.

    Raises Terminal (PRV5114, PRV5137) and libvirtError; the volume's content is then undefined.
    """
    stream = handle.newStream(0)
    volume.upload(stream, 0, len(data), 0)
    try:
        _send_all(stream, data)
    except BaseException:
        _abort(stream)
        raise
    stream.finish()
    require_arrived(handle, volume, Tail(0, data))


class _Sent(NamedTuple):
    checksum: str
    tail: Tail | None
    """None of a file that is all zeros."""


def _send_extents(stream: Any, source: LocalFile, meter: _Meter) -> _Sent:
    checksum = hashlib.sha256()
    zeros = bytes(CHUNK)
    tail: Tail | None = None
    done = 0
    with source.path.open("rb") as file:
        for is_data, length in _extents(file, source.size):
            left = length
            if not is_data:
                stream.sendHole(length, 0)
            while left:
                chunk = file.read(min(CHUNK, left)) if is_data else zeros[: min(CHUNK, left)]
                if not chunk:
                    raise _changed(source)
                checksum.update(chunk)
                if is_data:
                    _send_all(stream, chunk)
                    if chunk != zeros[: len(chunk)]:
                        tail = Tail(done, chunk)
                left -= len(chunk)
                done += len(chunk)
                meter.passed(done)
        if file.seek(0, os.SEEK_END) != source.size:
            raise _changed(source)
    return _Sent(checksum.hexdigest(), tail)


def _send_all(stream: Any, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[stream.send(bytes(view[:CHUNK])) :]


def _extents(file: BinaryIO, size: int) -> Iterator[tuple[bool, int]]:
    """Data and holes of a file, in order, with the file positioned at each; all data where the
    file system cannot tell.
    """
    position = 0
    while position < size:
        try:
            data = os.lseek(file.fileno(), position, os.SEEK_DATA)
        except OSError as problem:
            if problem.errno != errno.ENXIO:
                file.seek(position)
                yield True, size - position
                return
            data = size
        data = min(data, size)
        if data > position:
            file.seek(data)
            yield False, data - position
            position = data
            continue
        hole = min(os.lseek(file.fileno(), position, os.SEEK_HOLE), size)
        file.seek(position)
        yield True, hole - position
        position = hole


def content_checksum(
    handle: Any, volume: Any, size: int, report: Report, deadline: Deadline
) -> str:
    """SHA-256 of a volume's content, which is read over the connection. ``size`` in bytes, for
    the report.
    """
    stream = handle.newStream(0)
    volume.download(stream, 0, 0, 0)
    checksum = hashlib.sha256()
    meter = _Meter(report, size, deadline)
    done = 0
    try:
        while chunk := stream.recv(CHUNK):
            checksum.update(chunk)
            done += len(chunk)
            meter.passed(done)
    except BaseException:
        _abort(stream)
        raise
    stream.finish()
    return checksum.hexdigest()


class _Meter:
    """Reports progress a few times a second, and ends a copy whose time is up."""

    def __init__(self, report: Report, total: int, deadline: Deadline) -> None:
        self._report = report
        self._total = total
        self._deadline = deadline
        self._clock: Clock = deadline.clock
        self._next = 0.0

    def passed(self, done: int) -> None:
        """``done`` bytes are through."""
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


def _changed(source: LocalFile) -> Terminal:
    return Terminal(
        error(
            "PRV5130",
            f"the image file {source.path} changed while it was read",
            detail=f"It had {source.size} bytes when the upload began.",
            hint="Apply again once nothing writes to it.",
        )
    )


def _abort(stream: Any) -> None:
    try:
        stream.abort()
    except libvirt.libvirtError:
        # The daemon has ended the stream already; what it said is on its way to the caller.
        return
