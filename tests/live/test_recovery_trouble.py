"""Runs of a recovery plan between two real sites in trouble: their process is killed, a guest does
not come up, the fencing fails.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lab.bootsector import BootImage

libvirt = pytest.importorskip("libvirt")

import libvirt_qemu  # noqa: E402

from tests.lab.shop import MACHINES  # noqa: E402

if TYPE_CHECKING:
    from tests.lab.observer import Observer
    from tests.lab.shop import Shop
    from tests.lab.sites import Site

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("recovery-trouble"),
]

STRIDE = 23
"""A run dies at each so many moments of those around the writes of its journal."""


@pytest.fixture(scope="module")
def running(shop: Shop) -> Shop:
    """The shop, which runs at site a before each test and after it."""
    shop.begin()
    return shop


@pytest.fixture
def observer(running: Shop) -> Iterator[Observer]:
    with running.sites.observed() as watching:
        yield watching


def write(site: Site, machine: str, what: str) -> None:
    """Write over the boot sector of a guest that runs."""
    with site.connected() as connection:
        domain = connection.lookupByName(machine)
        told = libvirt_qemu.qemuMonitorCommand(domain, '{"execute": "query-block"}', 0)
        (disk,) = json.loads(told)["return"]
        command = f'qemu-io -d {disk["qdev"]} "write {what} 0 512"'
        human = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        assert "" == libvirt_qemu.qemuMonitorCommand(domain, command, human)


def test_a_guest_that_does_not_come_up_holds_back_what_needs_it(
    running: Shop, boot_image: BootImage
) -> None:
    shop, a, b = running, running.sites.a, running.sites.b
    plan = shop.stack / "recovery-plan.yaml"
    text = plan.read_text()
    mark = "- machine: orders\n      tier: 2\n"
    before, _, after = text.partition(mark)
    assert after
    there = shop.objects(b)
    write(a, "orders", "-P 0")
    try:
        shop.run("replicate", "run")
        plan.write_text(f"{before}{mark}{after.replace('1m', '4s', 1)}")
        told = " ".join(shop.run("dr", "test", "shop", expect=6).split())
    finally:
        plan.write_text(text)
        write(a, "orders", f"-s {boot_image.raw}")
    assert "Failed: orders: wait for 'LAB-SEQ' on its console." in told
    assert "Held back: start web at site-b." in told
    up = ["db", "mail", "orders", "queue", "stock"]
    assert [f"drill-shop-{name}" for name in up] == sorted(b.daemon.guests())
    shop.run("dr", "cleanup", "shop")
    assert there == shop.objects(b)
    shop.run("replicate", "run")


def test_killed_runs_end_as_if_nothing_had_been(
    running: Shop, observer: Observer, tmp_path: Path
) -> None:
    check(running, tmp_path, STRIDE)
    assert [["a", "b", "a"]] * len(MACHINES) == [observer.places(name) for name in MACHINES]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_runs_killed_around_every_write_end_as_if_nothing_had_been(
    running: Shop, observer: Observer, tmp_path: Path
) -> None:
    check(running, tmp_path, 1)
    assert [["a", "b", "a"]] * len(MACHINES) == [observer.places(name) for name in MACHINES]


def check(shop: Shop, folder: Path, stride: int) -> None:
    """A drill, a migration, a failover that is refused first, and what is in between."""
    a, b = shop.sites.a, shop.sites.b
    home = shop.objects(b)
    image = [name for name in shop.objects(a) if name.startswith(("guest.", "virNetwork"))]
    network = ["virNetwork lan-b"]

    killed = partial(run, shop, folder, stride)
    assert killed("test") > 0
    assert [f"drill-shop-{name}" for name in MACHINES] == sorted(b.daemon.guests())
    shop.run_stored("dr", "cleanup")
    assert home == shop.objects(b)

    assert killed("migrate", "--yes") > 2
    assert ([], sorted(MACHINES)) == (sorted(a.daemon.guests()), sorted(b.daemon.guests()))
    assert objects(network) == shop.objects(b)
    shop.wait_for_counts(b)
    for name in MACHINES:
        # It may have written one number that it did not get to print.
        assert shop.log(b, name).sequences()[0] - shop.count(a, name) in (1, 2)

    assert killed("reprotect", "--yes") > 0
    assert objects(image, copies=True) == shop.objects(a)
    assert objects(network) == shop.objects(b)

    shop.refuse_fencing()
    told = shop.run_stored("dr", "failover", "--yes", expect=5)
    assert "PRV7085" in told
    assert ([], sorted(MACHINES)) == (sorted(a.daemon.guests()), sorted(b.daemon.guests()))
    shop.allow_fencing()
    assert killed("resume", name="failover") > 1
    assert sorted(MACHINES) == sorted(a.daemon.guests())
    assert objects(image) == shop.objects(a)
    shop.sites.bring_back(b)
    shop.run_stored("dr", "reprotect", "--yes")
    assert objects(network, copies=True) == shop.objects(b)
    shop.run("plan", "--detailed-exitcode")


def run(shop: Shop, folder: Path, stride: int, *command: str, name: str = "") -> int:
    """A command of ``dr``, which is killed and resumed until it comes to its end; how often."""
    seen, deaths = folder / (name or command[0]), 0
    while shop.run_killed(seen, stride, "dr", *command):
        deaths += 1
        command = ("resume",)
    return deaths


def objects(more: list[str], *, copies: bool = False) -> list[str]:
    """What there is at a site besides ``more``: machines with their disks, or with ``copies`` of
    the disks of the other site.
    """
    disk = "qcow2.replica.qcow2" if copies else "qcow2"
    records = ["machine.replica.json"] * len(MACHINES) if copies else []
    files = [f"{name}.{kind}" for name in MACHINES for kind in (disk, "console.log")]
    more = [*more, *records]
    return sorted([*more, *files, *(f"virDomain {name}" for name in MACHINES)])
