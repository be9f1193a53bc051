"""Disks on a real daemon whose data is kept from harm: in use, put back, or somebody else's."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import volume_domain

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Absent, Present, Terminal, Undetermined  # noqa: E402
from provisioner_plugins._libvirt.volume import PARTIAL  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MIB = 1 << 20


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    """A stack with a pool and an image of 8 MiB in it."""
    stack = handlerbench.Bench(libvirt_session.uri)
    folder = libvirt_session.directory / f"pool-{stack.lineage.hex[:8]}"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    source = {"file": str(boot_image.qcow2)}
    stack.apply("Image", "boot", {"pool": "images", "source": source, "format": "qcow2"})
    yield stack
    stack.close()


@pytest.mark.parametrize(
    "more",
    [
        {"format": "raw"},
        {"format": "qcow2"},
        {"format": "raw", "preallocation": "full"},
        {"format": "raw", "image": "boot", "clone": "full"},
        {"format": "qcow2", "image": "boot"},
    ],
)
def test_a_volume_that_the_daemon_does_not_know_yet_is_found(
    bench: Any, more: dict[str, Any]
) -> None:
    """Put back from a backup, say: it has the disk's identity, and its data must survive."""
    resource = bench.resource("Disk", "data", {"pool": "images", "size": "16MiB", **more})
    back = bench.pool_folder() / f"data.{resource.uid.hex[:8]}.{more['format']}"
    back.write_bytes(b"precious".ljust(16 * MIB, b"."))
    outcome = bench.handlers["Disk"].create(resource, bench.deadline())
    assert str(back) == outcome.outputs["path"]
    assert b"precious" == back.read_bytes()[:8]


def test_a_volume_that_the_daemon_does_not_know_yet_outlives_a_failure(bench: Any) -> None:
    Path(bench.recorded[Address("Image", "boot")].outputs["path"]).unlink()
    bench.refresh()
    resource = bench.resource("Disk", "data", {"pool": "images", "image": "boot"})
    back = bench.pool_folder() / f"data.{resource.uid.hex[:8]}.qcow2"
    back.write_bytes(b"precious")
    with pytest.raises(Terminal) as caught:
        bench.handlers["Disk"].create(resource, bench.deadline())
    assert "PRV5133" == caught.value.diagnostic.code
    assert b"precious" == back.read_bytes()


def test_a_file_that_another_program_leaves_beside_a_disk_says_nothing_of_it(bench: Any) -> None:
    """``qemu-img convert ... DISK.partial`` is how many people bring a disk back."""
    spec = {"pool": "images", "size": "16MiB", "format": "raw"}
    bench.apply("Disk", "data", spec)
    path = Path(str(bench.present("Disk", "data").outputs["path"]))
    path.write_bytes(b"precious".ljust(16 * MIB, b"."))
    beside = path.with_name(f"{path.name}.partial")
    beside.touch()
    planned = bench.plan("Disk", "data", spec)
    assert isinstance(planned.observed, Present)
    bench.handlers["Disk"].create(planned.resource, bench.deadline())
    assert b"precious" == path.read_bytes()[:8]
    bench.delete("Disk", "data")
    assert beside.exists()


def test_a_copy_that_did_not_end_is_left_alone_while_a_machine_uses_it(
    bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    """It was started by hand, say, after the daemon had ended the copy by itself."""
    spec = {"pool": "images", "image": "boot", "clone": "full"}
    bench.apply("Disk", "root", spec)
    disk = bench.present("Disk", "root")
    path = Path(str(disk.outputs["path"]))
    content = path.read_bytes()
    path.with_name(f"{path.name}{PARTIAL}").touch()
    bench.refresh()
    connection = libvirt.open(libvirt_session.uri)
    domain = connection.defineXML(
        volume_domain("keen", disk.external_id, libvirt_session.directory / "k.log")
    )
    resource = bench.recorded[Address("Disk", "root")]
    with pytest.raises(Terminal) as caught:
        bench.handlers["Disk"].create(resource, bench.deadline())
    assert "PRV5124" == caught.value.diagnostic.code
    assert (
        f"Its marker {path.name}{PARTIAL} says that the copy into it did not end. It is used by "
        "domain keen."
    ) == caught.value.diagnostic.detail
    assert content == path.read_bytes()
    domain.undefine()
    bench.apply("Disk", "root", spec)
    assert not path.with_name(f"{path.name}{PARTIAL}").exists()
    connection.close()


def test_a_disk_that_a_machine_uses_is_not_deleted(
    bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    bench.apply("Disk", "root", {"pool": "images", "image": "boot"})
    disk = bench.present("Disk", "root")
    connection = libvirt.open(libvirt_session.uri)
    domain = connection.defineXML(
        volume_domain("user", disk.external_id, libvirt_session.directory / "u.log")
    )
    resource = bench.recorded[Address("Disk", "root")]
    with pytest.raises(Terminal) as caught:
        bench.handlers["Disk"].delete(resource, bench.deadline())
    assert "PRV5124" == caught.value.diagnostic.code
    assert "domain user" in caught.value.diagnostic.detail
    domain.undefine()
    bench.delete("Disk", "root")
    connection.close()


def test_an_image_with_a_linked_clone_is_not_deleted(bench: Any) -> None:
    bench.apply("Disk", "root", {"pool": "images", "image": "boot"})
    bench.apply("Disk", "copy", {"pool": "images", "image": "boot", "clone": "full"})
    resource = bench.recorded[Address("Image", "boot")]
    with pytest.raises(Terminal) as caught:
        bench.handlers["Image"].delete(resource, bench.deadline())
    assert "PRV5124" == caught.value.diagnostic.code
    assert "volume images/root." in caught.value.diagnostic.detail
    assert "copy" not in caught.value.diagnostic.detail
    bench.delete("Disk", "root")
    bench.delete("Image", "boot")
    assert ["copy"] == [path.name.partition(".")[0] for path in bench.pool_folder().iterdir()]


def test_an_overlay_that_another_program_made_protects_its_disk(bench: Any) -> None:
    bench.apply("Disk", "base", {"pool": "images", "size": "16MiB"})
    path = str(bench.present("Disk", "base").outputs["path"])
    overlay = bench.pool_folder() / "overlay.qcow2"
    options = ["-q", "-f", "qcow2", "-F", "qcow2", "-b", Path(path).name]
    subprocess.run(["qemu-img", "create", *options, str(overlay)], check=True)
    resource = bench.recorded[Address("Disk", "base")]
    with pytest.raises(Terminal) as caught:
        bench.handlers["Disk"].delete(resource, bench.deadline())
    assert "volume images/overlay.qcow2" in caught.value.diagnostic.detail


def test_a_foreign_volume_of_that_name_is_in_nobody_s_way(bench: Any) -> None:
    foreign = bench.pool_folder() / "data"
    foreign.write_bytes(b"foreign")
    bench.apply("Disk", "data", {"pool": "images", "size": "16MiB"})
    assert str(foreign) != bench.present("Disk", "data").outputs["path"]
    bench.delete("Disk", "data")
    assert b"foreign" == foreign.read_bytes()


def test_a_foreign_volume_that_the_author_names_is_left_alone(bench: Any) -> None:
    foreign = bench.pool_folder() / "data.qcow2"
    foreign.write_bytes(b"foreign")
    planned = bench.plan("Disk", "data.qcow2", {"pool": "images", "size": "16MiB"})
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is None
    handler = bench.handlers["Disk"]
    with pytest.raises(Terminal) as caught:
        handler.update(
            planned.resource, planned.observed, (), restart=False, deadline=bench.deadline()
        )
    assert "PRV5119" == caught.value.diagnostic.code
    handler.delete(planned.resource, bench.deadline())
    assert b"foreign" == foreign.read_bytes()


def test_a_foreign_volume_is_adopted_as_it_is(bench: Any) -> None:
    foreign = bench.pool_folder() / "data.raw"
    foreign.write_bytes(bytes(MIB))
    bench.refresh()
    (found,) = [item for item in bench.discover("Disk") if item.name == "data.raw"]
    pool = bench.present("StoragePool", "images").external_id
    assert {"pool": pool, "format": "raw", "size": MIB} == found.observed.spec
    spec = {"pool": "images", "size": "1MiB", "format": "raw"}
    bench.adopt("Disk", "data.raw", spec)
    assert () == tuple(bench.plan("Disk", "data.raw", spec).changes)
    bench.apply("Disk", "data.raw", {**spec, "size": "2MiB"})
    assert 2 * MIB == foreign.stat().st_size
    bench.delete("Disk", "data.raw")
    assert not foreign.exists()


def test_an_adopted_disk_of_a_pool_that_is_gone_is_undetermined(bench: Any) -> None:
    """Creating it would look under its own name only, and make an empty one."""
    (bench.pool_folder() / "data.raw").write_bytes(bytes(MIB))
    bench.refresh()
    bench.adopt("Disk", "data.raw", {"pool": "images", "size": "1MiB", "format": "raw"})
    bench.apply("Disk", "own", {"pool": "images", "size": "1MiB"})
    bench.connection.call("stop", lambda h: h.storagePoolLookupByName("images").destroy())
    bench.connection.call("remove", lambda h: h.storagePoolLookupByName("images").undefine())
    observed = bench.observe(bench.recorded[Address("Disk", "data.raw")])
    assert isinstance(observed, Undetermined)
    assert "PRV5123" == observed.diagnostic.code
    # This one is found by creating it.
    assert Absent() == bench.observe(bench.recorded[Address("Disk", "own")])
