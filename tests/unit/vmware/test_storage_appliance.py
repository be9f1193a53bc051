"""Appliances on this machine: what is read of them, what is refused, what is compared."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Terminal
from provisioner_plugins.vmware.storage.appliance import appliance
from tests.lab.appliances import DISK, files, manifest, ova, ovf, stream_disk

BOMB = """<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>"""
LONG = f"{'d' * 90}/{'e' * 90}.vmdk"


def deadline() -> Deadline:
    return Deadline.after(60.0, SystemClock())


def silent(_done: int, _total: int) -> None:
    pass


def written(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "web.ova"
    path.write_bytes(content)
    return path


def refused(path: Path) -> tuple[str, str]:
    with pytest.raises(Terminal) as caught:
        appliance(path).checksum(silent, deadline())
    return caught.value.diagnostic.code, caught.value.diagnostic.detail


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_an_appliance_is_what_is_in_it(tmp_path: Path, form: int) -> None:
    content = ova(form=form)
    found = appliance(written(tmp_path, content))
    assert ovf().decode() == found.descriptor
    assert {DISK: stream_disk()} == {
        name: b"".join(found.content(member)) for name, member in found.files.items()
    }
    assert hashlib.sha256(content).hexdigest() == found.checksum(silent, deadline())


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_files_may_have_long_names(tmp_path: Path, form: int) -> None:
    held = {"web.ovf": ovf().replace(DISK.encode(), LONG.encode()), f"./{LONG}": stream_disk()}
    found = appliance(written(tmp_path, ova(held, form)))
    assert stream_disk() == b"".join(found.content(found.files[LONG]))


def test_sizes_beyond_the_octal_ones_are_read(tmp_path: Path) -> None:
    content = bytearray(ova())
    content[124:136] = b"\x80" + len(ovf()).to_bytes(11, "big")
    content[148:156] = b" " * 8
    content[148:156] = f"{sum(content[:512]):06o}\0 ".encode()
    assert ovf().decode() == appliance(written(tmp_path, bytes(content))).descriptor


@pytest.mark.parametrize("algorithm", ["SHA1", "SHA256", "SHA512"])
def test_what_the_manifest_says_is_compared(tmp_path: Path, algorithm: str) -> None:
    held = files()
    held["web.mf"] = manifest({"web.ovf": ovf(), DISK: stream_disk()}, algorithm)
    appliance(written(tmp_path, ova(held))).checksum(silent, deadline())
    held[DISK] = stream_disk()[:-1] + b"x"
    code, detail = refused(written(tmp_path, ova(held)))
    assert "PRV5354" == code
    assert f"{DISK} in it has {algorithm.lower()}:" in detail


def without(name: str) -> bytes:
    return ova({key: value for key, value in files().items() if key != name})


def also(**held: bytes) -> bytes:
    return ova({**files(), **{name.replace("_", "."): value for name, value in held.items()}})


def with_link() -> bytes:
    target = io.BytesIO(ova())
    with tarfile.open(fileobj=target, mode="a") as archive:
        link = tarfile.TarInfo("passwd")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return target.getvalue()


def twice() -> bytes:
    target = io.BytesIO(ova())
    with tarfile.open(fileobj=target, mode="a") as archive:
        archive.addfile(tarfile.TarInfo("web.ovf"))
    return target.getvalue()


def described(text: bytes) -> bytes:
    return ova(files(text))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "within a header"),
        (b"x" * 4096, "no tar archive"),
        (ova()[:2000], "ends within the file 'web.ovf'"),
        (ova()[:300], "within a header"),
        (with_link(), "neither file nor folder"),
        (twice(), "two files 'web.ovf'"),
        (ova({f"f{n}": b"" for n in range(1001)}), "more than 1000 files"),
        (ova({"a" * 70_000: b""}, tarfile.GNU_FORMAT), "more is said of a file"),
        (ova({"a" * 70_000: b""}, tarfile.PAX_FORMAT), "more is said of a file"),
        (without("web.ovf"), "has none"),
        (also(b_ovf=ovf()), "has 'web.ovf', 'b.ovf'"),
        (without(DISK), f"{DISK!r}, which it is about, is not in it"),
        (ova({"web.ovf": b" " * (4 * 2**20 + 1)}), "expected at most 4194304"),
        (described(b"<Envelope>"), "it is no XML"),
        (described(b"<Other/>"), "begins with 'Other'"),
        (described(b"<Envelope/>"), "describes no machine"),
        (described(ovf(start=BOMB)), "declares a document type or entities"),
        (described(ovf(start='<!DOCTYPE x SYSTEM "file:///etc/passwd">')), "a document type"),
        (described(ovf(start='<?xml version="1.0" encoding="latin1"?>')), "written in latin1"),
        (described(b"<Envelope>" + b"<a>" * 64), "nested too deeply"),
        (described(ovf(systems=2)), "describes 2 machines"),
        (described(ovf(b"x")), "has 65536 bytes; its descriptor says 1"),
        (described(ovf(file='ovf:compression="gzip"')), "packed with gzip"),
        (described(ovf(file='ovf:chunkSize="1024"')), "in several pieces"),
        (described(ovf(form="#sparse")), "no streamOptimized VMDK"),
        (ova(files(disk=b"x" * 2**16)), "no streamOptimized VMDK"),
        (also(web_mf=b"MD5(web.ovf)= 00\n"), "the manifest has the line 'MD5(web.ovf)= 00'"),
        (also(web_mf=manifest({"web.ovf": ovf()})), f"no checksum of {DISK!r}"),
        (
            also(web_mf=manifest({"web.ovf": ovf(), DISK: stream_disk(), "gone": b""})),
            "'gone', which its manifest names, is not in it",
        ),
    ],
)
def test_what_cannot_be_imported_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    code, detail = refused(written(tmp_path, content))
    assert "PRV5353" == code
    assert says in detail


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert "PRV5351" == refused(tmp_path / "no.ova")[0]
