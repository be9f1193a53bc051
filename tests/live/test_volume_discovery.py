"""Every volume that a daemon tells is a Disk, an Image, or a note that says why it is neither."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Discovered, Present
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MIB = 1 << 20
LONGEST = "x" * 251 + ".raw"


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    stack = handlerbench.Bench(libvirt_session.uri)
    folder = libvirt_session.directory / f"pool-{stack.lineage.hex[:8]}"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    yield stack
    stack.close()


def found(bench: Any) -> dict[str, Discovered]:
    """Everything in pools, by its name; nothing is told twice."""
    items = [item for kind in ("Disk", "Image") for item in bench.discover(kind)]
    result = {item.name: item for item in items}
    assert len(items) == len(result)
    return result


def image(folder: Path, name: str, *arguments: str, form: str = "qcow2") -> None:
    path = str(folder / name)
    command = ["qemu-img", "create", "-q", "-f", form, *arguments, path, "1M"]
    # For LUKS, qemu-img times its key derivation, and gives up where the clock did not move.
    for _ in range(20):
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if "accurate CPU usage" not in made.stderr:
            break
    assert 0 == made.returncode, made.stderr
    Path(path).chmod(0o666)


@pytest.mark.parametrize("name", ["two words", ".hidden", "Größe & <more>.img", LONGEST, "a;b'c"])
def test_a_name_of_any_kind_is_found_for_adoption(bench: Any, name: str) -> None:
    (bench.pool_folder() / name).write_bytes(bytes(MIB))
    bench.refresh()
    item = found(bench)[name]
    assert ("Disk", f"images/{name}", ()) == (item.kind, item.observed.external_id, item.notes)
    spec = {"pool": "images", "size": "1MiB", "format": "raw"}
    plain = bench.resource("Disk", "called-otherwise", spec)
    exact = handlerbench.replace(plain, name=name, exact=True)
    assert f"images/{name}" == bench.observe(exact).external_id
    # One that is to be made is called otherwise, so that nothing is in its way.
    unnamed = handlerbench.replace(plain, name=name.removesuffix(".raw"))
    assert not isinstance(bench.observe(unnamed), type(bench.observe(exact)))


def test_what_is_no_disk_says_why(bench: Any) -> None:
    folder = bench.pool_folder()
    for form in ("vmdk", "vdi", "qed"):
        image(folder, f"other.{form}", form=form)
    (folder / "folder").mkdir()
    (folder / "words.txt").write_text("no whole sector")
    (folder / "empty").touch()
    bench.refresh()
    items = found(bench)
    for name in ("other.vmdk", "other.vdi", "other.qed", "folder", "words.txt", "empty"):
        assert "size" not in items[name].observed.spec
        assert 1 == len(items[name].notes), items[name]


def test_what_content_needs_is_carried(bench: Any) -> None:
    folder = bench.pool_folder()
    image(folder, "clusters.qcow2", "-o", "cluster_size=2M,lazy_refcounts=on")
    secret = ("--object", "secret,id=key,data=12345678", "-o", "key-secret=key")
    image(folder, "locked.luks", *secret, form="luks")
    bench.refresh()
    items = found(bench)
    (fragment,) = items["clusters.qcow2"].observed.spec["native"]["kvm"]["volume"]
    for part in ("<lazy_refcounts", '<clusterSize unit="B">2097152</clusterSize>'):
        assert part in fragment
    assert "luks" in str(items["locked.luks"].observed.spec) + str(items["locked.luks"].notes)


def test_a_chain_of_volumes(bench: Any) -> None:
    folder = bench.pool_folder()
    image(folder, "base.qcow2")
    for name, below in (("middle", "base"), ("top", "middle")):
        path = str(folder / f"{below}.qcow2")
        image(folder, f"{name}.qcow2", "-b", path, "-F", "qcow2")
    image(folder, "lost.qcow2", "-u", "-b", "/nowhere/base.qcow2", "-F", "qcow2")
    bench.refresh()
    items = found(bench)
    kinds = {name.removesuffix(".qcow2"): item.kind for name, item in items.items()}
    assert {"base": "Image", "middle": "Image", "top": "Disk", "lost": "Disk"} == kinds
    assert "images/middle.qcow2" == items["top.qcow2"].observed.spec["image"]
    assert ("based on /nowhere/base.qcow2",) == items["lost.qcow2"].notes


def test_a_file_that_vanishes_or_cannot_be_read(bench: Any) -> None:
    folder = bench.pool_folder()
    for name in ("stays.raw", "goes.raw", "locked.raw"):
        (folder / name).write_bytes(bytes(MIB))
    bench.refresh()
    (folder / "goes.raw").unlink()
    (folder / "locked.raw").chmod(0)
    items = found(bench)
    assert "Disk" == items["stays.raw"].kind
    assert "goes.raw" not in items
    (pool,) = bench.discover("StoragePool")
    told = "locked.raw" in items or any("locked.raw" in note for note in pool.notes)
    assert told


def test_a_name_that_is_no_text_is_told_and_the_others_are_found(bench: Any) -> None:
    """libvirt's binding for Python takes UTF-8 only; a file system takes any bytes."""
    folder = bench.pool_folder()
    odd = bytes(folder) + b"/bad\xff.img"
    Path(os.fsdecode(odd)).write_bytes(bytes(MIB))
    image(folder, "over.qcow2", "-u", "-b", os.fsdecode(odd), "-F", "raw")
    disk = bench.apply("Disk", "root", {"pool": "images", "size": "1MiB"})
    bench.refresh()
    assert [disk.outputs["volume"]] == list(found(bench))
    (pool,) = bench.discover("StoragePool")
    assert [True, True] == [r"bad\xff.img" in note for note in pool.notes], pool.notes
    assert isinstance(bench.observe(bench.recorded[Address("Disk", "root")]), Present)


def test_what_is_only_beside_a_disk_is_not_told(bench: Any) -> None:
    bench.apply("Disk", "root", {"pool": "images", "size": "1MiB"})
    volume = str(bench.recorded[Address("Disk", "root")].outputs["volume"])
    folder = bench.pool_folder()
    for name in (
        f"{volume}.sha256-{'0' * 64}",
        "web.1f2e3d4c.seed-0123456789abcdef.iso",
        "web.1f2e3d4c.console.log",
        "begun.1f2e3d4c.raw",
        "begun.1f2e3d4c.raw.provisioner-partial",
    ):
        (folder / name).write_bytes(bytes(MIB))
    bench.refresh()
    assert {volume} == set(found(bench))
