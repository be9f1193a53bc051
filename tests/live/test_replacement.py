"""Replacing what real machines use: they move over, and what is still needed stays."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.linux import LinuxGuest
from tests.live.program import Stack

libvirt = pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

LOSE_DATA = ("--max-impact", "replace", "--allow-data-loss", "Disk/data")


@pytest.fixture
def stack(libvirt_session: LibvirtDaemon, boot_image: BootImage, tmp_path: Path) -> Iterator[Stack]:
    pool = libvirt_session.directory / f"pool-{tmp_path.name}"
    boot_image.copy(tmp_path / "boot.qcow2")
    made = Stack(tmp_path, libvirt_session.uri, pool)
    yield made
    consents = [f"--allow-data-loss=Disk/{name}" for name in ("root", "data", "copy")]
    made.run("destroy", "--yes", *consents)
    assert not pool.exists() or [] == list(pool.iterdir())


def test_a_disk_of_a_stopped_machine(stack: Stack) -> None:
    stack.edit("  shutdownTimeout: 0s", "  power: stopped")
    stack.run("apply", "--yes")
    stack.edit("4MiB, format: qcow2", "4MiB, format: raw")
    assert ["replace Disk/data", "update VirtualMachine/web", "delete Disk/data#old"] == (
        stack.steps(*LOSE_DATA)
    )
    stack.run("apply", "--yes", *LOSE_DATA)
    assert ([], []) == (stack.plan()["steps"], stack.plan()["kept"])
    assert ["data.raw"] == stack.volumes("data")


def test_a_disk_that_the_guest_does_not_let_go_of(stack: Stack) -> None:
    """The boot-sector guest answers no request to unplug: its disk goes at the next restart."""
    stack.run("apply", "--yes")
    stack.edit("4MiB, format: qcow2", "4MiB, format: raw")
    said = stack.run("apply", "--yes", *LOSE_DATA)
    assert "Disk/data (predecessor): kept for now. It is used by domain web." in said
    plan = stack.plan()
    assert [{"address": "Disk/data#0", "reason": "needed by domain web"}] == plan["kept"]
    assert ([], [["disks", "data#0"]]) == (
        plan["steps"],
        [note["path"] for note in plan["pending"]],
    )
    stack.run("apply", "--yes")
    stack.run("apply", "--yes", *LOSE_DATA)
    assert ([], []) == (stack.plan()["steps"], stack.plan()["kept"])
    assert ["data.raw"] == stack.volumes("data")


@pytest.mark.timeout(600)
def test_a_disk_of_a_guest_that_lets_go_and_runs_on(stack: Stack, linux_guest: LinuxGuest) -> None:
    boot = (
        f"  boot: {{kernel: {linux_guest.kernel}, initrd: {linux_guest.initrd}, "
        f'cmdline: "{linux_guest.cmdline}"}}\n'
    )
    stack.edit("  memory: {size: 16MiB}\n", f"  memory: {{size: 128MiB}}\n{boot}")
    stack.run("apply", "--yes")
    connection = libvirt.open(stack.uri)
    domain = connection.lookupByName("web")
    stack.wait_for("LAB-LINUX")
    number = domain.ID()
    stack.edit("4MiB, format: qcow2", "4MiB, format: raw")
    stack.run("apply", "--yes", *LOSE_DATA)
    assert ([], [], []) == tuple(stack.plan()[key] for key in ("steps", "kept", "pending"))
    assert (number, True) == (domain.ID(), domain.isActive() == 1)
    assert ["data.raw"] == stack.volumes("data")
    connection.close()


def test_an_image_under_a_linked_clone(stack: Stack) -> None:
    stack.edit("  shutdownTimeout: 0s", "  power: stopped")
    stack.run("apply", "--yes")
    image = stack.folder / "boot.qcow2"
    (stack.folder / "new.qcow2").write_bytes(image.read_bytes() + bytes(512))
    stack.edit("file: boot.qcow2", "file: new.qcow2")
    said = stack.run("apply", "--yes", "--max-impact", "replace")
    assert "Kept until nothing needs it: Image/boot (predecessor)." in said
    (kept,) = stack.plan()["kept"]
    assert "Image/boot#0" == kept["address"]
    assert re.fullmatch(r"needed by volume disks/root\.[0-9a-f]{8}\.qcow2", kept["reason"])
    assert "Nothing to do" in stack.run("apply", "--yes")
    # A new disk starts from the new image; the predecessor goes with the last of its clones.
    stack.edit("metadata: {name: root}", "metadata: {name: copy}")
    stack.edit("{disk: root}", "{disk: copy}")
    lose = ("--max-impact", "replace", "--allow-data-loss", "Disk/root")
    assert "delete Image/boot#0" in stack.steps(*lose)
    stack.run("apply", "--yes", *lose)
    assert ([], []) == (stack.plan()["steps"], stack.plan()["kept"])
    assert ["boot.qcow2"] == stack.volumes("boot")


def test_a_section_that_goes_while_the_guest_holds_on_to_its_disks(stack: Stack) -> None:
    """What waits for a restart is told until there was one, though nothing speaks of it."""
    stack.run("apply", "--yes")
    stack.edit("  disks: [{disk: root}, {disk: data}]\n", "")
    stack.run("apply", "--yes")
    plan = stack.plan()
    assert ([], [["disks", "data"], ["disks", "root"]]) == (
        plan["steps"],
        [note["path"] for note in plan["pending"]],
    )
    assert "No drift" in stack.run("drift")
    stack.run("apply", "--yes", "--max-impact", "restart")
    assert ([], []) == (stack.plan()["steps"], stack.plan()["pending"])


def test_a_network_that_becomes_another_kind(
    libvirt_system: LibvirtDaemon, boot_image: BootImage, tmp_path: Path
) -> None:
    """Its machines are in the same plan: what they were plugged into is gone afterwards."""
    stack = Stack(tmp_path, libvirt_system.uri, libvirt_system.directory / "pool-replacement")
    boot_image.copy(tmp_path / "boot.qcow2")
    network = (
        "---\napiVersion: provisioner/v1\nkind: Network\nmetadata: {name: lan}\n"
        "spec: {mode: nat, cidr: 10.83.0.0/24}\n"
    )
    stack.write((tmp_path / "stack.yaml").read_text() + network)
    stack.edit(
        "  shutdownTimeout: 0s", "  shutdownTimeout: 0s\n  nics: [{name: lan, network: lan}]"
    )
    stack.run("apply", "--yes")
    stack.edit("mode: nat, cidr: 10.83.0.0/24", "mode: user")
    assert ["replace Network/lan", "update VirtualMachine/web"] == stack.steps(
        "--max-impact", "replace"
    )
    stack.run("apply", "--yes", "--max-impact", "replace")
    assert ([], []) == (stack.plan()["steps"], stack.plan()["pending"])
    connection = libvirt.open(stack.uri)
    assert "<interface type='user'>" in connection.lookupByName("web").XMLDesc(0)
    connection.close()
    stack.run("destroy", "--yes", "--allow-data-loss=Disk/root", "--allow-data-loss=Disk/data")
