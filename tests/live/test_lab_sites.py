"""Two sites: each is lost and brought back as a whole, and an observer sees where guests run."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.lab import bootsector, requirements
from tests.lab.bootsector import BootImage
from tests.lab.daemon import Flavour
from tests.lab.domain import linux_domain
from tests.lab.launcher import runs
from tests.lab.linux import LinuxGuest
from tests.lab.serial import SerialLog

libvirt = pytest.importorskip("libvirt")

from tests.lab import agent  # noqa: E402

if TYPE_CHECKING:
    from tests.lab.sites import Site, TwoSites

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

BUBBLE = """
<network>
  <name>bubble</name>
  <bridge stp="off"/>
  <ip address="192.168.78.1" prefix="24">
    <dhcp><range start="192.168.78.10" end="192.168.78.99"/></dhcp>
  </ip>
</network>
"""
COUNT = r"LAB-SEQ ([0-9a-f]{8})"


def run(site: Site, *argv: str) -> None:
    done = site.inside(*argv)
    assert 0 == done.returncode, done.stderr


def test_a_site_is_lost_as_a_whole_and_comes_back(
    two_sites: TwoSites, boot_image: BootImage
) -> None:
    a, b = two_sites.a, two_sites.b
    for name in ("kept", "left"):
        a.define_guest(name, a.boot_disk(boot_image, name))
        a.start_guest(name).wait_for(COUNT, 10)
    b.define_guest("beside", b.boot_disk(boot_image, "beside", "raw"))
    beside = b.start_guest("beside")
    with a.connected() as connection:
        connection.lookupByName("kept").setAutostart(1)
    below = a.daemon.processes()
    assert {a.daemon.pid, *a.daemon.guests().values()} <= set(below)
    two_sites.lose(a)
    assert [] == [pid for pid in below if runs(pid)]
    assert {} == a.daemon.guests()
    with pytest.raises(libvirt.libvirtError), a.connected():
        pass
    count = bootsector.counter(a.folder / "kept.qcow2")
    after = a.log("kept").mark()
    two_sites.bring_back(a)
    again = a.log("kept").wait_for(COUNT, 10, after=after)
    assert count + 1 == int(again[1], 16)
    assert ["kept"] == [*a.daemon.guests()]
    with a.connected() as connection:
        assert ["kept", "left"] == sorted(d.name() for d in connection.listAllDomains())
        volumes = connection.storagePoolLookupByName("site").listVolumes()
    assert ["kept.qcow2", "left.qcow2"] == sorted(volumes)
    assert ["beside"] == [*b.daemon.guests()]
    assert beside.wait_for_next(5) > 1


def test_a_site_that_is_lost_leaves_nothing_behind_when_the_test_ends(
    boot_image: BootImage,
) -> None:
    if reason := requirements.daemon_unavailable(Flavour.SESSION):
        pytest.skip(reason)
    from tests.lab.sites import TwoSites  # noqa: PLC0415 - it imports libvirt

    with TwoSites(Flavour.SESSION) as sites:
        for site in (sites.a, sites.b):
            site.define_guest("web", site.boot_disk(boot_image, "web"))
            site.start_guest("web")
        below = [*sites.a.daemon.processes(), *sites.b.daemon.processes()]
        sites.lose(sites.a)
        folders = [site.daemon.directory for site in (sites.a, sites.b)]
    assert [] == [pid for pid in below if runs(pid)]
    assert [False, False] == [folder.exists() for folder in folders]


def test_an_observer_sees_a_guest_move_and_fails_when_it_runs_twice(
    two_sites: TwoSites, boot_image: BootImage
) -> None:
    a, b = two_sites.a, two_sites.b
    for site in (a, b):
        site.define_guest("web", site.boot_disk(boot_image, "web"))
    with two_sites.observed() as moved:
        a.start_guest("web").wait_for(COUNT, 10)
        two_sites.lose(a)
        b.start_guest("web").wait_for(COUNT, 10)
        two_sites.bring_back(a)
    assert ["a", "b"] == moved.places("web")
    assert moved.stays[0].last < moved.stays[1].first
    twice = r"at two sites at once:\nweb at b: .*; web at a: "
    with pytest.raises(AssertionError, match=twice), two_sites.observed():
        a.start_guest("web").wait_for(COUNT, 10)


def test_system_sites_have_a_line_that_no_guest_of_an_isolated_network_reaches(
    two_system_sites: TwoSites, linux_guest: LinuxGuest
) -> None:
    a, b = two_system_sites.a, two_system_sites.b

    def host_reaches_a() -> bool:
        return b.inside("/bin/busybox", "ping", "-c", "1", "-W", "2", a.address).returncode == 0

    assert host_reaches_a()
    log = SerialLog(b.daemon.directory / "drill.log")
    with b.connected() as connection:
        connection.networkCreateXML(BUBBLE)
        guest = connection.createXML(
            linux_domain("drill", linux_guest, log.path, network="bubble", agent=True)
        )
        log.wait_for(r"LAB-DHCP nic=eth0 .* router=", 30)

        def ping(address: str) -> int:
            return agent.run(guest, "/bin/ping", "-c", "1", "-W", "1", address)

        # Nothing but the isolation keeps it from the other site: there is a way there and back.
        run(a, "ip", "route", "add", "192.168.78.0/24", "via", b.address)
        run(b, "sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")
        assert 0 == agent.run(guest, "/bin/ip", "route", "add", "default", "via", "192.168.78.1")
        assert [0, 1] == [ping("192.168.78.1"), ping(a.address)]
        for chain in ("LIBVIRT_FWI", "LIBVIRT_FWO"):
            run(b, "iptables", "-F", chain)
        assert 0 == ping(a.address)
        guest.destroy()
    two_system_sites.lose(b)
    two_system_sites.bring_back(b)
    assert host_reaches_a()
    with b.connected() as connection:
        assert [] == connection.listAllNetworks()
