"""A pool that somebody stopped or removed: its disks cannot be seen until the plan has brought it
back.
"""

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


def test_the_plan_defines_it_again_and_finds_the_disks_that_were_adopted(
    libvirt_session: LibvirtDaemon, boot_image: BootImage, tmp_path: Path
) -> None:
    stack = Stack(tmp_path, libvirt_session.uri, libvirt_session.directory / "pool-removed")
    boot_image.copy(tmp_path / "boot.qcow2")
    stack.pool.mkdir()
    found = stack.pool / "db.raw"
    found.write_bytes(b"precious".ljust(4 << 20, b"."))
    stack.edit("metadata: {name: data}", "metadata: {name: db.raw}")
    stack.edit("4MiB, format: qcow2", "4MiB, format: raw")
    stack.edit("{disk: data}", "{disk: db.raw}")
    stack.edit("  shutdownTimeout: 0s", "  power: stopped")
    machine = (tmp_path / "stack.yaml").read_text()
    stack.write(machine.partition("---\napiVersion: provisioner/v1\nkind: Image")[0])
    stack.run("apply", "--yes")
    stack.write(machine)
    stack.run("apply", "--yes", "--adopt", "Disk/db.raw")
    connection = libvirt.open(stack.uri)
    pool = connection.storagePoolLookupByName("disks")
    pool.destroy()
    pool.undefine()
    connection.close()
    plan = stack.plan()
    assert {("PRV5123", "Disk/db.raw")} == {
        (problem["code"], problem["address"]) for problem in plan["undetermined"]
    }
    assert "create Disk/db.raw" not in [f"{s['action']} {s['id']}" for s in plan["steps"]]
    stack.run("apply", "--yes", expect=4)
    assert [] == stack.steps()
    assert ["db.raw"] == stack.volumes("db.raw") + stack.volumes("db")
    assert b"precious" == found.read_bytes()[:8]
    consents = ("--allow-data-loss=Disk/root", "--allow-data-loss=Disk/db.raw")
    stack.run("destroy", "--yes", *consents)


def test_a_pool_that_goes_while_others_are_looked_at_has_no_volumes(
    libvirt_session: LibvirtDaemon, tmp_path: Path
) -> None:
    storage = pytest.importorskip("provisioner_plugins._libvirt.storage")
    connection = libvirt.open(libvirt_session.uri)
    (tmp_path / "one").touch()
    pool = connection.storagePoolDefineXML(
        f"<pool type='dir'><name>fleeting</name><target><path>{tmp_path}</path></target></pool>"
    )
    pool.create()
    assert ["one"] == storage.names_in(pool)
    pool.destroy()
    assert [] == storage.names_in(pool)
    pool.undefine()
    assert [] == storage.names_in(pool)
    connection.close()
