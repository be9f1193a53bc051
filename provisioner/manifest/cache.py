"""The cache of documents that were read before: one file for each stack, for one user.

The service layer opens one for a stack's folder and hands it to the loader. Nothing depends on it:
what is missing, damaged or somebody else's is not used, and the manifests are read.

A file begins with two lines, the seal and a JSON object that says what made it; then comes a line
for each piece of text, its key and what is known about it (:mod:`.keeping`). The seal is a BLAKE2b
(RFC 7693) of everything behind it, keyed with a secret that lies elsewhere. So a file that was
altered, or was brought from another machine, is told from one that this user's program has made,
before anything in it is read. It holds data only, and at most so much of it.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provisioner import __version__
from provisioner.core.overwriting import replace_file
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.yamlstrict import PARSER

FILE_LIMIT = 128 * 1024 * 1024
"""Bytes of the largest file that is read or written: a stack of some 200,000 resources."""
FOLDER_LIMIT = 256 * 1024 * 1024
"""Bytes that the files of all stacks may have together; the oldest go first."""
_KEY_BYTES = 32
_SUFFIX = ".documents"


class DocumentCache:
    """Implements :class:`provisioner.manifest.documents.KnownDocuments` for the stack in one
    folder. Errors of the file system are as if nothing was kept.
    """

    def __init__(self, folder: Path, secret: Path, root: Path, catalog: SchemaCatalog) -> None:
        """``folder`` is where the caches of one user lie, ``secret`` the file with the key of their
        seals, ``root`` the folder of the stack. Both are made where they are missing.
        """
        self._folder = self._path = folder
        self._made_by = self._key = b""
        self._lines: dict[str, str] = {}
        self._used: dict[str, str] = {}
        self._is_new = False
        with suppress(OSError, ValueError):
            name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
            self._path = folder / f"{name}{_SUFFIX}"
            self._made_by = _made_by(catalog)
            self._key = _secret(secret)
            self._lines = dict(self._read())

    def find(self, key: str) -> str | None:
        """What was kept for a piece of text, None if nothing was."""
        line = self._lines.get(key)
        if line is not None:
            self._used[key] = line
        return line

    def keep(self, key: str, line: str) -> None:
        """Keep something for a piece of text, for :meth:`save`."""
        self._used[key] = line
        self._is_new = True

    def save(self) -> None:
        """Write what was found and kept since it was opened, if any of it is new."""
        if not self._is_new or not self._key:
            return
        lines = [f"{key} {line}".encode() for key, line in self._used.items()]
        body = b"\n".join((self._made_by, *lines))
        content = _seal(self._key, body) + b"\n" + body
        with suppress(OSError):
            if len(content) <= FILE_LIMIT and _is_ours(self._folder):
                replace_file(self._path, content)
                _make_room(self._folder, keep=self._path)
        self._is_new = False

    def _read(self) -> Iterator[tuple[str, str]]:
        """The pieces of a file that this program has made."""
        seal, _, body = _bytes_of(self._path, FILE_LIMIT).partition(b"\n")
        if not hmac.compare_digest(seal, _seal(self._key, body)):
            return
        made_by, *lines = body.split(b"\n")
        if made_by != self._made_by:
            return
        with suppress(OSError):
            os.utime(self._path)  # used, and so not the first to make room
        for line in lines:
            key, _, text = line.decode("ascii").partition(" ")
            yield key, text


def _made_by(catalog: SchemaCatalog) -> bytes:
    """All that decides what becomes of a document, besides its text."""
    parts = {
        "provisioner": __version__,
        "code": _code(),
        "schemas": catalog.digest,
        "python": sys.version,
        "yaml": PARSER,
    }
    return json.dumps(parts).encode()


def _code() -> str:
    """Changes when the code does that reads manifests, also between two versions."""
    here = Path(__file__).parent
    stamps = sorted(
        f"{entry.path} {entry.stat().st_size} {entry.stat().st_mtime_ns}"
        for folder in (here, here.with_name("core"))
        for entry in os.scandir(folder)
        if entry.name.endswith(".py")
    )
    return hashlib.blake2b("\n".join(stamps).encode(), digest_size=16).hexdigest()


def _seal(key: bytes, body: bytes) -> bytes:
    return hashlib.blake2b(body, key=key, digest_size=32).hexdigest().encode()


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
