"""An appliance on this machine: one file (OVA) with a descriptor, disks and often a manifest of
checksums. What it holds is looked at, verified, and sent in pieces; nothing is unpacked. Called by
the Image handler. Imports no pyvmomi.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import fstat
from pathlib import Path
from typing import BinaryIO

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error, quoted
from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.storage.archive import Member, UnreadableArchiveError, members
from provisioner_plugins.vmware.storage.local_file import (
    Report,
    metered,
    require_unchanged,
    unreadable,
)
from provisioner_plugins.vmware.storage.ovf import (
    Descriptor,
    Sum,
    UnreadableDescriptorError,
    descriptor_of,
    sums_of,
)
from provisioner_plugins.vmware.storage.sparse import UnreadableDiskError, header_at

_CHUNK = 1 << 20
_LARGEST_DESCRIPTOR = 4 << 20
_LARGEST_MANIFEST = 1 << 20
_STREAM = "#streamOptimized"
_NOT_PACKED = "identity"


@dataclass(frozen=True, slots=True)
class Appliance:
    """As it was when it was looked at. ``descriptor`` is its text; ``files`` are where the files
    that the descriptor names are, by its names of them; ``sums`` what its manifest says.
    """

    path: Path
    size: int
    changed: float
    descriptor: str
    files: Mapping[str, Member]
    sums: Sequence[tuple[Member, Sum]]

    def checksum(self, report: Report, deadline: Deadline) -> str:
        """SHA-256 of the whole file in hexadecimal digits; what the manifest says is compared on
        the way. Raises Terminal (PRV5351, PRV5354), Retryable (PRV5352).
        """
        whole = hashlib.sha256()
        parts = [
            (member, told, hashlib.new(told.algorithm, usedforsecurity=False))
            for member, told in self.sums
        ]
        at = 0
        for chunk in metered(self._read(0, self.size), self.size, report, deadline):
            whole.update(chunk)
            view = memoryview(chunk)
            for member, _, digest in parts:
                first, last = max(member.start - at, 0), member.start + member.size - at
                digest.update(view[first : max(first, last)])
            at += len(chunk)
        for _, told, digest in parts:
            if digest.hexdigest() != told.digits:
                raise Terminal(_wrong_sum(self.path, told, digest.hexdigest()))
        return whole.hexdigest()

    def content(self, member: Member) -> Iterator[bytes]:
        """The bytes of one of ``files``; raises Terminal (PRV5351)."""
        return self._read(member.start, member.size)

    def require_unchanged(self) -> None:
        """Raise Terminal (PRV5351) if something has written to it since it was looked at."""
        require_unchanged(self.path, self.size, self.changed)

    def _read(self, start: int, size: int) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as stream:
                stream.seek(start)
                while size and (chunk := stream.read(min(size, _CHUNK))):
                    size -= len(chunk)
                    yield chunk
        except OSError as problem:
            raise unreadable(self.path, problem) from problem


def appliance(path: Path) -> Appliance:
    """Look at a file before anything is sent; raises Terminal (PRV5351, PRV5353)."""
    try:
        with path.open("rb") as stream:
            status = fstat(stream.fileno())
            return _appliance(path, stream, status.st_size, status.st_mtime)
    except OSError as problem:
        raise unreadable(path, problem) from problem
    except UnreadableArchiveError as problem:
        raise Terminal(_unusable(path, f"As a tar archive {problem}.")) from problem
    except UnreadableDescriptorError as problem:
        raise Terminal(_unusable(path, f"Of its descriptor: {problem}.")) from problem


def _appliance(path: Path, stream: BinaryIO, size: int, modified: float) -> Appliance:
    found = {member.name: member for member in members(stream)}
    described = [member for name, member in found.items() if name.lower().endswith(".ovf")]
    if len(described) != 1:
        names = ", ".join(quoted(member.name) for member in described) or "none"
        raise Terminal(_unusable(path, f"It shall have one descriptor (.ovf), and has {names}."))
    text = _text(stream, described[0], _LARGEST_DESCRIPTOR)
    descriptor = descriptor_of(text)
    if descriptor.machines > 1:
        raise Terminal(
            _unusable(
                path,
                f"It describes {descriptor.machines} machines, and a template is one.",
                "Export each machine by itself, and declare an Image for each.",
            )
        )
    files = {
        reference.path: _file(path, stream, found, descriptor, name)
        for name, reference in descriptor.files.items()
    }
    sums = _sums(path, stream, found, [described[0], *files.values()])
    return Appliance(path, size, modified, text.decode("utf-8-sig"), files, sums)


def _file(
    path: Path, stream: BinaryIO, found: Mapping[str, Member], descriptor: Descriptor, name: str
) -> Member:
    """Where a file of the descriptor is; refused in a form that no endpoint takes as it is."""
    reference = descriptor.files[name]
    told = quoted(reference.path)
    if reference.packed != _NOT_PACKED or reference.in_pieces:
        how = "in several pieces" if reference.in_pieces else f"packed with {reference.packed}"
        hint = "Have it written anew: ovftool OLD.ova NEW.ova."
        raise Terminal(_unusable(path, f"The file {told} in it is {how}.", hint))
    member = found.get(reference.path)
    if member is None:
        raise Terminal(_unusable(path, f"The file {told}, which it is about, is not in it."))
    if reference.size not in (None, member.size):
        raise Terminal(
            _unusable(
                path,
                f"The file {told} in it has {member.size} bytes; its descriptor says "
                f"{reference.size}.",
            )
        )
    if name in descriptor.disks:
        _require_stream(path, stream, descriptor.disks[name], member)
    return member


def _require_stream(path: Path, stream: BinaryIO, form: str, member: Member) -> None:
    """vSphere takes streamOptimized disks alone (vSphere Web Services API, ImportVApp)."""
    try:
        compressed = form.endswith(_STREAM) and header_at(stream, member.start).compressed
        problem = "" if compressed else f"Its descriptor says {form or 'nothing'}."
    except UnreadableDiskError as found:
        problem = f"As a VMDK {found}."
    if problem:
        raise Terminal(
            _unusable(
                path,
                f"The disk {quoted(member.name)} in it is no streamOptimized VMDK. {problem}",
                "Have it written anew: ovftool OLD.ova NEW.ova.",
            )
        )


def _sums(
    path: Path, stream: BinaryIO, found: Mapping[str, Member], files: Sequence[Member]
) -> list[tuple[Member, Sum]]:
    manifest = next((item for name, item in found.items() if name.lower().endswith(".mf")), None)
    if manifest is None:
        return []
    sums = sums_of(_text(stream, manifest, _LARGEST_MANIFEST))
    told = {item.path for item in sums}
    for member in files:
        # DSP0243 2.1.1, 6.1: there is a line for each file of the package.
        if member.name not in told:
            raise Terminal(
                _unusable(path, f"Its manifest has no checksum of {quoted(member.name)}.")
            )
    missing = next((item for item in sums if item.path not in found), None)
    if missing is not None:
        what = f"The file {quoted(missing.path)}, which its manifest names, is not in it."
        raise Terminal(_unusable(path, what))
    return [(found[item.path], item) for item in sums]


def _text(stream: BinaryIO, member: Member, most: int) -> bytes:
    if member.size > most:
        raise UnreadableArchiveError(
            f"its file {member.name!r} has {member.size} bytes, expected at most {most}"
        )
    stream.seek(member.start)
    return stream.read(member.size)


def _unusable(path: Path, detail: str, hint: str = "") -> Diagnostic:
    return error(
        "PRV5353",
        f"the image file {path} is no appliance that can be imported",
        detail=detail,
        hint=hint or "Get the file again, or correct source.file or format in the Image.",
        path=("source", "file"),
    )


def _wrong_sum(path: Path, told: Sum, found: str) -> Diagnostic:
    return error(
        "PRV5354",
        f"the image file {path} is not what its manifest says",
        detail=f"{told.path} in it has {told.algorithm}:{found}; the manifest says {told.digits}.",
        hint="Get the file again.",
        path=("source", "file"),
    )
