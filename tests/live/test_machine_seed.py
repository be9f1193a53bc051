"""The cloud-init disk of a machine: made, missed, made again, removed."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from provisioner.providers.api import Terminal
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")
live = pytest.importorskip("provisioner_plugins.kvm.machine.live")
handlerbench = pytest.importorskip("tests.live.handlerbench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
KIB = 1024


@pytest.mark.parametrize("size", [96, 512, 900])
def test_a_seed_that_does_not_fit_is_told_and_nothing_is_left(
    libvirt_system: LibvirtDaemon, size: int
) -> None:
    bench: Any = machinebench.MachineBench(libvirt_system.uri, libvirt_system.directory)
    with handlerbench.mounted_tmpfs(libvirt_system.pid, bench.pool_folder(), "64k"):
        bench.refresh()
        data = f"#cloud-config\n# {'x' * size * KIB}\n"
        seed = {"userData": data, "pool": "images"}
        with pytest.raises(Terminal) as caught:
            bench.apply(VM, "web", {"memory": {"size": "16MiB"}, "cloudInit": seed})
        assert "PRV5114" == caught.value.diagnostic.code
        assert [] == bench.volumes("images")
    bench.close()


_TRAY_CLOSED = (libvirt.VIR_ERR_INTERNAL_ERROR, 0, "Tray of the device is not open", 2)
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root", "bootOrder": 1}],
    "cloudInit": {"userData": "#cloud-config\n{}\n"},
    "shutdownTimeout": "0s",
}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    yield stack
    stack.close()


def run(bench: Any, spec: Mapping[str, Any]) -> None:
    """Start a machine, and wait until its BIOS is done with the drives: libvirt does not notice
    when it closes one that was opened at that moment."""
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-SEQ")


@pytest.mark.parametrize("power", ["stopped", "running"])
def test_a_seed_that_was_deleted_is_made_again(bench: Any, power: str) -> None:
    bench.apply(VM, "web", {**SPEC, "power": power})
    (seed,) = bench.pool_folder().glob("web.*.seed-*")
    first = bench.present(VM, "web")
    seed.unlink()
    assert first.fingerprint != bench.present(VM, "web").fingerprint
    (change,) = bench.plan(VM, "web", {**SPEC, "power": power}).changes
    assert (("cloudInit",), "live", "its medium is gone and is made again") == (
        change.path,
        change.impact.value,
        change.reason,
    )
    # It is there before the machine starts, which needs it.
    bench.apply(VM, "web", {**SPEC, "power": "running"})
    assert [seed] == list(bench.pool_folder().glob("web.*.seed-*"))
    assert first.running == bench.present(VM, "web").running


def seed_drive(bench: Any) -> Any:
    return next(disk for disk in bench.live().iter("disk") if disk.get("device") == "cdrom")


def test_a_seed_that_was_ejected_is_put_in_again(bench: Any) -> None:
    run(bench, SPEC)
    drive = seed_drive(bench)
    volume = drive.find("source").get("volume")
    drive.remove(drive.find("source"))
    bench.domain().updateDeviceFlags(machinebench.serialize(drive), 1 << 0)
    assert {"cloudInit": "live"} == bench.plan(VM, "web", SPEC).impacts
    bench.apply(VM, "web", SPEC)
    assert volume == seed_drive(bench).find("source").get("volume")


def test_an_old_seed_is_removed_once_nothing_needs_it(bench: Any) -> None:
    """A running machine has no drive for its first seed; the drive of its last one stays."""
    without = {key: SPEC[key] for key in SPEC if key != "cloudInit"}
    other = {**SPEC, "cloudInit": {**SPEC["cloudInit"], "userData": "#cloud-config\n{a: 1}\n"}}
    run(bench, without)
    for spec, restart, seeds in (
        (SPEC, False, 1),
        (other, False, 1),
        (other, True, 1),
        (without, False, 0),
        (without, True, 0),
    ):
        outcome = bench.apply(VM, "web", spec, restart=restart)
        bench.wait_for("LAB-SEQ")
        assert (() if restart else (("cloudInit",),)) == outcome.pending
        assert seeds == len(list(bench.pool_folder().glob("web.*.seed-*")))
    assert {} == bench.present(VM, "web").running


def test_a_guest_that_closes_the_tray_does_not_keep_the_medium_out(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bench, SPEC)
    update = libvirt.virDomain.updateDeviceFlags
    failures = [_TRAY_CLOSED, _TRAY_CLOSED]

    def closed(domain: Any, text: str, flags: int) -> Any:
        if failures:
            problem = libvirt.libvirtError("it is closed")
            problem.err = failures.pop()
            raise problem
        return update(domain, text, flags)

    monkeypatch.setattr(libvirt.virDomain, "updateDeviceFlags", closed)
    other = {**SPEC, "cloudInit": {**SPEC["cloudInit"], "userData": "#cloud-config\n{a: 1}\n"}}
    assert () == bench.apply(VM, "web", other).pending
    assert {} == bench.present(VM, "web").running


def test_a_drive_that_takes_no_medium_takes_it_at_the_next_restart(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(bench, SPEC)
    other = {**SPEC, "cloudInit": {"userData": "#cloud-config\n{a: 1}\n"}}

    def closed(_domain: Any, _text: str, _flags: int) -> Any:
        problem = libvirt.libvirtError("it is closed")
        problem.err = _TRAY_CLOSED
        raise problem

    with monkeypatch.context() as patch:
        patch.setattr(libvirt.virDomain, "updateDeviceFlags", closed)
        patch.setattr(live, "_TRAY_SECONDS", 0)
        outcome = bench.apply(VM, "web", other)
    assert ((("cloudInit",),), True) == (outcome.pending, "not open" in outcome.notes[0])
    assert {"cloudInit": "restart"} == bench.plan(VM, "web", other).impacts
    bench.apply(VM, "web", other, restart=True)
    assert {} == bench.present(VM, "web").running
