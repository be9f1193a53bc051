"""A shop of seven machines at two real sites: a drill, a migration, and a site that is lost while
everything writes. An observer of both sites sees all the time that no machine runs at both.

The guests count: each writes a number to its disk once a second and prints it. So what they go on
with after a recovery tells how much was lost.
"""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tests.lab.linux import LinuxGuest

libvirt = pytest.importorskip("libvirt")

from tests.lab import agent  # noqa: E402
from tests.lab.domain import linux_domain  # noqa: E402
from tests.lab.pulse import Pulse  # noqa: E402
from tests.lab.shop import CONTINUOUS, MACHINES  # noqa: E402
from tests.live.handlerbench import wait_until  # noqa: E402

if TYPE_CHECKING:
    from tests.lab.observer import Observer
    from tests.lab.shop import Shop
    from tests.lab.sites import Site

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("recovery-sites"),
]

INTERVAL = 5.0
INCREMENTAL = tuple(name for name in MACHINES if name not in CONTINUOUS)
DESK = """\
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: desk}}
spec: {{pool: pool-a, size: 4MiB, format: qcow2, retention: delete}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: desk}}
spec:
  memory: {{size: 128MiB}}
  boot: {{kernel: "{kernel}", initrd: "{initrd}", cmdline: "{cmdline}"}}
  disks: [{{disk: desk}}]
  nics: [{{name: lan, network: lan-a}}]
  guestAgent: true
  console: {{serial: true}}
  power: running
  shutdownTimeout: 1s
"""
HOST, NEIGHBOUR, OWN = "10.32.0.1", "10.32.0.201", "10.32.0.202"
PRODUCTION = (HOST, NEIGHBOUR)
"""Who there is in the network of site b."""


@pytest.fixture(scope="module")
def running(shop: Shop, linux_guest: LinuxGuest) -> Shop:
    """The shop with a Linux guest in its third tier. It runs at site a, before each test and
    after it.
    """
    (shop.stack / "desk.yaml").write_text(DESK.format(**linux_guest._asdict()))
    groups, plan = shop.stack / "protection-groups.yaml", shop.stack / "recovery-plan.yaml"
    mail = "    - machine: mail\n"
    groups.write_text(groups.read_text().replace(mail, f"{mail}    - machine: desk\n"))
    objective = "  recoveryTimeObjective:"
    desk = f"    - machine: desk\n      after: [{{machine: web}}]\n{objective}"
    plan.write_text(plan.read_text().replace(objective, desk))
    shop.begin()
    return shop


@pytest.fixture
def observer(running: Shop) -> Iterator[Observer]:
    with running.sites.observed() as watching:
        yield watching


def counts(shop: Shop, site: Site) -> dict[str, int]:
    return {name: shop.count(site, name) for name in MACHINES}


def firsts(shop: Shop, site: Site) -> dict[str, int]:
    """What machines printed first after their last start at a site."""
    shop.wait_for_counts(site)
    return {name: shop.log(site, name).sequences()[0] for name in MACHINES}


def check_nothing_lost(before: Mapping[str, int], after: Mapping[str, int]) -> None:
    """A guest may have written one number that it did not get to print."""
    assert [] == [name for name in MACHINES if after[name] - before[name] not in (1, 2)]


def test_a_drill_beside_the_running_machines(
    running: Shop, observer: Observer, linux_guest: LinuxGuest
) -> None:
    shop, a, b = running, running.sites.a, running.sites.b
    logs = [shop.log(a, name) for name in MACHINES]
    at_a, at_b = shop.objects(a), shop.objects(b)
    with shop.watching(), b.connected() as connection:
        neighbour = connection.createXML(
            linux_domain("neighbour", linux_guest, network="lan-b", agent=True)
        )
        points = shop.run("replicate", "status")
        with Pulse(logs) as pulse:
            shop.run("dr", "test", "shop")
            drill = connection.lookupByName("drill-shop-desk")

            def reached() -> list[bool]:
                """Whether the host reaches the drill's guest, and that the host and another."""
                ping = ("ping", "-c", "1", "-W", "1")
                inside = [agent.run(drill, "/bin/busybox", *ping, to) for to in PRODUCTION]
                host = b.inside("/bin/busybox", *ping, OWN).returncode
                return [code == 0 for code in (host, *inside)]

            for guest, address in ((neighbour, NEIGHBOUR), (drill, OWN)):
                # Of this scope, so that the guest's search for a DHCP service leaves it alone.
                how = ("address", "add", f"{address}/24", "dev", "eth0", "scope", "link")
                assert 0 == agent.run(guest, "/bin/ip", *how)
            assert [False] * 3 == reached()
            assert "drill-shop-web" in b.daemon.guests()
            # Nothing but its network keeps it from them.
            card = ET.fromstring(drill.XMLDesc()).find("devices/interface")
            assert card is not None
            ET.SubElement(card, "source", network="lan-b")
            card.remove(card.findall("source")[0])
            drill.updateDeviceFlags(ET.tostring(card, encoding="unicode"))
            wait_until(lambda: reached() == [True] * 3)
            told = shop.run("dr", "cleanup", "shop")
        assert "Left of the drill: 0" in told
        neighbour.destroy()
        assert points != shop.run("replicate", "status")
        # A synchronisation has files of its own while it lasts.
        wait_until(lambda: (at_a, at_b) == (shop.objects(a), shop.objects(b)))
    assert pulse.longest < 2.5
    for log in logs:
        assert {1} == {after - before for before, after in pairwise(log.sequences())}
    assert ["a"] == observer.places("web")


def test_a_migration_there_and_back(running: Shop, observer: Observer) -> None:
    shop, a, b = running, running.sites.a, running.sites.b
    for here, there, command in ((a, b, "migrate"), (b, a, "failback")):
        shop.run("dr", command, "shop", "--yes")
        check_nothing_lost(counts(shop, here), firsts(shop, there))
        shop.run("dr", "reprotect", "shop", "--yes")
    shop.run("plan", "--detailed-exitcode")
    assert [["a", "b", "a"]] * len(MACHINES) == [observer.places(name) for name in MACHINES]


def test_a_site_is_lost_while_everything_writes(running: Shop, observer: Observer) -> None:
    shop, a, b = running, running.sites.a, running.sites.b
    since = time.monotonic()
    shop.run("replicate", "run")
    synchronisation = time.monotonic() - since
    with shop.watching():
        before = counts(shop, a)
        time.sleep(INTERVAL + 1)
        shop.sites.lose(a)
        lost = datetime.now(UTC)
    seen = counts(shop, a)
    assert [] == [name for name in MACHINES if seen[name] <= before[name] + INTERVAL - 2]
    results = shop.results("dr", "failover", "--yes")
    first = firsts(shop, b)
    losses = {name: seen[name] - (first[name] - 1) for name in MACHINES}
    assert [] == [name for name in CONTINUOUS if losses[name] > 1]
    # Once a second, and what was written between the loss and the fencing counts as lost.
    fenced = datetime.fromisoformat(results["fenced"]["at"])
    dead = (fenced - lost).total_seconds()
    for name in INCREMENTAL:
        assert losses[name] <= INTERVAL + synchronisation + 1
        assert losses[name] == pytest.approx(results[f"choose/{name}"]["loss"] - dead, abs=1.5)

    shop.sites.bring_back(a)
    held = f"Plan: no steps; {len(MACHINES) + 1} held"
    assert held in shop.run("plan", "--detailed-exitcode", expect=4)
    shop.run("apply", "--yes", expect=4)
    assert {} == a.daemon.guests()
    shop.run_stored("dr", "reprotect", "--yes")
    assert "Plan: no steps" in shop.run("plan", "--detailed-exitcode", expect=4)
    shop.run_stored("dr", "failback", "--yes")
    check_nothing_lost(counts(shop, b), firsts(shop, a))
    shop.run("plan", "--detailed-exitcode")
    assert [["a", "b", "a"]] * len(MACHINES) == [observer.places(name) for name in MACHINES]
