"""The cache of documents that were read before: one file for each stack, for one user.

The service layer opens one for a stack's folder and hands it to the loader. Nothing depends on it:
what is missing, damaged or somebody else's is not used, and the manifests are read.

It is a sealed file (:mod:`provisioner.core.sealed`) with a line for each piece of text, its key and
what is known about it (:mod:`.keeping`). It holds data only, and at most so much of it.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from provisioner import __version__
from provisioner.core.sealed import SealedFile
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.yamlstrict import PARSER

FILE_LIMIT = 128 * 1024 * 1024
"""Bytes of the largest file that is read or written: a stack of some 200,000 resources."""
_SUFFIX = ".documents"


class DocumentCache:
    """Implements :class:`provisioner.manifest.documents.KnownDocuments` for the stack in one
    folder. Errors of the file system are as if nothing was kept.
    """

    def __init__(self, folder: Path, secret: Path, root: Path, catalog: SchemaCatalog) -> None:
        """``folder`` is where the caches of one user lie, ``secret`` the file with the key of their
        seals, ``root`` the folder of the stack. The first two are made where they are missing.
        """
        self._file: SealedFile | None = None
        self._lines: dict[str, str] = {}
        self._used: dict[str, str] = {}
        self._is_new = False
        with suppress(OSError, ValueError):
            name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
            path = folder / f"{name}{_SUFFIX}"
            self._file = SealedFile(path, secret, _made_by(catalog), FILE_LIMIT)
            self._lines = dict(_lines_of(self._file.read() or b""))

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
        if self._is_new and self._file is not None:
            self._file.write(b"\n".join(f"{k} {line}".encode() for k, line in self._used.items()))
        self._is_new = False


def _lines_of(content: bytes) -> Iterator[tuple[str, str]]:
    """Keys and what is known."""
    for line in content.split(b"\n") if content else ():
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
