"""What libvirt can change while a guest runs is changed while it runs: its count goes on."""

from collections.abc import Iterator
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Terminal
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import volume_domain

machinebench = pytest.importorskip("tests.live.machinebench")
libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
MIB = 1 << 20


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.disk("data")
    stack.disk("more")
    stack.network("lan")
    yield stack
    stack.close()


def test_the_guest_counts_on_through_every_live_change(bench: Any) -> None:
    spec: dict[str, Any] = {
        "description": "Shop",
        "cpu": {"count": 1, "max": 4},
        "memory": {"size": "16MiB", "max": "32MiB"},
        "disks": [{"disk": "root", "bootOrder": 1}],
        "nics": [{"name": "lan", "network": "lan"}],
        "cdroms": [{"name": "setup"}],
        "cloudInit": {"userData": "#cloud-config\n{}\n"},
        "shutdownTimeout": "0s",
    }
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-SEQ")
    changed = {
        **spec,
        "description": "Shop, second floor",
        "cpu": {"count": 3, "max": 4},
        "memory": {"size": "24MiB", "max": "32MiB"},
        "disks": [
            {"disk": "root", "bootOrder": 1},
            {"disk": "data", "serial": "DATA"},
            {"disk": "more", "bus": "scsi"},
        ],
        "nics": [
            {"name": "lan", "network": "lan", "link": "down"},
            {"name": "wan", "network": "lan", "mac": "52:54:00:00:00:09"},
        ],
        "cdroms": [{"name": "setup", "image": "boot"}],
        "cloudInit": {"userData": "#cloud-config\nhostname: web\n"},
        "autostart": True,
    }
    impacts = bench.plan(VM, "web", changed).impacts
    assert {"live", "none"} == set(impacts.values())
    with bench.uninterrupted():
        outcome = bench.apply(VM, "web", changed)
    assert () == outcome.pending
    live = bench.live()
    assert "Shop, second floor" == live.findtext("description")
    assert "3" == live.find("vcpu").get("current")
    assert {"vda", "vdb"} < {target.get("dev") for target in live.findall("devices/disk/target")}
    assert "DATA" in [serial.text for serial in live.findall("devices/disk/serial")]
    assert ["down", None] == [
        None if (link := nic.find("link")) is None else link.get("state")
        for nic in live.findall("devices/interface")
    ]
    assert "52:54:00:00:00:09" in outcome.outputs["mac"].values()
    assert {} == bench.present(VM, "web").running


@pytest.mark.parametrize("running", [True, False], ids=["plugged in", "started with"])
def test_a_disk_that_another_guest_has_open(
    bench: Any, libvirt_session: LibvirtDaemon, running: bool
) -> None:
    disk = bench.recorded[Address("Disk", "data")]
    guest = bench.connection.call(
        "create",
        lambda handle: handle.createXML(
            volume_domain("theirs", disk.external_id, libvirt_session.directory / "theirs.log")
        ),
    )
    spec: dict[str, Any] = {"memory": {"size": "16MiB"}, "disks": [], "shutdownTimeout": "0s"}
    if running:
        bench.apply(VM, "web", spec)
    with pytest.raises(Terminal) as caught:
        bench.apply(VM, "web", {**spec, "disks": [{"disk": "data"}]})
    assert "PRV5129" == caught.value.diagnostic.code
    guest.destroy()
    bench.apply(VM, "web", {**spec, "disks": [{"disk": "data"}]})


def test_the_medium_of_a_drive_is_exchanged_and_taken_out(bench: Any) -> None:
    drive: dict[str, Any] = {"name": "setup", "image": "boot"}
    spec = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root", "bootOrder": 1}],
        "cdroms": [drive],
        "shutdownTimeout": "0s",
    }
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-SEQ")
    with bench.uninterrupted():
        outcome = bench.apply(VM, "web", {**spec, "cdroms": [{"name": "setup"}]})
    assert () == outcome.pending, outcome.notes
    (cdrom,) = [disk for disk in bench.live().findall("devices/disk") if _is_cdrom(disk)]
    source = cdrom.find("source")
    assert source is None or {"index"} == set(source.keys())
    assert {} == bench.present(VM, "web").running


def test_the_seed_of_before_is_removed(bench: Any) -> None:
    spec = {
        "memory": {"size": "16MiB"},
        "disks": [{"disk": "root"}],
        "shutdownTimeout": "0s",
        "cloudInit": {"userData": "#cloud-config\n{}\n"},
    }
    bench.apply(VM, "web", spec)
    (first,) = seeds(bench)
    bench.wait_for("LAB-SEQ")
    with bench.uninterrupted():
        bench.apply(VM, "web", {**spec, "cloudInit": {"userData": "#cloud-config\nhostname: a\n"}})
    (second,) = seeds(bench)
    assert first != second
    source = next(disk for disk in bench.live().findall("devices/disk") if _is_cdrom(disk))
    assert second == source.find("source").get("volume")


def test_a_description_that_somebody_changed_in_force_only_is_put_right(bench: Any) -> None:
    spec = {"memory": {"size": "16MiB"}, "disks": [{"disk": "root"}], "shutdownTimeout": "0s"}
    bench.apply(VM, "web", {**spec, "description": "Shop"})
    domain = bench.domain("web")
    domain.setMetadata(
        libvirt.VIR_DOMAIN_METADATA_DESCRIPTION, "Bob's", None, None, libvirt.VIR_DOMAIN_AFFECT_LIVE
    )
    assert {("description",): "Bob's"} == bench.present(VM, "web").running
    bench.apply(VM, "web", {**spec, "description": "Shop"})
    assert "Shop" == bench.live().findtext("description")


def seeds(bench: Any) -> list[str]:
    return [volume.name() for volume in bench.volumes("images") if ".seed-" in volume.name()]


def _is_cdrom(disk: Any) -> bool:
    return bool(disk.get("device") == "cdrom")
