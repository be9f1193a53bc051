"""Snapshots are taken, gone back to and deleted while the machine runs."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
machinebench = pytest.importorskip("tests.live.machinebench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Present, Terminal  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
SPEC: dict[str, Any] = {
    "memory": {"size": "16MiB"},
    "disks": [{"disk": "root"}],
    "shutdownTimeout": "0s",
}


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon, boot_image: BootImage) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_session.uri, libvirt_session.directory)
    stack.boot_disk(boot_image)
    stack.apply(VM, "web", SPEC)
    stack.wait_for("LAB-SEQ")
    yield stack
    stack.close()


def snapshots_in(path: str) -> list[str]:
    """Names of the snapshots in a qcow2 file."""
    told = subprocess.run(
        ["qemu-img", "info", "-U", "--output=json", path], check=True, capture_output=True
    )
    return [found["name"] for found in json.loads(told.stdout).get("snapshots", [])]


def snapshot(bench: Any, name: str) -> Any:
    return bench.recorded[Address("Snapshot", name)]


def test_with_memory_the_guest_goes_on_where_it_was(bench: Any) -> None:
    outcome = bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    assert outcome.outputs["created"].endswith("Z")
    taken = bench.count()
    for _ in range(3):
        later = bench.count()
    bench.session.revert(snapshot(bench, "before"), bench.deadline())
    back = bench.count()
    assert taken - 1 <= back < later
    # The machine is still ours, and as it should be.
    assert bench.machine().stamp == bench.present(VM, "web").owner
    assert not bench.plan(VM, "web", SPEC).changes


def test_without_memory_the_machine_starts_afresh_from_its_disk(bench: Any) -> None:
    taken = bench.count()
    outcome = bench.apply("Snapshot", "before", {"machine": "web"})
    assert any("memory" in note for note in outcome.notes)
    assert bench.present("Snapshot", "before").spec["memory"] is False
    for _ in range(3):
        bench.count()
    said = bench.said()
    bench.session.revert(snapshot(bench, "before"), bench.deadline())
    bench.wait_for("LAB-SEQ")
    assert not bench.said().startswith(said), "it was started anew"
    assert taken <= bench.count() <= taken + 3
    assert "running" == bench.present(VM, "web").spec["power"]


def test_a_stopped_machine_has_no_memory_to_hold(bench: Any) -> None:
    bench.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    planned = bench.plan("Snapshot", "before", {"machine": "web", "memory": True})
    with pytest.raises(Terminal, match="does not run"):
        bench.session.create(planned.resource, bench.deadline())
    assert () == bench.apply("Snapshot", "before", {"machine": "web"}).notes
    bench.session.revert(snapshot(bench, "before"), bench.deadline())
    assert "stopped" == bench.present(VM, "web").spec["power"]


def test_words_change_and_the_moment_does_not(bench: Any) -> None:
    spec = {"machine": "web", "memory": True, "description": "Before the upgrade"}
    created = bench.apply("Snapshot", "before", spec).outputs["created"]
    changed = {**spec, "description": "Before the\nbig <upgrade>"}
    assert {"description": "none"} == bench.plan("Snapshot", "before", changed).impacts
    assert created == bench.apply("Snapshot", "before", changed).outputs["created"]
    other = {**spec, "memory": False}
    assert "replace" == bench.plan("Snapshot", "before", other).impacts["memory"]


def test_a_snapshot_is_deleted_and_the_guest_goes_on(bench: Any) -> None:
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    bench.apply("Snapshot", "after", {"machine": "web"})
    assert bench.present(VM, "web").facts["snapshots"] is True
    with bench.uninterrupted():
        bench.delete("Snapshot", "before")
        bench.delete("Snapshot", "after")
    assert bench.present(VM, "web").facts["snapshots"] is False


def test_it_is_deleted_though_the_machine_has_other_disks_and_media_now(bench: Any) -> None:
    """libvirt 9.0 refuses that, and ends where a disk is missing."""
    bench.disk("data")
    drives = {
        "cdroms": [{"name": "setup"}],
        "cloudInit": {"userData": "#cloud-config\n{}\n"},
        "disks": [{"disk": "root"}, {"disk": "data"}],
    }
    bench.apply(VM, "web", {**SPEC, **drives}, restart=True)
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    bench.apply("Snapshot", "later", {"machine": "web", "memory": True})
    bench.wait_for("LAB-SEQ")
    changed = {
        "cdroms": [{"name": "setup", "image": "boot"}],
        "cloudInit": {"userData": "#cloud-config\nhostname: a\n"},
    }
    with bench.uninterrupted():
        bench.apply(VM, "web", {**SPEC, **drives, **changed})
        bench.delete("Snapshot", "before")
    bench.apply(VM, "web", SPEC, restart=True)
    assert 1 == len(bench.live().findall("devices/disk"))
    bench.wait_for("LAB-SEQ")
    with bench.uninterrupted():
        bench.delete("Snapshot", "later")
    assert any("data" in text and "stays there" in text for _, text, _, _ in bench.progress)
    assert ([], ["later"]) == tuple(
        snapshots_in(path)
        for path in (bench.present("Disk", name).outputs["path"] for name in ("root", "data"))
    )


def test_a_stopped_machine_cleans_the_disks_that_it_has_no_more(bench: Any) -> None:
    bench.disk("data")
    both = {**SPEC, "disks": [{"disk": "root"}, {"disk": "data"}]}
    bench.apply(VM, "web", both, restart=True)
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    bench.apply(VM, "web", {**SPEC, "power": "stopped"}, restart=True)
    bench.delete("Snapshot", "before")
    assert [] == snapshots_in(bench.present("Disk", "data").outputs["path"])


def test_a_deletion_that_loses_the_daemon_is_not_repeated(
    fresh_libvirt_session: LibvirtDaemon, boot_image: BootImage, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = machinebench.MachineBench(fresh_libvirt_session.uri, fresh_libvirt_session.directory)
    bench.boot_disk(boot_image)
    bench.apply(VM, "web", SPEC)
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    delete = libvirt.virDomainSnapshot.delete
    deleted: list[int] = []

    def ends_the_daemon(found: Any, flags: int) -> Any:
        deleted.append(flags)
        fresh_libvirt_session.kill()
        return delete(found, flags)

    monkeypatch.setattr(libvirt.virDomainSnapshot, "delete", ends_the_daemon)
    with pytest.raises(Terminal, match="snapshot before of machine web") as raised:
        bench.session.delete(snapshot(bench, "before"), bench.deadline())
    assert ("PRV5208", [0]) == (raised.value.diagnostic.code, deleted)
    bench.close()


def test_somebody_elses_snapshot_is_left_alone(bench: Any) -> None:
    text = "<domainsnapshot><name>before</name><description>Mine</description></domainsnapshot>"
    bench.domain().snapshotCreateXML(text, 0)
    planned = bench.plan("Snapshot", "before", {"machine": "web", "memory": True})
    assert isinstance(planned.observed, Present)
    assert planned.observed.owner is None
    with pytest.raises(Terminal, match="already"):
        bench.session.create(planned.resource, bench.deadline())
    foreign = machinebench.replace(planned.resource, external_id=planned.observed.external_id)
    for forbidden in (bench.session.delete, bench.session.revert):
        with pytest.raises(Terminal, match="not ours"):
            forbidden(foreign, bench.deadline())
    bench.adopt("Snapshot", "before", {"machine": "web", "memory": True})
    assert "Mine" == bench.present("Snapshot", "before").spec["description"]
    (found,) = bench.discover("Snapshot")
    assert ("before", snapshot(bench, "before").stamp) == (found.name, found.observed.owner)


def test_a_machine_goes_with_its_snapshots_and_its_disk_stays(bench: Any) -> None:
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    bench.delete(VM, "web")
    assert isinstance(bench.present("Disk", "root"), Present)


def test_the_seed_of_a_snapshots_time_is_kept(bench: Any) -> None:
    first = {**SPEC, "cloudInit": {"userData": "#cloud-config\n{}\n"}}
    bench.apply(VM, "web", first, restart=True)
    bench.apply("Snapshot", "before", {"machine": "web", "memory": True})
    second = {**SPEC, "cloudInit": {"userData": "#cloud-config\nhostname: a\n"}}
    bench.apply(VM, "web", second)
    bench.session.revert(snapshot(bench, "before"), bench.deadline())
    assert "running" == bench.present(VM, "web").spec["power"]


def test_a_raw_disk_has_no_snapshots(bench: Any) -> None:
    bench.apply("Disk", "plain", {"pool": "images", "size": "1MiB", "format": "raw"})
    bench.apply(VM, "raw", {**SPEC, "disks": [{"disk": "plain"}]})
    planned = bench.plan("Snapshot", "s", {"machine": "raw", "memory": True})
    with pytest.raises(Terminal, match="cannot take a snapshot") as raised:
        bench.session.create(planned.resource, bench.deadline())
    assert "qcow2" in raised.value.diagnostic.hint
