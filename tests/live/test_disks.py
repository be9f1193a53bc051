"""Disks on a real daemon: made, cloned, grown in use and not."""

import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import bootsector
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import volume_domain

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Absent, Present, Retryable, Terminal, Undetermined  # noqa: E402
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


def image_info(disk: Present) -> dict[str, Any]:
    command = ["qemu-img", "info", "-U", "--output", "json", str(disk.outputs["path"])]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    info: dict[str, Any] = json.loads(found.stdout)
    return info


@pytest.mark.parametrize(
    ("spec", "size", "kind", "backed"),
    [
        pytest.param({"size": "1GiB"}, 1024 * MIB, "qcow2", False, id="empty"),
        pytest.param({"size": "16MiB", "format": "raw"}, 16 * MIB, "raw", False, id="raw"),
        pytest.param({"image": "boot"}, 8 * MIB, "qcow2", True, id="linked"),
        pytest.param(
            {"image": "boot", "size": "20MiB"}, 20 * MIB, "qcow2", True, id="linked-larger"
        ),
        pytest.param(
            {"image": "boot", "clone": "full", "size": "20MiB"}, 20 * MIB, "qcow2", False, id="full"
        ),
        pytest.param(
            {"image": "boot", "clone": "full", "format": "raw"}, 8 * MIB, "raw", False, id="to-raw"
        ),
        pytest.param(
            {"size": "64MiB", "preallocation": "metadata"}, 64 * MIB, "qcow2", False, id="metadata"
        ),
        pytest.param(
            {"size": "4MiB", "preallocation": "full"}, 4 * MIB, "qcow2", False, id="preallocated"
        ),
        pytest.param(
            {"size": "4MiB", "preallocation": "full", "format": "raw"},
            4 * MIB,
            "raw",
            False,
            id="preallocated-raw",
        ),
        pytest.param(
            {
                "size": "4MiB",
                "native": {"kvm": {"volume": ["<target><compat>0.10</compat></target>"]}},
            },
            4 * MIB,
            "qcow2",
            False,
            id="native",
        ),
    ],
)
def test_a_disk_is_what_its_manifest_says(
    bench: Any, spec: dict[str, Any], size: int, kind: str, backed: bool
) -> None:
    bench.apply("Disk", "data", {"pool": "images", **spec})
    disk = bench.present("Disk", "data")
    info = image_info(disk)
    assert size == info["virtual-size"]
    assert kind == info["format"]
    assert backed == ("backing-filename" in info)
    assert {"pool": "images", "format": kind, "size": size} == disk.spec
    if kind == "qcow2":
        compat = "0.10" if "native" in spec else "1.1"
        assert compat == info["format-specific"]["data"]["compat"]
    if spec.get("preallocation") == "full":
        assert info["actual-size"] >= size
    elif "image" not in spec:
        assert info["actual-size"] < MIB


def test_both_kinds_of_clone_hold_the_image(bench: Any, boot_image: BootImage) -> None:
    for name, clone in (("linked", "linked"), ("full", "full")):
        bench.apply("Disk", name, {"pool": "images", "image": "boot", "clone": clone})
        path = str(bench.present("Disk", name).outputs["path"])
        command = ["qemu-img", "compare", path, str(boot_image.raw)]
        compared = subprocess.run(command, capture_output=True, text=True)
        assert (0, "Images are identical.") == (compared.returncode, compared.stdout.strip())


def test_a_disk_grows_and_keeps_its_data(bench: Any, boot_image: BootImage) -> None:
    for name, more in (("linked", {}), ("raw", {"clone": "full", "format": "raw"})):
        spec = {"pool": "images", "image": "boot", **more}
        bench.apply("Disk", name, spec)
        assert {"size": "live"} == bench.plan("Disk", name, {**spec, "size": "24MiB"}).impacts
        bench.apply("Disk", name, {**spec, "size": "24MiB"})
        disk = bench.present("Disk", name)
        assert 24 * MIB == image_info(disk)["virtual-size"]
        assert 0 == bootsector.counter(Path(str(disk.outputs["path"])))


def test_a_disk_in_use_grows_while_the_guest_runs(
    bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    spec = {"pool": "images", "image": "boot"}
    bench.apply("Disk", "root", spec)
    disk = bench.present("Disk", "root")
    connection = libvirt.open(libvirt_session.uri)
    log = libvirt_session.directory / "grow.log"
    domain = connection.createXML(volume_domain("grow", disk.external_id, log))
    bench.apply("Disk", "root", {**spec, "size": "32MiB"})
    assert 32 * MIB == domain.blockInfo("vda")[0]
    assert 32 * MIB == image_info(bench.present("Disk", "root"))["virtual-size"]
    connection.close()


def test_a_disk_below_a_running_snapshot_is_not_grown(
    bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    spec = {"pool": "images", "image": "boot"}
    bench.apply("Disk", "root", spec)
    disk = bench.present("Disk", "root")
    connection = libvirt.open(libvirt_session.uri)
    domain = connection.defineXML(
        volume_domain("above", disk.external_id, libvirt_session.directory / "above.log")
    )
    domain.create()
    overlay = libvirt_session.directory / "overlay.qcow2"
    snapshot = ET.Element("domainsnapshot")
    drive = ET.SubElement(ET.SubElement(snapshot, "disks"), "disk", name="vda", snapshot="external")
    ET.SubElement(drive, "source", file=str(overlay))
    domain.snapshotCreateXML(
        ET.tostring(snapshot, encoding="unicode"), libvirt.VIR_DOMAIN_SNAPSHOT_CREATE_DISK_ONLY
    )
    with pytest.raises(Terminal) as caught:
        bench.apply("Disk", "root", {**spec, "size": "32MiB"})
    assert "PRV5136" == caught.value.diagnostic.code
    assert 8 * MIB == image_info(bench.present("Disk", "root"))["virtual-size"]
    connection.close()


def test_shrinking_is_loss_of_data(bench: Any) -> None:
    bench.apply("Disk", "data", {"pool": "images", "size": "16MiB"})
    planned = bench.plan("Disk", "data", {"pool": "images", "size": "8MiB"})
    assert {"size": "data-loss"} == planned.impacts
    assert "write size: 16MiB to keep the disk as it is" in planned.changes[0].reason


@pytest.mark.parametrize(
    ("change", "impacts"),
    [
        ({"format": "raw"}, {"format": "data-loss"}),
        ({"image": "boot"}, {"image": "data-loss"}),
        ({"retention": "delete"}, {"retention": "none"}),
        ({"preallocation": "full"}, {"preallocation": "none"}),
    ],
)
def test_the_impact_of_other_changes(bench: Any, change: Any, impacts: Any) -> None:
    spec = {"pool": "images", "size": "16MiB", "retention": "keep", "preallocation": "none"}
    bench.apply("Disk", "data", spec)
    assert impacts == bench.plan("Disk", "data", {**spec, **change}).impacts


def test_a_size_that_is_removed_changes_nothing(bench: Any) -> None:
    spec = {"pool": "images", "image": "boot"}
    bench.apply("Disk", "data", {**spec, "size": "16MiB"})
    assert {"size": "none"} == bench.plan("Disk", "data", spec).impacts
    bench.apply("Disk", "data", spec)
    assert 16 * MIB == bench.present("Disk", "data").spec["size"]


def test_a_disk_smaller_than_its_image_is_refused_and_nothing_is_left(bench: Any) -> None:
    for clone in ("linked", "full"):
        spec = {"pool": "images", "image": "boot", "size": "4MiB", "clone": clone}
        with pytest.raises(Terminal) as caught:
            bench.apply("Disk", "small", spec)
        assert "PRV5135" == caught.value.diagnostic.code
        assert "8MiB" in caught.value.diagnostic.detail
    assert not [path for path in bench.pool_folder().iterdir() if path.name.startswith("small")]


def test_a_raw_disk_stays_raw_whatever_a_guest_writes_to_it(
    bench: Any, boot_image: BootImage
) -> None:
    spec = {"pool": "images", "size": "16MiB", "format": "raw"}
    bench.apply("Disk", "data", spec)
    path = Path(str(bench.present("Disk", "data").outputs["path"]))
    with path.open("r+b") as volume:
        volume.write(boot_image.qcow2.read_bytes()[:4096])
    assert () == tuple(bench.plan("Disk", "data", spec).changes)
    with pytest.raises(Terminal) as caught:
        bench.apply("Disk", "data", {**spec, "size": "32MiB"})
    assert "PRV5136" == caught.value.diagnostic.code
    assert 16 * MIB == path.stat().st_size


def test_creating_twice_gives_one_disk_and_keeps_its_data(bench: Any) -> None:
    spec = {"pool": "images", "size": "16MiB", "format": "raw"}
    planned = bench.plan("Disk", "data", spec)
    handler = bench.handlers["Disk"]
    first = handler.create(planned.resource, bench.deadline())
    path = Path(str(first.outputs["path"]))
    with path.open("r+b") as volume:
        volume.write(b"precious")
    again = handler.create(planned.resource, bench.deadline())
    assert (first.external_id, first.outputs) == (again.external_id, again.outputs)
    assert b"precious" == path.read_bytes()[:8]


@pytest.mark.parametrize("kind", ["raw", "qcow2"])
def test_a_kept_disk_that_comes_back_gets_the_size_that_is_wanted(bench: Any, kind: str) -> None:
    """With its data, of which the outcome tells; its pool was away while the plan was made."""
    spec = {"pool": "images", "size": "8MiB", "format": kind}
    bench.apply("Disk", "data", spec)
    handler = bench.handlers["Disk"]
    larger = bench.resource("Disk", "data", {**spec, "size": "16MiB"})
    (note,) = handler.create(larger, bench.deadline()).notes
    assert (
        "its volume was there already and is taken over with its data; it was grown from 8MiB to "
        "16MiB"
    ) == note
    assert 16 * MIB == bench.present("Disk", "data").spec["size"]
    (note,) = handler.create(larger, bench.deadline()).notes
    assert "its volume was there already and is taken over with its data" == note
    with pytest.raises(Terminal) as caught:
        handler.create(bench.resource("Disk", "data", spec), bench.deadline())
    assert ("PRV5138", True) == (
        caught.value.diagnostic.code,
        "size: 16MiB" in caught.value.diagnostic.hint,
    )
    assert 16 * MIB == bench.present("Disk", "data").spec["size"]


def test_an_image_that_is_gone_is_told(bench: Any) -> None:
    Path(bench.recorded[Address("Image", "boot")].outputs["path"]).unlink()
    bench.refresh()
    with pytest.raises(Terminal) as caught:
        bench.apply("Disk", "data", {"pool": "images", "image": "boot"})
    assert "PRV5133" == caught.value.diagnostic.code


def test_what_an_interrupted_copy_left_is_made_anew(bench: Any, boot_image: BootImage) -> None:
    spec = {"pool": "images", "image": "boot", "clone": "full", "format": "raw"}
    planned = bench.plan("Disk", "data", spec)
    name = f"data.{planned.resource.uid.hex[:8]}.raw"
    (bench.pool_folder() / name).write_bytes(bytes(MIB))
    (bench.pool_folder() / f"{name}{PARTIAL}").touch()
    assert isinstance(bench.observe(planned.resource), Absent)
    bench.apply("Disk", "data", spec)
    assert boot_image.raw.read_bytes() == (bench.pool_folder() / name).read_bytes()
    assert not (bench.pool_folder() / f"{name}{PARTIAL}").exists()


@pytest.mark.parametrize("kind", ["StoragePool", "Image", "Disk"])
def test_nothing_begins_once_the_time_is_over(bench: Any, boot_image: BootImage, kind: str) -> None:
    specs = {
        "StoragePool": {"type": "dir", "path": str(bench.pool_folder() / "late")},
        "Image": {"pool": "images", "source": {"file": str(boot_image.raw)}, "format": "raw"},
        "Disk": {"pool": "images", "size": "16MiB"},
    }
    resource = bench.resource(kind, "late", specs[kind])
    with pytest.raises(Retryable) as caught:
        bench.handlers[kind].create(resource, bench.deadline(-1))
    assert "PRV5132" == caught.value.diagnostic.code
    assert isinstance(bench.observe(resource), Absent)


@pytest.mark.parametrize("kind", ["StoragePool", "Image", "Disk"])
def test_changing_what_is_gone_is_told(bench: Any, kind: str) -> None:
    bench.apply("Disk", "data", {"pool": "images", "size": "16MiB"})
    name = {"StoragePool": "images", "Image": "boot", "Disk": "data"}[kind]
    resource, observed = bench.recorded[Address(kind, name)], bench.present(kind, name)
    for item in ("Disk", "Image", "StoragePool"):
        bench.handlers[item].delete(
            bench.recorded[Address(item, {"Disk": "data", "Image": "boot"}.get(item, "images"))],
            bench.deadline(),
        )
        if item == kind:
            break
    with pytest.raises(Terminal) as caught:
        bench.handlers[kind].update(
            resource, observed, (), restart=False, deadline=bench.deadline()
        )
    assert "PRV5115" == caught.value.diagnostic.code


def test_disks_of_a_stopped_pool_are_undetermined(bench: Any) -> None:
    spec = {"pool": "images", "size": "16MiB"}
    bench.apply("Disk", "data", spec)
    bench.connection.call("stop", lambda h: h.storagePoolLookupByName("images").destroy())
    observed = bench.observe(bench.recorded[Address("Disk", "data")])
    assert isinstance(observed, Undetermined)
    assert "PRV5120" == observed.diagnostic.code
    pool = {"type": "dir", "path": str(bench.pool_folder())}
    planned = bench.plan("StoragePool", "images", pool)
    assert {"type": "live"} == planned.impacts
    bench.apply("StoragePool", "images", pool)
    assert isinstance(bench.observe(bench.recorded[Address("Disk", "data")]), Present)


def test_a_volume_removed_by_hand_is_absent(bench: Any) -> None:
    bench.apply("Disk", "data", {"pool": "images", "size": "16MiB"})
    Path(str(bench.present("Disk", "data").outputs["path"])).unlink()
    assert isinstance(bench.observe(bench.recorded[Address("Disk", "data")]), Absent)


def test_a_creation_that_still_runs_ends_in_one_whole_disk(bench: Any, tmp_path: Path) -> None:
    """A copy whose answer was lost goes on in the daemon while the step is repeated."""
    big = tmp_path / "big.raw"
    big.write_bytes(bytes(range(256)) * (256 * 1024))
    bench.apply("Image", "big", {"pool": "images", "source": {"file": str(big)}, "format": "raw"})
    spec = {"pool": "images", "image": "big", "clone": "full", "format": "raw"}
    resource = bench.plan("Disk", "copy", spec).resource
    handler = bench.handlers["Disk"]
    bench.in_background(lambda: handler.create(resource, bench.deadline()))
    name = f"copy.{resource.uid.hex[:8]}.raw"
    handlerbench.wait_until((bench.pool_folder() / name).exists)
    # The daemon answers once the copy has ended, or refuses until then.
    handlerbench.wait_until(lambda: creates(handler, resource, bench))
    bench.join()
    assert big.read_bytes() == (bench.pool_folder() / name).read_bytes()
    assert not (bench.pool_folder() / f"{name}{PARTIAL}").exists()


def creates(handler: Any, resource: Any, bench: Any) -> bool:
    try:
        handler.create(resource, bench.deadline())
    except Retryable:
        return False
    return True
