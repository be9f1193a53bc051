"""Cuts the text of a file into pieces that can be read, and kept, one by one.

:mod:`provisioner.manifest.documents` looks every piece up in the cache and reads those that it does
not find. Where a piece ends is decided by the text of its last document alone, so that an edit
changes the piece in which it is and no other one, also where it makes the text longer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import NamedTuple
from zlib import crc32

from provisioner.manifest.yamlstrict import SEPARATOR

_DOCUMENTS = 16
"""Documents of a piece, on average: reading some more costs less than looking each one up."""


class Piece(NamedTuple):
    """Some documents that follow one another: ``text[start:end]``, from line ``line`` on (from 0).
    ``key`` stands for their text.
    """

    start: int
    end: int
    line: int
    key: str


def pieces(text: str) -> Iterator[Piece]:
    """The pieces of a text, in order, with nothing between them."""
    start = line = 0
    for end in _ends(text):
        part = text[start:end]
        yield Piece(start, end, line, hashlib.blake2b(part.encode(), digest_size=16).hexdigest())
        line += part.count("\n")
        start = end


def _ends(text: str) -> Iterator[int]:
    """Where pieces end."""
    if _is_whole(text):
        yield len(text)
        return
    start = 0
    for match in SEPARATOR.finditer(text):
        document = text[start : match.start()]
        if crc32(document.encode()) % _DOCUMENTS == 0 and document:
            yield match.start()
        start = match.start()
    yield len(text)


def _is_whole(text: str) -> bool:
    """Whether a text has what may make it another one where it is cut: directives, which need the
    end of the document before them, and line breaks that are no line feeds.
    """
    return text.startswith("%") or "\n%" in text or text.count("\r") != text.count("\r\n")
