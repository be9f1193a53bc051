"""The descriptor of an appliance (OVF), as far as it has to be known before it is sent, and its
manifest of checksums. Pure; called by :mod:`~provisioner_plugins.vmware.storage.appliance`.

Source: DMTF, DSP0243 "Open Virtualization Format Specification" 2.1.1. Elements and attributes are
taken by their local names: they are the same in all versions. What the hypervisor makes of the
rest is for it to say.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import NamedTuple
from urllib.parse import unquote
from xml.parsers.expat import ExpatError, ParserCreate

_DEEPEST = 64
_UTF8 = ("", "utf-8", "us-ascii", "ascii")
_SEPARATOR = " "
_LINE = re.compile(r"(SHA(?:1|256|384|512)) ?\((.+)\) ?= ?([0-9a-fA-F]+)")


class UnreadableDescriptorError(ValueError):
    """The text is no descriptor, or no manifest, that can be read; the error's text says why."""


class Reference(NamedTuple):
    """A file of the appliance: its path beside the descriptor, the bytes that it is said to have,
    how it is packed (``identity``: not at all), whether it is in several pieces.
    """

    path: str
    size: int | None
    packed: str
    in_pieces: bool


class Descriptor(NamedTuple):
    """``files`` by their ids. ``disks``: the format (a URI) of each file that is a disk, by the
    same ids. ``machines``: how many it describes.
    """

    files: Mapping[str, Reference]
    disks: Mapping[str, str]
    machines: int


class Sum(NamedTuple):
    """The checksum that a file shall have: ``algorithm`` as :mod:`hashlib` calls it, lower-case
    hexadecimal ``digits``.
    """

    path: str
    algorithm: str
    digits: str


def descriptor_of(text: bytes) -> Descriptor:
    """Read a descriptor. Declarations of a document type, and with them entities, are refused;
    raises UnreadableDescriptorError.
    """
    return _Reader().read(text)


def sums_of(text: bytes) -> list[Sum]:
    """Read a manifest, one line a file; raises UnreadableDescriptorError."""
    found = []
    for line in text.decode("utf-8", "replace").splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is not None:
            algorithm, path, digits = match.groups()
            found.append(Sum(plain_path(path), algorithm.lower(), digits.lower()))
        elif line.strip():
            raise UnreadableDescriptorError(f"the manifest has the line {line.strip()[:80]!r}")
    return found


class _Reader:
    """Handlers of one document for expat."""

    def __init__(self) -> None:
        self._depth = 0
        self._files: dict[str, Reference] = {}
        self._disks: dict[str, str] = {}
        self._machines = 0

    def read(self, text: bytes) -> Descriptor:
        parser = ParserCreate(namespace_separator=_SEPARATOR)
        parser.XmlDeclHandler = self._declared
        parser.StartDoctypeDeclHandler = self._refused
        parser.EntityDeclHandler = self._refused
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        try:
            parser.ParseFile(BytesIO(text))
        except ExpatError as problem:
            raise UnreadableDescriptorError(f"it is no XML: {problem}") from problem
        finally:
            # The parser and its handlers would keep each other.
            parser.StartElementHandler = parser.EndElementHandler = None
            parser.XmlDeclHandler = parser.StartDoctypeDeclHandler = None
            parser.EntityDeclHandler = None
        if not self._machines:
            raise UnreadableDescriptorError("it describes no machine")
        return Descriptor(self._files, self._disks, self._machines)

    def _declared(self, _version: str, encoding: str | None, _standalone: int) -> None:
        if (encoding or "").lower() not in _UTF8:
            raise UnreadableDescriptorError(f"it is written in {encoding}, expected UTF-8")

    def _refused(self, *_: object) -> None:
        raise UnreadableDescriptorError("it declares a document type or entities")

    def _start(self, element: str, attributes: Mapping[str, str]) -> None:
        self._depth += 1
        name = _local(element)
        said = {_local(key): value for key, value in attributes.items()}
        if self._depth > _DEEPEST:
            raise UnreadableDescriptorError("its elements are nested too deeply")
        if self._depth == 1 and name != "Envelope":
            raise UnreadableDescriptorError(f"it begins with {name!r}, expected 'Envelope'")
        if name == "File":
            self._files[said.get("id", "")] = Reference(
                plain_path(said.get("href", "")),
                _number(said.get("size")),
                said.get("compression", "identity"),
                "chunkSize" in said,
            )
        elif name == "Disk" and "fileRef" in said:
            self._disks[said["fileRef"]] = said.get("format", "")
        elif name == "VirtualSystem":
            self._machines += 1

    def _end(self, _element: str) -> None:
        self._depth -= 1


def _local(name: str) -> str:
    return name.rpartition(_SEPARATOR)[2]


def plain_path(reference: str) -> str:
    """What a file is called in its archive, of how a descriptor or the endpoint writes it."""
    return unquote(reference).removeprefix("./")


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
