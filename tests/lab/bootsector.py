"""The boot-sector guest: a disk image of 8 MiB, made from ``boot.S``, which counts on its serial
port from half a second after the start. Called by the fixtures, live tests and the demo.

``serial.SerialLog`` reads its output; ``counter`` reads how far a disk has come.
"""

import hashlib
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from tests.lab.cache import built

SIZE = 8 << 20
_SOURCE = Path(__file__).with_name("boot.S")
_ASSEMBLE = ("as", "--32", "-o")
_LINK = ("ld", "-m", "elf_i386", "-Ttext", "0x7c00", "--oformat", "binary", "-o")
_SECTOR = 512
_COUNTER_SECTOR = 8


class BootImage(NamedTuple):
    """The image in both formats, 8 MiB each. Shared by all tests: copy before writing to it."""

    raw: Path
    qcow2: Path

    def copy(self, target: Path) -> Path:
        """A copy of its own for a guest, in the format that the name ends with (.raw or .qcow2)."""
        sources = {".raw": self.raw, ".qcow2": self.qcow2}
        shutil.copyfile(sources[target.suffix], target)
        return target


def build() -> BootImage:
    """Assembles the guest, or finds it in the cache. Needs binutils and qemu-img."""
    source = _SOURCE.read_bytes()
    key = hashlib.sha256(b"\0".join([source, repr((_ASSEMBLE, _LINK, SIZE)).encode()]))
    folder = built("boot-sector", key.hexdigest()[:16], _make)
    return BootImage(raw=folder / "boot.raw", qcow2=folder / "boot.qcow2")


def counter(disk: Path) -> int:
    """The count on a disk of any image format; it may be in use by a guest."""
    with tempfile.TemporaryDirectory() as scratch:
        block = Path(scratch, "block")
        # Only through qemu-img convert can an image be read that a guest holds (--force-share).
        window = f"driver=raw,offset={_COUNTER_SECTOR * _SECTOR},size={_SECTOR}"
        kind = _format(disk)
        path = str(disk).replace(",", ",,")
        source = f"{window},file.driver={kind},file.file.driver=file,file.file.filename={path}"
        _run("qemu-img", "convert", "-U", "--image-opts", "-O", "raw", source, str(block))
        (value,) = struct.unpack_from("<I", block.read_bytes())
        return int(value)


def _format(disk: Path) -> str:
    with disk.open("rb") as stream:
        return "qcow2" if stream.read(4) == b"QFI\xfb" else "raw"


def _make(folder: Path) -> None:
    assembled, raw = folder / "boot.o", folder / "boot.raw"
    _run(*_ASSEMBLE, str(assembled), str(_SOURCE))
    _run(*_LINK, str(raw), str(assembled))
    assembled.unlink()
    if raw.stat().st_size != _SECTOR:
        raise ValueError(f"{_SOURCE.name} gives {raw.stat().st_size} bytes, not one boot sector")
    with raw.open("r+b") as image:
        image.truncate(SIZE)
    raw.chmod(0o644)
    _run("qemu-img", "convert", "-f", "raw", "-O", "qcow2", str(raw), str(folder / "boot.qcow2"))


def _run(*argv: str) -> None:
    result = subprocess.run(argv, capture_output=True, text=True)
    if result.returncode != 0:
        raise ValueError(f"{' '.join(argv)}: {result.stderr.strip()}")
