"""A network card moves from one network to another while the guest runs; its address is known from
the host's own leases."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import agent
from tests.lab.daemon import LibvirtDaemon
from tests.lab.linux import LinuxGuest

machinebench = pytest.importorskip("tests.live.machinebench")

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

VM = "VirtualMachine"
MAC = "52:54:00:aa:00:01"


@pytest.fixture
def bench(libvirt_system: LibvirtDaemon) -> Iterator[Any]:
    stack = machinebench.MachineBench(libvirt_system.uri, libvirt_system.directory)
    stack.disk("root")
    stack.network("blue", mode="isolated", cidr="10.81.0.0/24", dhcp={})
    stack.network("red", mode="isolated", cidr="10.82.0.0/24", dhcp={})
    stack.network("outside")
    yield stack
    stack.close()


@pytest.fixture
def spec(linux_guest: LinuxGuest) -> dict[str, Any]:
    return {
        **machinebench.linux_boot(linux_guest),
        "disks": [{"disk": "root"}],
        "nics": [{"name": "lan", "network": "blue", "mac": MAC}],
        "shutdownTimeout": "0s",
    }


def addresses(bench: Any, beginning: str) -> list[str]:
    """The machine's addresses as observed, once one of them begins so."""
    end = time.monotonic() + 30
    while True:
        found: list[str] = bench.present(VM, "web").outputs["addresses"]
        if any(address.startswith(beginning) for address in found):
            return found
        assert time.monotonic() < end, found
        time.sleep(0.2)


def test_a_card_moves_and_its_address_follows(bench: Any, spec: dict[str, Any]) -> None:
    spec["guestAgent"] = True
    outcome = bench.apply(VM, "web", spec)
    assert [] == outcome.outputs["addresses"], "nobody waits for a guest"
    bench.wait_for(r"LAB-DHCP [^\n]*address=10\.81\.0\.")
    (address,) = addresses(bench, "10.81.0.")
    assert address == bench.present(VM, "web").outputs["address"]
    moved = {**spec, "nics": [{**spec["nics"][0], "network": "red"}]}
    assert {"nics.lan.network": "live"} == bench.plan(VM, "web", moved).impacts
    outcome = bench.apply(VM, "web", moved)
    assert () == outcome.pending, outcome.notes
    (source,) = bench.live().findall("devices/interface/source")
    assert "red" == source.get("network")
    assert {} == bench.present(VM, "web").running
    # The guest asks for an address where it is now; the bridge needs some seconds to forward.
    ask = ["udhcpc", "-n", "-q", "-t", "15", "-T", "1", "-i", "eth0", "-s", "/bin/lease"]
    agent.ask(bench.domain(), "guest-exec", 60, path="/bin/busybox", arg=ask)
    assert any(found.startswith("10.82.0.") for found in addresses(bench, "10.82.0."))
    down = {**moved, "nics": [{**moved["nics"][0], "link": "down"}]}
    assert {"nics.lan.link": "live"} == bench.plan(VM, "web", down).impacts
    bench.apply(VM, "web", down)
    bench.apply(VM, "web", moved)
    assert 1 == bench.said().count("LAB-UP")


def test_a_card_is_plugged_into_a_network_of_the_host(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", {**spec, "nics": []})
    bench.wait_for("LAB-LINUX")
    assert () == bench.apply(VM, "web", spec).pending
    bench.wait_for(rf"LAB-DHCP [^\n]*mac={MAC} address=10\.81\.0\.")


def test_user_mode_is_another_kind_of_card(bench: Any, spec: dict[str, Any]) -> None:
    bench.apply(VM, "web", spec)
    bench.wait_for("LAB-UP")
    outside = {**spec, "nics": [{**spec["nics"][0], "network": "outside"}]}
    assert {"nics.lan.network": "restart"} == bench.plan(VM, "web", outside).impacts
    outcome = bench.apply(VM, "web", outside)
    assert (("nics", "lan", "network"),) == outcome.pending
    assert () == bench.apply(VM, "web", outside, restart=True).pending
    bench.wait_for(r"LAB-DHCP [^\n]*address=10\.0\.2\.")
    # And back.
    assert () == bench.apply(VM, "web", spec, restart=True).pending
    bench.wait_for(r"LAB-DHCP [^\n]*address=10\.81\.0\.")


def test_a_fixed_address_is_known_at_once(bench: Any, spec: dict[str, Any]) -> None:
    card = {**spec["nics"][0], "address": "10.81.0.7"}
    reservations = [{"mac": MAC, "address": "10.81.0.7"}]
    bench.network("blue", mode="isolated", cidr="10.81.0.0/24", dhcp={"reservations": reservations})
    outcome = bench.apply(VM, "web", {**spec, "nics": [card]})
    assert ["10.81.0.7"] == outcome.outputs["addresses"]
    bench.wait_for(r"LAB-DHCP [^\n]*address=10\.81\.0\.7/24")
    assert ["10.81.0.7"] == addresses(bench, "10.81.0.7")


def test_cards_in_networks_of_mode_user_follow_their_subnets(
    bench: Any, spec: dict[str, Any]
) -> None:
    """The subnet stands in the card: another one comes with a restart."""
    bench.network("inner", cidr="10.9.0.0/24")

    def cards(one: str, other: str) -> dict[str, Any]:
        nics = [{"name": "one", "network": one}, {"name": "other", "network": other}]
        return {**spec, "nics": nics}

    def subnets() -> list[str | None]:
        found = bench.live().findall("devices/interface")
        return [None if (ip := card.find("ip")) is None else ip.get("address") for card in found]

    bench.apply(VM, "web", cards("inner", "outside"))
    assert ["10.9.0.0", None] == subnets()
    exchanged = cards("outside", "inner")
    both = {"nics.one.network": "restart", "nics.other.network": "restart"}
    assert both == bench.plan(VM, "web", exchanged).impacts
    bench.apply(VM, "web", exchanged)
    assert both == bench.plan(VM, "web", exchanged).impacts
    bench.apply(VM, "web", exchanged, restart=True)
    assert [None, "10.9.0.0"] == subnets()
    bench.network("inner", cidr="10.8.0.0/24")
    assert {"nics.other.network": "restart"} == bench.plan(VM, "web", exchanged).impacts
    bench.apply(VM, "web", exchanged, restart=True)
    assert [None, "10.8.0.0"] == subnets()
