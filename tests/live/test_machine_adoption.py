"""A machine that somebody else made is left alone until it is taken over, and then kept."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import boot_domain
from tests.lab.serial import SerialLog

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.identity import Stamp  # noqa: E402
from provisioner.providers.api import Present, Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {"memory": {"size": "8MiB"}, "shutdownTimeout": "0s"}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    yield stack
    stack.close()


@pytest.fixture
def log(bench: Any, boot_image: BootImage, libvirt_session: LibvirtDaemon) -> SerialLog:
    """The output of a running machine "web" of somebody else's."""
    folder = libvirt_session.directory / f"foreign-{bench.lineage.hex[:8]}"
    folder.mkdir()
    disk = boot_image.copy(folder / "disk.qcow2")
    definition = boot_domain("web", disk, folder / "log")
    domain = bench.connection.call("define", lambda handle: handle.defineXML(definition))
    domain.create()
    output = SerialLog(folder / "log")
    output.wait_for("LAB-SEQ", 30)
    return output


def domain_text(bench: Any) -> str:
    text: str = bench.connection.call("read", lambda h: h.lookupByName("web").XMLDesc(2))
    return text


def test_its_name_is_taken(bench: Any, log: SerialLog) -> None:
    before = domain_text(bench)
    planned = bench.plan(VM, "web", SPEC)
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is None
    with pytest.raises(Terminal, match="machine with UUID"):
        bench.session.create(planned.resource, bench.deadline())
    assert before == domain_text(bench)
    assert log.wait_for_next(10)


def test_without_consent_it_is_neither_changed_nor_removed(bench: Any, log: SerialLog) -> None:
    before = domain_text(bench)
    planned = bench.plan(VM, "web", {**SPEC, "description": "Mine now"})
    recorded = machinebench.replace(planned.resource, external_id=planned.observed.external_id)
    with pytest.raises(Terminal, match="not ours"):
        bench.session.update(
            recorded,
            planned.observed,
            planned.changes,
            restart=True,
            deadline=bench.deadline(),
        )
    with pytest.raises(Terminal, match="not ours"):
        bench.session.delete(recorded, bench.deadline())
    assert before == domain_text(bench)
    assert log.wait_for_next(10)


def test_one_that_belongs_to_another_stack_is_not_taken_over(bench: Any, log: SerialLog) -> None:
    planned = bench.plan(VM, "web", SPEC)
    other = machinebench.replace(
        planned.resource, stamp=Stamp("another lineage", "VirtualMachine/web")
    )
    bench.session.adopt(other, planned.observed, bench.deadline())
    planned = bench.plan(VM, "web", SPEC)
    assert other.stamp == planned.observed.owner
    with pytest.raises(Terminal, match="not ours"):
        bench.session.adopt(planned.resource, planned.observed, bench.deadline())


def test_taken_over_it_keeps_its_identity_and_goes_on(bench: Any, log: SerialLog) -> None:
    before = machinebench.parse(domain_text(bench))
    outcome = bench.adopt(VM, "web", SPEC)
    after = machinebench.parse(domain_text(bench))
    assert before.findtext("uuid") == outcome.external_id
    after.remove(after.find("metadata"))
    assert machinebench.same(before, after)
    count = log.sequence() or 0
    # From now on it is changed like any other, live where that can be.
    bench.apply(VM, "web", {**SPEC, "description": "Mine now"})
    assert "Mine now" in domain_text(bench)
    assert log.wait_for_next(10) > count
    bench.delete(VM, "web")


def test_its_devices_are_told_and_matched(bench: Any, log: SerialLog) -> None:
    (found,) = [item for item in bench.discover(VM) if item.name == "web"]
    spec = found.observed.spec
    assert 8 << 20 == spec["memory"]["size"]
    # The disk is in no pool.
    assert "disks" not in spec
    assert 1 == sum("/disk.qcow2" in text for text in spec["native"]["kvm"]["domain"])
    assert "pc" == spec["machineType"]
    assert log.sequence() is not None


def test_one_without_a_definition_is_marked_while_it_runs(
    bench: Any, boot_image: BootImage, libvirt_session: LibvirtDaemon
) -> None:
    disk = boot_image.copy(libvirt_session.directory / f"{bench.lineage.hex[:8]}.qcow2")
    text = boot_domain("web", disk)
    bench.connection.call("start", lambda handle: handle.createXML(text, 0))
    (found,) = [item for item in bench.discover(VM) if item.name == "web"]
    assert 1 == sum("no definition" in note for note in found.notes)
    bench.adopt(VM, "web", SPEC)
    # Only an apply defines it.
    assert not bench.connection.call("look", lambda h: h.lookupByName("web").isPersistent())
    assert {"memory.size": "live"} == bench.plan(VM, "web", SPEC).impacts


def test_its_cards_have_the_names_of_the_manifest(bench: Any, log: SerialLog) -> None:
    del log
    bench.network("lan", mode="isolated", cidr="10.99.0.0/24", active=False)
    card = (
        "<interface type='network'><mac address='52:54:00:00:00:99'/><source network='lan'/>"
        "<model type='virtio'/></interface>"
    )
    bench.connection.call("plug", lambda h: h.lookupByName("web").attachDeviceFlags(card, 2))
    nic = {"name": "first", "network": "lan", "mac": "52:54:00:00:00:99"}
    outcome = bench.adopt(VM, "web", {**SPEC, "nics": [nic]})
    assert {"first": "52:54:00:00:00:99"} == outcome.outputs["mac"]
