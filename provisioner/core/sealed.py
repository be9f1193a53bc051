"""Files that a program keeps for its own later runs, for one user: what can be got again, and must
not be believed if anybody else could have written it.

Used by the cache of documents (:mod:`provisioner.manifest.cache`) and by what sessions remember
(:mod:`provisioner.engine.remembering`). All of them lie in one folder and have one secret. Nothing
depends on them: what is missing, damaged or somebody else's is as if it were not there, and so are
errors of the file system.

A file begins with two lines, the seal and what says what made it; behind them comes the content.
The seal is a BLAKE2b (RFC 7693) of everything behind it, keyed with a secret that lies elsewhere.
So a file that was altered, or was brought from another machine, is told from one that this user's
program has made, before anything in it is read. An older file of our own that is put back is not
told from the newest.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from provisioner.core.overwriting import replace_file

FOLDER_LIMIT = 256 * 1024 * 1024
"""Bytes that the files of a folder may have together; the oldest go first."""
_KEY_BYTES = 32
_SEAL_BYTES = 32


class SealedFile:
    """One such file; it, its folder and the secret are made where they are missing."""

    def __init__(self, path: Path, secret: Path, made_by: bytes, limit: int) -> None:
        """``secret`` is the file with the key of the seals. ``made_by`` is one line of all that
        decides what the content means: with another one the file counts as not there. ``limit``:
        bytes of the largest file that is read or written.
        """
        self._path = path
        self._secret = secret
        self._made_by = made_by
        self._limit = limit

    @property
    def room(self) -> int:
        """Bytes of the largest content."""
        return self._limit - 2 * _SEAL_BYTES - len(self._made_by) - len(b"\n\n")

    def read(self) -> bytes | None:
        """The content; None where there is none that this user's program has made."""
        with suppress(OSError, ValueError):
            key = _checked_secret(self._secret)
            seal, _, body = _bytes_of(self._path, self._limit).partition(b"\n")
            made_by, _, content = body.partition(b"\n")
            if hmac.compare_digest(seal, _seal(key, body)) and made_by == self._made_by:
                with suppress(OSError):
                    os.utime(self._path)  # used, and so not the first to make room
                return content
        return None

    def write(self, content: bytes) -> None:
        """Put the content in the place of what was there, at once, if there is room for it."""
        if len(content) > self.room:
            return
        body = self._made_by + b"\n" + content
        folder = self._path.parent
        with suppress(OSError, ValueError):
            key = _secret(self._secret)
            if _is_ours(folder):
                replace_file(self._path, _seal(key, body) + b"\n" + body)
                _make_room(folder, keep=self._path)


def _seal(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=_SEAL_BYTES).hexdigest().encode()


def _secret(path: Path) -> bytes:
    """The secret of the seals; made where there is none. Raises OSError or ValueError where there
    can be none.
    """
    with suppress(FileNotFoundError):
        return _checked_secret(path)
    if not _is_ours(path.parent):
        raise ValueError("others could write there")
    with tempfile.NamedTemporaryFile(dir=path.parent) as new:
        new.write(os.urandom(_KEY_BYTES))
        new.flush()
        with suppress(FileExistsError):  # another process was quicker
            os.link(new.name, path)
    return _checked_secret(path)


def _checked_secret(path: Path) -> bytes:
    key = _bytes_of(path, _KEY_BYTES)
    if len(key) != _KEY_BYTES:
        raise ValueError("not a key")
    return key


def _bytes_of(path: Path, limit: int) -> bytes:
    """The content of a file that nobody else can have written; raises OSError, or ValueError where
    it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as stream:
        status = os.fstat(stream.fileno())
        if not stat.S_ISREG(status.st_mode) or not _is_private(status) or status.st_size > limit:
            raise ValueError("not a file of ours")
        return stream.read(limit)


def _is_ours(folder: Path) -> bool:
    """Whether nobody else can write in a folder. It is made where it is missing, but never below
    one of somebody else: root may run with another user's home.
    """
    missing = []
    above = folder
    while not above.exists():
        missing.append(above)
        above = above.parent
    if missing and above.stat().st_uid != os.geteuid():
        return False
    for below in reversed(missing):
        below.mkdir(mode=0o700, exist_ok=True)
    return _is_private(folder.stat())


def _is_private(status: os.stat_result) -> bool:
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _make_room(folder: Path, keep: Path) -> None:
    """Remove the files that were used longest ago until the others are not too large together,
    and what an interrupted run has left behind.
    """
    files = [
        (entry.stat().st_mtime, entry.stat().st_size, Path(entry.path))
        for entry in os.scandir(folder)
        if entry.is_file(follow_symlinks=False)
    ]
    room = FOLDER_LIMIT
    for _, size, path in sorted(files, reverse=True):
        room -= size
        if path != keep and room < 0:
            path.unlink(missing_ok=True)
