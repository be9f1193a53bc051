"""Streams: a local file into a volume, with its SHA-256 on the way, and a volume's content for its
SHA-256.

Called by the Image handler and for cloud-init seeds. Holes of a sparse file are sent as holes. What
was sent is looked for afterwards, see :mod:`arrival`.
"""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

import libvirt

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.arrival import Tail, require_arrived
from provisioner_plugins._libvirt.local_image import LocalFile, Meter, Report, unreadable

CHUNK = 256 * 1024
"""A stream message of libvirt holds a little less than 256 KiB
(VIR_NET_MESSAGE_LEGACY_PAYLOAD_MAX).
"""


def send(handle: Any, volume: Any, source: LocalFile, report: Report, deadline: Deadline) -> str:
    """Send a file into a volume of its size; returns the SHA-256 in hexadecimal digits.

    Raises Terminal (PRV5114 no space, PRV5130 unreadable or changed meanwhile, PRV5137 not kept),
    Retryable (PRV5132 out of time) and libvirtError; the volume's content is then undefined.
    """
    stream = handle.newStream(0)
    volume.upload(stream, 0, source.size, libvirt.VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM)
    try:
        sent = _send_extents(stream, source, Meter(report, source.size, deadline))
    except BaseException as problem:
        _abort(stream)
        if isinstance(problem, OSError):
            raise unreadable(source.path, problem) from problem
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


def _send_extents(stream: Any, source: LocalFile, meter: Meter) -> _Sent:
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
    meter = Meter(report, size, deadline)
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
