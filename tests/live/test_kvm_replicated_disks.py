"""Disks of any sort are replicated: several of a machine, raw ones, ones that grow."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.lab.daemon import LibvirtDaemon

libvirt = pytest.importorskip("libvirt")
replicationbench = pytest.importorskip("tests.live.replicationbench")

from provisioner.core.address import Address  # noqa: E402
from provisioner.providers.api import Terminal  # noqa: E402
from provisioner.providers.capabilities import Replica, Way  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

VM = "VirtualMachine"
MIB = 1 << 20
DATA = Address("Disk", "data")
RAW = {"pool": "images", "size": "4MiB", "format": "raw"}


@pytest.fixture
def sites(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> Iterator[Any]:
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session)
    bench.near.boot_disk(boot_image)
    yield bench
    bench.discard()
    bench.close()


def start(sites: Any, *disks: str) -> None:
    attached = [{"disk": name} for name in ("root", *disks)]
    sites.near.apply(VM, "web", {**replicationbench.SPEC, "disks": attached})
    sites.near.wait_for("LAB-SEQ")


def with_data(sites: Any, way: Way) -> Replica:
    disks = {
        replicationbench.ROOT: sites.far.resource("Disk", "root", sites.disk),
        DATA: sites.far.resource("Disk", "data", RAW),
    }
    return Replica(sites.near.machine(), disks, way)


@pytest.mark.parametrize("way", [Way.INCREMENTAL, Way.CONTINUOUS])
def test_several_disks_and_a_raw_one(sites: Any, way: Way) -> None:
    sites.near.apply("Disk", "data", RAW)
    path = Path(sites.near.recorded[DATA].outputs["path"])
    content = bytes(MIB) + bytes(range(256)) * 4096 + bytes(2 * MIB)
    path.write_bytes(content)
    start(sites, "data")
    replica = with_data(sites, way)
    sites.synchronise(replica)
    sites.near.count()
    sites.synchronise(replica)
    staged = sites.far.session.stage(replica, None, sites.far.deadline())
    assert content == Path(staged[DATA].outputs["path"]).read_bytes()
    sites.unstage(replica)
    sites.far.session.suspend(replica, sites.near.session, sites.far.deadline())
    made = sites.far.session.promote(replica, None, sites.far.deadline())
    assert content == Path(made[DATA].outputs["path"]).read_bytes()
    count = counter(Path(made[replicationbench.ROOT].outputs["path"]))
    assert count <= sites.written() <= count + 3
    for name, spec in (("root", sites.disk), ("data", RAW)):
        sites.record_far("Disk", name, spec, made[Address("Disk", name)])
        assert not sites.far.plan("Disk", name, spec).changes
    assert [] == sites.files()


def test_a_disk_that_grew(sites: Any) -> None:
    start(sites)
    replica = sites.replica()
    sites.synchronise(replica)
    sites.near.apply("Disk", "root", {"pool": "images", "image": "boot", "size": "12MiB"})
    sites.near.count()
    written = sites.written()
    sites.synchronise(replica)
    sites.disk = {"pool": "images", "size": "12MiB"}
    path = sites.promote(sites.replica())
    assert written <= counter(path)
    told = subprocess.run(["qemu-img", "info", path], capture_output=True, text=True, check=True)
    assert "virtual size: 12 MiB" in told.stdout
    assert not sites.far.plan("Disk", "root", sites.disk).changes


def test_a_disk_that_joins_the_replica_later(sites: Any) -> None:
    sites.near.apply("Disk", "data", RAW)
    start(sites, "data")
    first = sites.synchronise(sites.replica())
    replica = with_data(sites, Way.INCREMENTAL)
    assert [first.id] == sites.points(replica)
    with pytest.raises(Terminal, match="does not have all disks"):
        sites.stage(replica)
    point = sites.synchronise(replica)
    assert [point.id] == sites.points(replica)
    made = sites.far.session.promote(replica, None, sites.far.deadline())
    assert {replicationbench.ROOT, DATA} == set(made)
    assert [] == sites.files()


def test_sockets_are_where_the_host_allows_them(
    fresh_libvirt_session: LibvirtDaemon, libvirt_session: LibvirtDaemon, boot_image: BootImage
) -> None:
    folder = fresh_libvirt_session.directory / "sockets"
    there = {"replication": {"sockets": str(folder)}}
    bench = replicationbench.TwoSites(fresh_libvirt_session, libvirt_session, near_with=there)
    bench.near.boot_disk(boot_image)
    start(bench)
    with pytest.raises(Terminal, match="read the disks"):
        bench.synchronise(bench.replica())
    folder.mkdir()
    bench.synchronise(bench.replica())
    bench.close()
