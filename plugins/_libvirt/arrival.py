"""Whether what was uploaded into a volume is there: libvirt does not always tell.

The daemon takes what a stream brings into memory and writes it in a thread of its own, in order, up
to the first write that fails. If that happens once the client is at the end of the stream, the end
is confirmed all the same (libvirt 9.0, virFDStreamCloseInt: closing the pipe overwrites the result
of the thread). An image that is a little too large for its pool is then cut short without a word.
Since the order is kept, reading the end back proves the whole.

Called by :mod:`upload` after every upload.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.errors import FULL
from provisioner_plugins._libvirt.storage import look_afresh

_ROOM = 1 << 20
"""Bytes; a file system that has less left is taken for full: one write is smaller than that."""


class Tail(NamedTuple):
    """The last bytes of an upload that are not all zeros, and where they belong.

    A new file reads as zeros where nothing was written, so zeros prove nothing.
    """

    offset: int
    data: bytes


def require_arrived(handle: Any, volume: Any, tail: Tail) -> None:
    """Raise Terminal (PRV5114 if no space is left, else PRV5137) unless a volume has ``tail``.

    May raise libvirtError. ``handle`` and ``volume`` are libvirt's objects.
    """
    if _content(handle, volume, tail.offset, len(tail.data)) == tail.data:
        return
    pool = volume.storagePoolLookupByVolume()
    look_afresh(pool)
    available = pool.info()[3]
    what = f"upload volume {volume.name()}"
    if available < _ROOM:
        raise Terminal(
            error(
                FULL.code,
                FULL.summary.format(what=what),
                detail=f"The pool {pool.name()} has {available} bytes left; the end of the upload "
                "is missing, which libvirt did not tell.",
                hint=FULL.hint,
            )
        )
    raise Terminal(
        error(
            "PRV5137",
            f"{what}: the host did not keep what was sent",
            detail="The end of the upload is missing. The daemon could not write it and did not "
            "tell why.",
            hint="Check the storage of the pool for errors and quotas, then apply again.",
        )
    )


def _content(handle: Any, volume: Any, offset: int, length: int) -> bytes:
    stream = handle.newStream(0)
    volume.download(stream, offset, length, 0)
    parts: list[bytes] = []
    while part := stream.recv(length):
        parts.append(part)
    stream.finish()
    return b"".join(parts)
