"""A pool that somebody stopped: its disks cannot be seen until the plan has started it."""

from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.live.program import Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]


def test_the_plan_starts_it_and_leaves_its_disks_alone(
    libvirt_session: LibvirtDaemon, boot_image: BootImage, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, libvirt_session.uri, libvirt_session.directory / "pool-stopped")
    boot_image.copy(tmp_path / "boot.qcow2")
    stack.run("apply", "--yes")
    connection = libvirt.open(stack.uri)
    connection.storagePoolLookupByName("disks").destroy()
    connection.close()
    plan = stack.plan()
    assert ["update StoragePool/disks"] == [f"{s['action']} {s['id']}" for s in plan["steps"]]
    assert {("PRV5120", "Disk/data"), ("PRV5120", "Disk/root"), ("PRV5120", "Image/boot")} == {
        (problem["code"], problem["address"]) for problem in plan["undetermined"]
    }
    stack.run("apply", "--yes", expect=4)
    assert [] == stack.steps()
    consents = ("--allow-data-loss=Disk/root", "--allow-data-loss=Disk/data")
    stack.run("destroy", "--yes", *consents)
