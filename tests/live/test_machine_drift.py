"""What somebody else does to a machine is seen, and mended while the guest runs."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.providers.api import Absent  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "cpu": {"count": 2, "max": 4},
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root", "bootOrder": 1}],
    "nics": [{"name": "lan", "network": "lan", "link": "up"}],
    "power": "running",
    "autostart": True,
    "native": {"kvm": {"domain": ["<clock offset='localtime'/>"]}},
    "shutdownTimeout": "0s",
}
CARD = """\
<interface type='user'><mac address='52:54:00:00:00:77'/><model type='virtio'/></interface>"""


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.network("lan")
    stack.apply(VM, "web", SPEC)
    stack.wait_for("LAB-SEQ")
    yield stack
    stack.close()


def test_what_is_configured_otherwise_is_put_right(bench: Any) -> None:
    bench.domain().setVcpusFlags(1, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    bench.domain().setAutostart(0)
    assert {"cpu.count": "live", "autostart": "live"} == bench.plan(VM, "web", SPEC).impacts
    with bench.uninterrupted():
        bench.apply(VM, "web", SPEC)
    assert "2" == bench.configured().find("vcpu").get("current")
    assert 1 == bench.domain().autostart()


def test_what_is_in_force_otherwise_is_put_right(bench: Any) -> None:
    card = bench.live().find("devices/interface")
    text = machinebench.serialize(card).replace('<link state="up" />', "")
    down = text.replace("</interface>", "<link state='down'/></interface>")
    bench.domain().updateDeviceFlags(down, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    observed = bench.present(VM, "web")
    assert {("nics", "lan", "link"): "down"} == observed.running
    assert {"nics.lan.link": "live"} == bench.plan(VM, "web", SPEC).impacts
    with bench.uninterrupted():
        bench.apply(VM, "web", SPEC)
    assert {} == bench.present(VM, "web").running


def test_what_somebody_plugged_in_is_unplugged(bench: Any) -> None:
    bench.domain().attachDeviceFlags(CARD, libvirt.VIR_DOMAIN_AFFECT_LIVE)
    path = ("nics", "52:54:00:00:00:77")
    assert [path] == list(bench.present(VM, "web").running)
    assert {".".join(path): "live"} == bench.plan(VM, "web", SPEC).impacts
    with bench.uninterrupted():
        outcome = bench.apply(VM, "web", SPEC)
    # The boot-sector guest has not let go of it, so that it waits from now on.
    assert (path,) == outcome.pending
    assert {".".join(path): "restart"} == bench.plan(VM, "web", SPEC).impacts
    bench.apply(VM, "web", SPEC, restart=True)
    assert {} == bench.present(VM, "web").running


def test_a_definition_that_was_removed_is_written_again(bench: Any) -> None:
    mac = bench.live().find("devices/interface/mac").get("address")
    bench.domain().undefine()
    observed = bench.present(VM, "web")
    assert "size" not in observed.spec["memory"]
    assert {"memory.size": "live", "autostart": "live"} == bench.plan(VM, "web", SPEC).impacts
    with bench.uninterrupted():
        bench.apply(VM, "web", SPEC)
    assert (1, 1) == (bench.domain().isPersistent(), bench.domain().autostart())
    assert mac == bench.configured().find("devices/interface/mac").get("address")
    assert {} == bench.present(VM, "web").running


def test_a_fragment_that_was_taken_out_comes_back(bench: Any) -> None:
    definition = bench.configured()
    definition.find("clock").set("offset", "utc")
    bench.connection.call(
        "define", lambda handle: handle.defineXML(machinebench.serialize(definition))
    )
    assert {"native.kvm.domain": "restart"} == bench.plan(VM, "web", SPEC).impacts
    bench.apply(VM, "web", SPEC, restart=True)
    assert "localtime" == bench.configured().find("clock").get("offset")


def test_a_machine_that_was_switched_off_is_started(bench: Any) -> None:
    bench.domain().destroy()
    assert {"power": "live"} == bench.plan(VM, "web", SPEC).impacts
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ")


def test_a_machine_that_was_removed_is_absent(bench: Any) -> None:
    bench.domain().destroy()
    bench.domain().undefine()
    assert Absent() == bench.plan(VM, "web", SPEC).observed
    bench.apply(VM, "web", SPEC)
    bench.wait_for("LAB-SEQ")
    assert 1 == bench.connection.read("count", lambda handle: len(handle.listAllDomains()))


def test_the_fingerprint_follows_what_a_plan_relies_on(bench: Any) -> None:
    first = bench.present(VM, "web").fingerprint
    bench.count()
    assert first == bench.present(VM, "web").fingerprint, "that a guest runs is no change"
    bench.domain().suspend()
    second = bench.present(VM, "web").fingerprint
    bench.domain().resume()
    bench.domain().setVcpusFlags(1, libvirt.VIR_DOMAIN_AFFECT_CONFIG)
    assert 3 == len({first, second, bench.present(VM, "web").fingerprint})
