"""Files as text, and places in them.

The loader reads files with :func:`read_source`; everything that reports a position makes it with
:meth:`SourceFile.range_of`.
"""

from __future__ import annotations

import re
import stat
from array import array
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path

from provisioner.core.diagnostics import Diagnostic, ProvisionerError, SourceRange, error

FILE_LIMIT = 32 * 1024 * 1024
"""Bytes that a manifest file may have."""

UNPRINTABLE = re.compile(
    "[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]"
)
"""What YAML 1.2.2, section 5.1, does not allow in a stream."""
_BREAK = re.compile(r"\r\n?|\n")
"""The line breaks of YAML 1.2 (section 5.4); those that only YAML 1.1 knows are text."""
_OTHER_ENCODINGS = (
    (b"\xff\xfe\x00\x00", "UTF-32"),
    (b"\x00\x00\xfe\xff", "UTF-32"),
    (b"\xff\xfe", "UTF-16"),
    (b"\xfe\xff", "UTF-16"),
)
_BOM = b"\xef\xbb\xbf"
_LONGEST_QUOTE = 2000
"""A line that is longer than this, up to the place meant, is not quoted."""


@dataclass(frozen=True)
class SourceFile:
    """The text of one file under the name that diagnostics show. Characters and lines count from 0.

    Not slotted: where its lines begin is worked out when a place is asked for, and kept.
    """

    name: str
    text: str

    @cached_property
    def _starts(self) -> array[int]:
        return array("I", chain((0,), (match.end() for match in _BREAK.finditer(self.text))))

    @cached_property
    def end(self) -> int:
        """Where the text ends, without the white space at its end."""
        return len(self.text.rstrip())

    def line_at(self, index: int) -> int:
        """The line in which a character stands."""
        return bisect_right(self._starts, index) - 1

    def range_of(self, index: int, length: int = 1) -> SourceRange:
        """The place that starts at the character ``index``."""
        line = self.line_at(index)
        last = self._starts[line + 1] if line + 1 < len(self._starts) else len(self.text)
        return self._range(line, self._starts[line], index, last, length)

    def range_on(self, line: int, index: int) -> SourceRange:
        """The same where the line is known: without a look at the rest of the text."""
        first = self.text.rfind("\n", 0, index) + 1
        last = self.text.find("\n", index)
        return self._range(line, first, index, len(self.text) if last < 0 else last, 1)

    def _range(self, line: int, first: int, index: int, last: int, length: int) -> SourceRange:
        column = index - first
        if column > _LONGEST_QUOTE:
            return SourceRange(self.name, line + 1, column + 1)
        whole = self.text[first : min(last, first + _LONGEST_QUOTE)].rstrip("\r\n")
        length = max(1, min(length, len(whole) - column))
        return SourceRange(self.name, line + 1, column + 1, whole, length)


def read_source(path: Path, name: str, limit: int = FILE_LIMIT) -> SourceFile:
    """Read a UTF-8 file; raises ProvisionerError (PRV1002, PRV1004..PRV1007) if it cannot be used.

    A byte order mark of UTF-8 is dropped (YAML 1.2.2, section 5.2, allows it).
    """
    data = read_bytes(path, name, limit)
    text = _decode(data, name)
    bad = UNPRINTABLE.search(text)
    if bad is not None:
        raise ProvisionerError(
            error(
                "PRV1007",
                f"control character U+{ord(bad[0]):04X} in a manifest",
                detail="YAML allows no control characters but tab and line ends.",
                source=SourceFile(name, text).range_of(bad.start()),
                hint="Remove it; text for a guest may have it as an escape in double quotes: "
                '"\\x07".',
            )
        )
    return SourceFile(name, text)


def read_bytes(path: Path, name: str, limit: int = FILE_LIMIT) -> bytes:
    """The bytes of a regular file of at most ``limit`` bytes; raises ProvisionerError (PRV1002,
    PRV1004, PRV1006).
    """
    whole = SourceRange(name, 1, 1)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise ProvisionerError(
                error(
                    "PRV1006",
                    "not a regular file",
                    source=whole,
                    detail="Only regular files are read: a pipe or a device could block for ever.",
                    hint="Rename it, or move it out of the stack's folder.",
                )
            )
        if status.st_size > limit:
            raise ProvisionerError(_too_large(status.st_size, limit, whole))
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as problem:
        raise ProvisionerError(
            error(
                "PRV1002",
                "the file cannot be read",
                detail=f"{problem.strerror or problem}.",
                source=whole,
                hint="Check that it exists and that you may read it.",
            )
        ) from problem
    if len(data) > limit:
        raise ProvisionerError(_too_large(len(data), limit, whole))
    return data


def _too_large(size: int, limit: int, source: SourceRange) -> Diagnostic:
    return error(
        "PRV1004",
        f"the file is too large: {size / 2**20:.1f} MiB, at most {limit / 2**20:g} MiB are read",
        source=source,
        hint="Split it into several files; all files of the folder belong to the stack.",
    )


def _decode(data: bytes, name: str) -> str:
    for mark, encoding in _OTHER_ENCODINGS:
        if data.startswith(mark):
            raise ProvisionerError(
                error(
                    "PRV1005",
                    f"the file is {encoding}, expected UTF-8",
                    source=SourceRange(name, 1, 1),
                    hint=f"Convert it: iconv -f {encoding} -t UTF-8 FILE",
                )
            )
    if data.startswith(_BOM):
        data = data[len(_BOM) :]
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as problem:
        good = SourceFile(name, data[: problem.start].decode("utf-8"))
        place = good.range_of(len(good.text))
        first = data.rfind(b"\n", 0, problem.start) + 1
        last = data.find(b"\n", problem.start)
        line = data[first : last if last >= 0 else len(data)].decode("utf-8", "replace")
        raise ProvisionerError(
            error(
                "PRV1005",
                f"byte 0x{data[problem.start]:02X} is not UTF-8",
                detail="Manifests are UTF-8 text.",
                source=place._replace(text=line.rstrip("\r")[:_LONGEST_QUOTE]),
                hint="If the file is Latin-1, convert it: iconv -f LATIN1 -t UTF-8 FILE",
            )
        ) from problem
