"""What is asked of a daemon, and how often, however much it has."""

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioner.providers.api import Absent, Present, Undetermined
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import boot_domain

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")
inventory_module = pytest.importorskip("provisioner_plugins._libvirt.inventory")

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

MANY = 60


@pytest.fixture
def bench(libvirt_session: LibvirtDaemon) -> Iterator[Any]:
    """A stack with a pool and many disks in it."""
    stack = handlerbench.Bench(libvirt_session.uri)
    folder = libvirt_session.directory / f"pool-{stack.lineage.hex[:8]}"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    yield stack
    stack.close()


def targets(bench: Any, count: int) -> list[Any]:
    return [
        bench.resource("Disk", f"disk-{number}", {"pool": "images", "size": "1MiB"})
        for number in range(count)
    ]


def observe(bench: Any, resources: list[Any]) -> tuple[dict[Any, Any], Any]:
    inventory = inventory_module.Inventory(bench.connection)
    return dict(bench.handlers["Disk"].observe(inventory, resources)), inventory


def test_absent_disks_cost_no_call_each(bench: Any) -> None:
    one = observe(bench, targets(bench, 1))[1].calls
    answers, inventory = observe(bench, targets(bench, MANY))
    assert {Absent()} == set(answers.values())
    assert one == inventory.calls


def test_present_disks_cost_one_call_each(bench: Any) -> None:
    resources = targets(bench, MANY)
    for resource in resources:
        bench.handlers["Disk"].create(resource, bench.deadline())
    (bench.pool_folder() / "foreign.raw").write_bytes(bytes(512))
    nothing = observe(bench, [])[1].calls
    lists = observe(bench, targets(bench, 1))[1].calls - 1
    answers, inventory = observe(bench, resources)
    assert all(isinstance(answer, Present) for answer in answers.values())
    assert 0 == nothing
    assert lists + MANY == inventory.calls
    # A second question of the same inventory costs nothing.
    bench.handlers["Disk"].observe(inventory, resources)
    assert lists + MANY == inventory.calls


def test_domains_cost_one_call_each_and_running_ones_two(
    bench: Any, libvirt_session: LibvirtDaemon
) -> None:
    connection = libvirt.open(libvirt_session.uri)
    disk = libvirt_session.directory / "empty.raw"
    disk.write_bytes(bytes(512))
    for number in range(MANY):
        connection.defineXML(boot_domain(f"guest-{number:02}", disk))
    inventory = inventory_module.Inventory(bench.connection)
    domains = inventory.domains()
    fixed = inventory.calls - MANY
    assert MANY == len(domains)
    assert 2 == fixed
    connection.lookupByName("guest-07").create()
    running = inventory_module.Inventory(bench.connection)
    live = [record.name for record in running.domains() if record.live is not None]
    assert ["guest-07"] == live
    assert fixed + 2 + MANY + 1 == running.calls
    assert [name for name, _ in running.running()] == live
    assert fixed + 2 + MANY + 1 == running.calls
    only = inventory_module.Inventory(bench.connection)
    assert live == [name for name, _ in only.running()]
    assert 2 == only.calls
    record = running.domains().by_name["guest-07"]
    assert libvirt.VIR_DOMAIN_RUNNING == record.state
    assert (False, True) == (record.autostart, record.persistent)
    connection.close()


def test_a_record_is_found_by_identity_then_as_recorded_then_by_name(bench: Any) -> None:
    pools = inventory_module.Inventory(bench.connection).pools()
    (pool,) = list(pools)
    other = bench.lineage
    assert pool is pools.find(pool.uuid, None, "none")
    assert pool is pools.find(other, str(pool.uuid), "none")
    assert pool is pools.find(other, "no uuid", "images")
    assert pools.find(other, None, "none") is None


def test_an_error_in_the_middle_is_never_absence(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (resource,) = targets(bench, 1)
    bench.handlers["Disk"].create(resource, bench.deadline())

    def fail(*_: object) -> None:
        raise libvirt.libvirtError("the volumes cannot be listed")

    monkeypatch.setattr(libvirt.virStoragePool, "listAllVolumes", fail)
    (answer,) = observe(bench, [resource])[0].values()
    assert isinstance(answer, Undetermined)


def test_a_pool_that_vanishes_while_it_is_read_is_undetermined(bench: Any) -> None:
    (resource,) = targets(bench, 1)
    bench.handlers["Disk"].create(resource, bench.deadline())
    inventory = inventory_module.Inventory(bench.connection)
    assert 1 == len(inventory.pools())

    def remove(handle: Any) -> None:
        pool = handle.storagePoolLookupByName("images")
        pool.destroy()
        pool.undefine()

    bench.connection.call("remove", remove)
    (answer,) = bench.handlers["Disk"].observe(inventory, [resource]).values()
    assert isinstance(answer, Undetermined)
    # Asked again it is known: the daemon has no such pool, so it has no such volume.
    (answer,) = observe(bench, [resource])[0].values()
    assert isinstance(answer, Absent)


def test_a_volume_that_vanishes_while_it_is_read_is_absent(bench: Any) -> None:
    (resource,) = targets(bench, 1)
    outcome = bench.handlers["Disk"].create(resource, bench.deadline())
    inventory = inventory_module.Inventory(bench.connection)
    (pool,) = list(inventory.pools())
    assert 1 == len(inventory.volumes(pool).volumes)
    Path(str(outcome.outputs["path"])).unlink()
    bench.connection.call("refresh", lambda h: h.storagePoolLookupByName("images").refresh(0))
    (answer,) = bench.handlers["Disk"].observe(inventory, [resource]).values()
    assert isinstance(answer, Absent)


def test_reading_goes_on_when_the_daemon_restarts_in_between(
    fresh_libvirt_session: LibvirtDaemon,
) -> None:
    stack = handlerbench.Bench(fresh_libvirt_session.uri)
    folder = fresh_libvirt_session.directory / "pool"
    stack.apply("StoragePool", "images", {"type": "dir", "path": str(folder)})
    resources = targets(stack, 2)
    for resource in resources:
        stack.handlers["Disk"].create(resource, stack.deadline())
    inventory = inventory_module.Inventory(stack.connection)
    assert 1 == len(inventory.pools())
    fresh_libvirt_session.restart()
    answers = stack.handlers["Disk"].observe(inventory, resources)
    assert all(isinstance(answer, Present) for answer in answers.values())
    stack.close()


def test_documents_are_read_in_parallel_where_round_trips_are_long(
    bench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = targets(bench, 10)
    for resource in resources:
        bench.handlers["Disk"].create(resource, bench.deadline())
    plain = libvirt.virStorageVol.XMLDesc

    def slow(volume: Any, flags: int) -> str:
        time.sleep(0.1)
        text: str = plain(volume, flags)
        return text

    monkeypatch.setattr(libvirt.virStorageVol, "XMLDesc", slow)
    monkeypatch.setattr(type(bench.connection), "helpers", lambda *_: 4)
    started = time.monotonic()
    answers, _ = observe(bench, resources)
    assert all(isinstance(answer, Present) for answer in answers.values())
    assert [r.name for r in resources] == [
        ET.fromstring(f"<n>{a.outputs['volume']}</n>").text.partition(".")[0]  # type: ignore[union-attr]
        for a in answers.values()
    ]
    assert time.monotonic() - started < 0.6
