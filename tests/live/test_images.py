"""Images on a real daemon: uploaded once, checked, whole or not there."""

import errno
import hashlib
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Absent, Present, ProviderError, Retryable, Terminal
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
upload_module = pytest.importorskip("provisioner_plugins._libvirt.upload")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MIB = 1 << 20


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    """A stack with an empty pool."""
    stack = handlerbench.Bench(libvirt_session.uri)
    folder = libvirt_session.directory / f"pool-{stack.lineage.hex[:8]}"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    yield stack
    stack.close()


def sha256(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def uploaded(path: Path, **more: str) -> dict[str, Any]:
    return {"pool": "images", "source": {"file": str(path)}, "format": path.suffix[1:], **more}


def sparse_file(path: Path) -> Path:
    """Holes at both ends and in the middle, and a length that is no multiple of anything."""
    with path.open("wb") as file:
        for offset in (3 * MIB, 3 * MIB + 70_000, 40 * MIB):
            file.seek(offset)
            file.write(bytes(range(256)) * 300)
        file.truncate(64 * MIB + 12_345)
    return path


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_an_image_arrives_as_it_is_and_is_marked(
    bench: Any, boot_image: BootImage, kind: str
) -> None:
    source = boot_image.qcow2 if kind == "qcow2" else boot_image.raw
    outcome = bench.apply("Image", "boot", uploaded(source, checksum=sha256(source)))
    volume = Path(str(outcome.outputs["path"]))
    assert source.read_bytes() == volume.read_bytes()
    names = {path.name for path in bench.pool_folder().iterdir()}
    digits = sha256(source).removeprefix("sha256:")
    assert {volume.name, f"{volume.name}.sha256-{digits}"} == names
    spec = bench.present("Image", "boot").spec
    assert {"pool": "images", "format": kind, "checksum": sha256(source)} == spec


def test_an_iso_image_keeps_its_format(bench: Any, tmp_path: Path) -> None:
    # A primary volume descriptor is all that makes an ISO 9660 image one (ECMA-119, 8.4).
    iso = tmp_path / "seed.iso"
    iso.write_bytes(bytes(32768) + b"\x01CD001\x01" + bytes(2041))
    bench.apply("Image", "seed", uploaded(iso))
    assert "iso" == bench.present("Image", "seed").spec["format"]


def test_holes_are_sent_as_holes(bench: Any, tmp_path: Path) -> None:
    source = sparse_file(tmp_path / "sparse.raw")
    outcome = bench.apply("Image", "sparse", uploaded(source, checksum=sha256(source)))
    volume = Path(str(outcome.outputs["path"]))
    assert source.read_bytes() == volume.read_bytes()
    assert volume.stat().st_blocks * 512 < MIB


def test_progress_is_reported_up_to_the_end(bench: Any, tmp_path: Path) -> None:
    source = sparse_file(tmp_path / "sparse.raw")
    bench.apply("Image", "sparse", uploaded(source))
    size = source.stat().st_size
    done = [done for address, _, done, total in bench.progress if address == "Image/sparse"]
    assert sorted(done) == done
    assert size == done[-1]


def test_an_empty_file_is_no_image(bench: Any, tmp_path: Path) -> None:
    (tmp_path / "empty.raw").touch()
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "empty", uploaded(tmp_path / "empty.raw"))
    assert "PRV5130" == caught.value.diagnostic.code
    assert "is empty" in caught.value.diagnostic.summary


def test_a_wrong_checksum_is_refused_and_nothing_is_left(bench: Any, boot_image: BootImage) -> None:
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "boot", uploaded(boot_image.raw, checksum=f"sha256:{'0' * 64}"))
    assert "PRV5134" == caught.value.diagnostic.code
    assert sha256(boot_image.raw) in caught.value.diagnostic.detail
    assert [] == list(bench.pool_folder().iterdir())


def test_a_file_that_is_not_there_is_named(bench: Any) -> None:
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "boot", uploaded(Path("/no/such/file.raw")))
    assert "PRV5130" == caught.value.diagnostic.code
    assert "/no/such/file.raw" in caught.value.diagnostic.summary


@pytest.mark.parametrize("kind", ["qcow2", "raw"])
def test_a_file_of_another_format_is_refused(bench: Any, boot_image: BootImage, kind: str) -> None:
    source = boot_image.raw if kind == "qcow2" else boot_image.qcow2
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "boot", {**uploaded(source), "format": kind})
    assert "PRV5131" == caught.value.diagnostic.code
    assert [] == list(bench.pool_folder().iterdir())


def test_an_image_above_another_file_is_refused(bench: Any, tmp_path: Path) -> None:
    header = b"QFI\xfb" + (3).to_bytes(4, "big") + (512).to_bytes(8, "big")
    (tmp_path / "overlay.qcow2").write_bytes(header.ljust(1024, b"\0"))
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "overlay", uploaded(tmp_path / "overlay.qcow2"))
    assert "PRV5131" == caught.value.diagnostic.code
    assert "backing file" in caught.value.diagnostic.detail


def test_a_file_that_fails_during_the_upload_leaves_nothing(
    bench: Any, boot_image: BootImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(upload_module, "_extents", fail)
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "boot", uploaded(boot_image.raw))
    assert "PRV5130" == caught.value.diagnostic.code
    assert [] == list(bench.pool_folder().iterdir())


def test_what_an_interrupted_upload_left_is_uploaded_anew(
    bench: Any, boot_image: BootImage
) -> None:
    spec = uploaded(boot_image.raw)
    resource = bench.plan("Image", "boot", spec).resource
    left = bench.pool_folder() / f"boot.{resource.uid.hex[:8]}.raw"
    left.write_bytes(b"half")
    assert isinstance(bench.observe(resource), Absent)
    bench.apply("Image", "boot", spec)
    assert boot_image.raw.read_bytes() == left.read_bytes()


def test_an_image_that_lost_its_marker_stays_below_its_clones(
    bench: Any, boot_image: BootImage
) -> None:
    """Neither recorded nor marked, it looks like an upload that did not end."""
    outcome = bench.apply("Image", "boot", uploaded(boot_image.qcow2))
    path = Path(str(outcome.outputs["path"]))
    bench.apply("Disk", "root", {"pool": "images", "image": "boot"})
    (marker,) = path.parent.glob(f"{path.name}.sha256-*")
    marker.unlink()
    node = path.stat().st_ino
    resource = replace(bench.recorded[Address("Image", "boot")], external_id=None)
    with pytest.raises(Terminal) as caught:
        bench.handlers["Image"].create(resource, bench.deadline())
    assert "PRV5124" == caught.value.diagnostic.code
    assert marker.name[:-64] in caught.value.diagnostic.hint
    assert node == path.stat().st_ino
    marker.touch()
    assert outcome == bench.handlers["Image"].create(resource, bench.deadline())


def test_an_image_takes_no_other_s_markers_with_it(bench: Any, boot_image: BootImage) -> None:
    """Their names begin as its own does."""
    volume = bench.pool_folder() / "debian-12"
    volume.write_bytes(boot_image.raw.read_bytes())
    bench.refresh()
    checksum = sha256(volume)
    spec = {"pool": "images", "source": {"volume": volume.name}, "format": "raw"}
    bench.apply("Image", "base", {**spec, "checksum": checksum})
    bench.apply("Image", "debian-12", uploaded(boot_image.qcow2))
    (bench.pool_folder() / "debian-12.iso.partial").touch()
    before = {path.name for path in bench.pool_folder().iterdir()}
    bench.delete("Image", "base")
    after = {path.name for path in bench.pool_folder().iterdir()}
    assert {f"debian-12.{checksum.replace(':', '-')}"} == before - after


def test_creating_twice_uploads_once(bench: Any, boot_image: BootImage) -> None:
    resource = bench.plan("Image", "boot", uploaded(boot_image.raw)).resource
    first = bench.handlers["Image"].create(resource, bench.deadline())
    reports = len(bench.progress)
    assert first == bench.handlers["Image"].create(resource, bench.deadline())
    assert reports == len(bench.progress)


def test_the_daemon_dies_during_an_upload(
    fresh_libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    stack = handlerbench.Bench(fresh_libvirt_session.uri)
    folder = fresh_libvirt_session.directory / "pool"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    source = tmp_path / "big.raw"
    source.write_bytes(bytes(range(256)) * 4096 * 128)
    spec = uploaded(source, checksum=sha256(source))
    resource = stack.plan("Image", "big", spec).resource

    def kill_once(address: Address, text: str, done: int = 0, total: int = 0) -> None:
        if 0 < done < total:
            fresh_libvirt_session.kill()

    stack.on_progress = kill_once
    with pytest.raises(ProviderError) as caught:
        stack.handlers["Image"].create(resource, stack.deadline())
    assert caught.value.diagnostic.code in ("PRV5101", "PRV5107")  # type: ignore[attr-defined]
    stack.on_progress = None
    fresh_libvirt_session.start()
    assert isinstance(stack.observe(resource), Absent)
    outcome = stack.apply("Image", "big", spec)
    assert source.read_bytes() == Path(str(outcome.outputs["path"])).read_bytes()
    stack.close()


def test_another_checksum_is_another_image(bench: Any, boot_image: BootImage) -> None:
    bench.apply("Image", "boot", uploaded(boot_image.raw, checksum=sha256(boot_image.raw)))
    planned = bench.plan("Image", "boot", uploaded(boot_image.raw, checksum=f"sha256:{'1' * 64}"))
    assert {"checksum": "replace"} == planned.impacts
    unchecked = bench.plan("Image", "boot", uploaded(boot_image.raw))
    assert {"checksum": "none"} == unchecked.impacts
    other = bench.plan("Image", "boot", uploaded(boot_image.qcow2))
    assert {"checksum": "none", "format": "replace", "source.file": "replace"} == other.impacts


def test_a_volume_of_the_pool_is_used_and_never_removed(bench: Any) -> None:
    mine = bench.pool_folder() / "mine.raw"
    mine.write_bytes(bytes(MIB))
    spec = {"pool": "images", "source": {"volume": "mine.raw"}, "format": "raw"}
    assert isinstance(bench.plan("Image", "base", spec).observed, Absent)
    outcome = bench.apply("Image", "base", spec)
    assert {"path": str(mine), "volume": "mine.raw"} == outcome.outputs
    bench.delete("Image", "base")
    assert [mine] == list(bench.pool_folder().iterdir())


def test_the_checksum_of_a_volume_is_verified_once(bench: Any) -> None:
    mine = bench.pool_folder() / "mine.raw"
    mine.write_bytes(bytes(range(256)) * 4096)
    spec = {
        "pool": "images",
        "source": {"volume": "mine.raw"},
        "format": "raw",
        "checksum": sha256(mine),
    }
    with pytest.raises(Terminal) as caught:
        bench.apply("Image", "base", {**spec, "checksum": f"sha256:{'2' * 64}"})
    assert "PRV5134" == caught.value.diagnostic.code
    bench.apply("Image", "base", spec)
    assert sha256(mine) == bench.present("Image", "base").spec["checksum"]
    bench.delete("Image", "base")
    assert [mine] == list(bench.pool_folder().iterdir())


def test_a_volume_that_is_not_there_or_not_of_that_format(bench: Any) -> None:
    spec = {"pool": "images", "source": {"volume": "mine.raw"}, "format": "qcow2"}
    with pytest.raises(Terminal) as missing:
        bench.apply("Image", "base", spec)
    (bench.pool_folder() / "mine.raw").write_bytes(bytes(MIB))
    with pytest.raises(Terminal) as wrong:
        bench.apply("Image", "base", spec)
    codes = (missing.value.diagnostic.code, wrong.value.diagnostic.code)
    assert ("PRV5133", "PRV5131") == codes


def test_discovery_tells_images_from_disks(bench: Any, boot_image: BootImage) -> None:
    bench.apply("Image", "boot", uploaded(boot_image.qcow2))
    bench.apply("Disk", "root", {"pool": "images", "image": "boot"})
    (bench.pool_folder() / "tools.iso").write_bytes(bytes(MIB))
    bench.refresh()
    images = {item.name: item.observed.spec for item in bench.discover("Image")}
    boot = bench.recorded[Address("Image", "boot")].outputs["volume"]
    assert {boot, "tools.iso"} == set(images)
    assert sha256(boot_image.qcow2) == images[str(boot)]["checksum"]
    (root,) = bench.discover("Disk")
    # It is based on the image, by its external id.
    assert ("root", f"images/{boot}", ()) == (
        root.name.partition(".")[0],
        root.observed.spec["image"],
        root.notes,
    )


@pytest.fixture
def small(libvirt_system: LibvirtDaemon) -> Iterator[Any]:
    """A stack whose pool holds 2 MiB."""
    stack = handlerbench.Bench(libvirt_system.uri)
    folder = libvirt_system.directory / f"small-{stack.lineage.hex[:8]}"
    folder.mkdir()
    with handlerbench.mounted_tmpfs(libvirt_system.pid, folder, "2m"):
        stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
        yield stack
        stack.delete("StoragePool", "images")
    stack.close()


@pytest.mark.parametrize("excess", [1, upload_module.CHUNK, upload_module.CHUNK + 1, 6 * MIB])
def test_an_image_that_does_not_fit_is_told_and_nothing_is_left(
    small: Any, tmp_path: Path, excess: int
) -> None:
    """libvirt tells of a write that fails while more is sent; if the last one does, it does not.
    Now and then it drops its client instead, which is then tried again, as the engine does.
    """
    source = tmp_path / "big.raw"
    source.write_bytes(b"x" * (2 * MIB + excess))
    problem = refusal(small, source)
    if isinstance(problem, Retryable):
        problem = refusal(small, source)
    assert "PRV5114" == problem.diagnostic.code
    assert [] == small.volumes("images")


def refusal(small: Any, source: Path) -> Terminal | Retryable:
    try:
        small.apply("Image", "big", uploaded(source))
    except (Terminal, Retryable) as problem:
        return problem
    pytest.fail("it was taken")


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_disk_that_does_not_fit_is_told_and_nothing_is_left(small: Any, kind: str) -> None:
    spec = {"pool": "images", "size": "16MiB", "preallocation": "full", "format": kind}
    with pytest.raises(Terminal) as caught:
        small.apply("Disk", "data", spec)
    assert "PRV5114" == caught.value.diagnostic.code
    assert [] == small.volumes("images")


def test_a_present_image_is_ours_by_its_name(bench: Any, boot_image: BootImage) -> None:
    """After the state was lost the image is found again, because its name is its identity."""
    bench.apply("Image", "boot", uploaded(boot_image.raw))
    bench.recorded.pop(Address("Image", "boot"))
    observed = bench.plan("Image", "boot", uploaded(boot_image.raw)).observed
    assert isinstance(observed, Present)
    assert observed.owner is not None
    assert str(bench.lineage) == observed.owner.lineage
