"""A client of the NBD protocol: as much of it as replication needs. Called by :mod:`copying`.

Fixed newstyle handshake, structured replies, meta contexts (what is allocated, what is dirty),
read, write, write zeroes, flush. Reads of many parts are asked for ahead, so that the distance to
the server does not count for each of them; all else is one request at a time.

Source: https://github.com/NetworkBlockDevice/nbd/blob/master/doc/proto.md; the meta context of
dirty bitmaps: https://www.qemu.org/docs/master/interop/nbd.html.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

ALLOCATION = "base:allocation"
DIRTY = "qemu:dirty-bitmap:{}"
"""The context of a bitmap, by its name."""
HOLE, ZERO = 1, 2
"""Bits of ``base:allocation``."""
IS_DIRTY = 1
"""Bit of a dirty bitmap's context."""
MOST = 32 << 20
"""Bytes that a request may ask for, unless the server says otherwise."""

_NBDMAGIC, _IHAVEOPT = 0x4E42444D41474943, 0x49484156454F5054
_OPTION_REPLY, _REQUEST = 0x3E889045565A9, 0x25609513
_SIMPLE, _STRUCTURED = 0x67446698, 0x668E33EF
_FIXED_NEWSTYLE, _NO_ZEROES = 1, 2
_OPT_ABORT, _OPT_GO, _OPT_STRUCTURED, _OPT_SET_CONTEXT = 2, 7, 8, 10
_REP_ACK, _REP_INFO, _REP_CONTEXT, _REP_ERROR = 1, 3, 4, 1 << 31
_INFO_EXPORT = 0
_READ, _WRITE, _DISCONNECT, _FLUSH, _WRITE_ZEROES, _BLOCK_STATUS = 0, 1, 2, 3, 6, 7
_DONE = 1
_CHUNK_DATA, _CHUNK_HOLE, _CHUNK_STATUS, _CHUNK_ERROR = 1, 2, 5, 1 << 15
_CAN_FLUSH, _READ_ONLY, _CAN_ZERO = 1 << 2, 1 << 1, 1 << 6
_AHEAD = 16
"""Reads that are asked for before the first one is answered: as many as qemu-nbd works on."""
_LONGEST_ANSWER = MOST + (1 << 20)


class NbdError(Exception):
    """The server refused something, went away, or does not keep to the protocol."""


class UnixAddress(NamedTuple):
    """A socket in the file system of this machine."""

    path: str


class TcpAddress(NamedTuple):
    """A port of a machine."""

    host: str
    port: int


Address: TypeAlias = UnixAddress | TcpAddress


class Extent(NamedTuple):
    """A part of an export, in bytes, and what a meta context says of it."""

    offset: int
    length: int
    flags: int


class _Reply(NamedTuple):
    """A chunk of an answer. ``failure``: the error's number and text."""

    handle: int
    is_last: bool
    kind: int
    payload: bytes
    failure: tuple[int, str] | None


@dataclass(slots=True)
class _Reading:
    """A read that was asked for, and what has come of it."""

    part: Extent
    data: bytearray
    is_done: bool = False
    failure: tuple[int, str] | None = None


class Client:
    """A connection to one export. Used by one thread, and as a context manager."""

    def __init__(
        self, address: Address, export: str, contexts: Sequence[str] = (), timeout: float = 60.0
    ) -> None:
        """Connect; ``contexts`` are the meta contexts that :meth:`extents` will be asked about.

        ``timeout``: seconds that any answer may take. Raises NbdError.
        """
        self.size = 0
        """Bytes of the export."""
        self._flags = 0
        self._contexts: dict[int, str] = {}
        self._is_structured = False
        self._handle = 0
        self._at = str(tuple(address))
        try:
            self._socket = _connected(address, timeout)
        except OSError as problem:
            raise NbdError(f"nobody answers at {self._at}: {problem}") from problem
        try:
            self._negotiate(export, contexts)
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Say good-bye; may be called twice."""
        with contextlib.suppress(OSError, NbdError):
            self._request(_DISCONNECT, 0, 0)
        self._socket.close()

    @property
    def writable(self) -> bool:
        """Whether the export can be written to."""
        return not self._flags & _READ_ONLY

    # --- requests ---

    def read(self, offset: int, length: int) -> bytes:
        """These bytes; at most :data:`MOST`."""
        [(_, data)] = self.read_many([Extent(offset, length, 0)])
        return data

    def read_many(self, parts: Iterable[Extent]) -> Iterator[tuple[Extent, bytes]]:
        """The content of parts, in their order; each at most :data:`MOST` long. Nothing else may be
        asked until all were taken.
        """
        if not self._is_structured:
            for part in parts:
                self._simple(self._request(_READ, part.offset, part.length))
                yield part, self._receive(part.length)
            return
        asked: deque[_Reading] = deque()
        by_handle: dict[int, _Reading] = {}
        left = iter(parts)
        while True:
            while len(asked) < _AHEAD and (wanted := next(left, None)) is not None:
                handle = self._request(_READ, wanted.offset, wanted.length)
                by_handle[handle] = _Reading(wanted, bytearray(wanted.length))
                asked.append(by_handle[handle])
            if not asked:
                return
            while not asked[0].is_done:
                reply = self._reply()
                self._check(reply.handle in by_handle)
                self._take(by_handle[reply.handle], reply)
                if reply.is_last:
                    del by_handle[reply.handle]
            done = asked.popleft()
            if done.failure is not None:
                self._refuse(*done.failure)
            yield done.part, bytes(done.data)

    def _take(self, reading: _Reading, reply: _Reply) -> None:
        reading.is_done = reply.is_last
        if reply.failure is not None:
            reading.failure = reply.failure
            return
        if reply.kind == _CHUNK_DATA:
            (at,) = struct.unpack_from(">Q", reply.payload)
            content = reply.payload[8:]
        elif reply.kind == _CHUNK_HOLE:
            at, hole = struct.unpack(">QI", reply.payload)
            self._check(hole <= reading.part.length)
            content = bytes(hole)
        else:
            self._check(reply.kind == 0)
            return
        begin = at - reading.part.offset
        self._check(begin >= 0 and begin + len(content) <= reading.part.length)
        reading.data[begin : begin + len(content)] = content

    def write(self, offset: int, data: bytes) -> None:
        """Write these bytes."""
        self._finish(self._request(_WRITE, offset, len(data), data))

    def write_zeroes(self, offset: int, length: int) -> None:
        """Have these bytes be zero, without room for them where that can be."""
        if self._flags & _CAN_ZERO:
            self._finish(self._request(_WRITE_ZEROES, offset, length))
            return
        for at in range(offset, offset + length, MOST):
            self.write(at, bytes(min(MOST, offset + length - at)))

    def flush(self) -> None:
        """Return once everything that was written is on the disk."""
        if self._flags & _CAN_FLUSH:
            self._finish(self._request(_FLUSH, 0, 0))

    def extents(self, context: str) -> Iterator[Extent]:
        """What a context says of the whole export, in order and without gaps; neighbours with the
        same flags are one.
        """
        if context not in self._contexts.values():
            raise NbdError(f"the export at {self._at} has no {context}")
        held: Extent | None = None
        position = 0
        while position < self.size:
            # The length of a request has 32 bits.
            window = min(self.size - position, (1 << 32) - (1 << 20))
            for length, flags in self._status(context, position, window):
                found = Extent(position, min(length, self.size - position), flags)
                position += found.length
                if held is not None and held.flags == flags:
                    held = Extent(held.offset, held.length + found.length, flags)
                    continue
                if held is not None:
                    yield held
                held = found
        if held is not None:
            yield held

    def _status(self, context: str, offset: int, length: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for kind, payload in self._chunks(self._request(_BLOCK_STATUS, offset, length)):
            if kind != _CHUNK_STATUS:
                raise NbdError(f"{self._at} answered a status with a chunk of type {kind}")
            (number,) = struct.unpack_from(">I", payload)
            if self._contexts.get(number) == context:
                found += struct.iter_unpack(">II", payload[4:])
        if not found or any(part == 0 for part, _ in found):
            raise NbdError(f"{self._at} told nothing about {context}")
        return found

    # --- the handshake ---

    def _negotiate(self, export: str, contexts: Sequence[str]) -> None:
        magic, version, flags = struct.unpack(">QQH", self._receive(18))
        if (magic, version) != (_NBDMAGIC, _IHAVEOPT) or not flags & _FIXED_NEWSTYLE:
            raise NbdError(f"what answers at {self._at} is no NBD server of the newstyle protocol")
        self._send(struct.pack(">I", flags & (_FIXED_NEWSTYLE | _NO_ZEROES)))
        self._is_structured = self._option(_OPT_STRUCTURED, b"") is not None
        name = export.encode()
        if contexts and self._is_structured:
            queries = b"".join(struct.pack(">I", len(q.encode())) + q.encode() for q in contexts)
            data = struct.pack(">I", len(name)) + name + struct.pack(">I", len(contexts)) + queries
            for kind, payload in self._option(_OPT_SET_CONTEXT, data) or ():
                if kind == _REP_CONTEXT:
                    (number,) = struct.unpack_from(">I", payload)
                    self._contexts[number] = payload[4:].decode()
        data = struct.pack(">I", len(name)) + name + struct.pack(">H", 0)
        replies = self._option(_OPT_GO, data)
        if replies is None:
            raise NbdError(f"there is no export {export!r} at {self._at}")
        for kind, payload in replies:
            if kind == _REP_INFO and payload[:2] == struct.pack(">H", _INFO_EXPORT):
                self.size, self._flags = struct.unpack_from(">QH", payload, 2)

    def _option(self, option: int, data: bytes) -> list[tuple[int, bytes]] | None:
        """The answers to an option; None if the server refuses it."""
        self._send(struct.pack(">QII", _IHAVEOPT, option, len(data)) + data)
        replies: list[tuple[int, bytes]] = []
        while True:
            magic, about, kind, length = struct.unpack(">QIII", self._receive(20))
            if (magic, about) != (_OPTION_REPLY, option) or length > _LONGEST_ANSWER:
                raise NbdError(f"what answers at {self._at} does not keep to the NBD protocol")
            payload = self._receive(length)
            if kind & _REP_ERROR:
                return None
            if kind == _REP_ACK:
                return replies
            replies.append((kind, payload))

    # --- requests and replies ---

    def _request(self, command: int, offset: int, length: int, data: bytes = b"") -> int:
        self._handle += 1
        head = struct.pack(">IHHQQI", _REQUEST, 0, command, self._handle, offset, length)
        self._send(head + data if len(data) < 1 << 16 else head)
        if len(data) >= 1 << 16:
            self._send(data)
        return self._handle

    def _finish(self, handle: int) -> None:
        """The answer to a request that brings no data."""
        if self._is_structured:
            for kind, _ in self._chunks(handle):
                raise NbdError(f"{self._at} answered with a chunk of type {kind}")
        else:
            self._simple(handle)

    def _simple(self, handle: int) -> None:
        magic, code, about = struct.unpack(">IIQ", self._receive(16))
        self._check(magic == _SIMPLE and about == handle)
        self._refuse(code, "")

    def _chunks(self, handle: int) -> Iterator[tuple[int, bytes]]:
        """The chunks of an answer that have content. All of them are read even if one is an
        error, so that the next request finds its own answer.
        """
        failure: tuple[int, str] | None = None
        is_done = False
        while not is_done:
            reply = self._reply()
            self._check(reply.handle == handle)
            is_done = reply.is_last
            if reply.failure is not None:
                failure = reply.failure
            elif reply.kind:
                yield reply.kind, reply.payload
        if failure is not None:
            self._refuse(*failure)

    def _reply(self) -> _Reply:
        """The next chunk of any answer."""
        (magic,) = struct.unpack(">I", self._receive(4))
        if magic == _SIMPLE:
            code, handle = struct.unpack(">IQ", self._receive(12))
            failure = (code, "") if code else None
            return _Reply(handle, is_last=True, kind=0, payload=b"", failure=failure)
        flags, kind, handle, length = struct.unpack(">HHQI", self._receive(16))
        self._check(magic == _STRUCTURED and length <= _LONGEST_ANSWER)
        payload = self._receive(length)
        failure = None
        if kind & _CHUNK_ERROR:
            code, size = struct.unpack_from(">IH", payload)
            failure = code, payload[6 : 6 + size].decode(errors="replace")
        return _Reply(handle, bool(flags & _DONE), kind, payload, failure)

    def _check(self, is_right: bool) -> None:
        if not is_right:
            raise NbdError(f"what answers at {self._at} does not keep to the NBD protocol")

    def _refuse(self, code: int, text: str) -> None:
        if code:
            raise NbdError(f"{self._at} refused with error {code}{': ' if text else ''}{text}")

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as problem:
            raise NbdError(f"the connection to {self._at} broke: {problem}") from problem

    def _receive(self, length: int) -> bytes:
        data = bytearray(length)
        view = memoryview(data)
        while view:
            try:
                count = self._socket.recv_into(view)
            except OSError as problem:
                raise NbdError(f"the connection to {self._at} broke: {problem}") from problem
            if not count:
                raise NbdError(f"the connection to {self._at} was closed")
            view = view[count:]
        return bytes(data)


def _connected(address: Address, timeout: float) -> socket.socket:
    if isinstance(address, UnixAddress):
        plug = socket.socket(socket.AF_UNIX)
        try:
            plug.settimeout(timeout)
            plug.connect(address.path)
        except BaseException:
            plug.close()
            raise
        return plug
    plug = socket.create_connection((address.host, address.port), timeout)
    plug.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return plug
