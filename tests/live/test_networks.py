"""Networks on a real daemon: every field made, changed and removed; what is live stays live."""

import copy
import json
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.identity import Stamp
from provisioner.providers.api import Absent, InUse, Terminal
from tests.lab.bootsector import BootImage
from tests.lab.daemon import LibvirtDaemon
from tests.lab.domain import boot_domain

libvirt = pytest.importorskip("libvirt")
handlerbench = pytest.importorskip("tests.live.handlerbench")

from provisioner_plugins._libvirt import stamp  # noqa: E402
from provisioner_plugins._libvirt.xml import parse, serialize  # noqa: E402

pytestmark = [pytest.mark.live, pytest.mark.timeout(120)]

NAT: dict[str, Any] = {"mode": "nat", "cidr": "10.77.0.0/24"}
DB = {"mac": "52:54:00:00:00:01", "address": "10.77.0.10", "name": "db"}
WEB = {"mac": "52:54:00:00:00:02", "address": "10.77.0.11"}


@pytest.fixture
def bench(libvirt_system: LibvirtDaemon) -> Iterator[Any]:
    stack = handlerbench.Bench(libvirt_system.uri)
    yield stack
    stack.close()


def network(bench: Any, name: str = "lan") -> Any:
    return bench.connection.call("find", lambda h: h.networkLookupByName(name))


def document(bench: Any, *, live: bool = True) -> ET.Element:
    flags = 0 if live else libvirt.VIR_NETWORK_XML_INACTIVE
    return ET.fromstring(network(bench).XMLDesc(flags))


def links(daemon: LibvirtDaemon) -> dict[str, str | None]:
    """Network devices where the daemon lives, with the bridge that each is plugged into."""
    command = ["nsenter", "-t", str(daemon.pid), "-n", "ip", "-json", "link"]
    found = subprocess.run(command, check=True, capture_output=True, text=True)
    return {link["ifname"]: link.get("master") for link in json.loads(found.stdout)}


def guest_in(daemon: LibvirtDaemon, image: BootImage, name: str, lan: str = "lan") -> Any:
    """A running boot-sector guest with a card in the network."""
    disk = image.copy(daemon.directory / f"{name}.qcow2")
    domain = ET.fromstring(boot_domain(name, disk, daemon.directory / f"{name}.log"))
    devices = domain.find("devices")
    assert devices is not None
    nic = ET.SubElement(devices, "interface", type="network")
    ET.SubElement(nic, "source", network=lan)
    ET.SubElement(nic, "model", type="virtio")
    connection = libvirt.open(daemon.uri)
    return connection.createXML(ET.tostring(domain, encoding="unicode"))


@pytest.mark.parametrize(
    ("mode", "spec"),
    [
        ("nat", {"cidr": "10.77.0.0/24", "dhcp": {}}),
        ("nat", {"cidr": "10.0.0.0/8", "gateway": "10.77.0.1", "dhcp": {}}),
        ("nat", {"cidr": "10.77.0.0/24", "cidr6": "fd00:77::/64"}),
        ("nat", {"cidr6": "fd00:77::/64"}),
        ("isolated", {}),
        ("isolated", {"cidr": "10.77.0.0/24", "dhcp": {"start": "10.77.0.9", "end": "10.77.0.20"}}),
        ("routed", {"cidr": "10.77.0.0/24"}),
        ("bridge", {"bridge": "br0"}),
        ("bridge", {"bridge": "ovs0", "virtualSwitch": "openvswitch", "vlan": 42}),
    ],
)
def test_a_network_of_each_mode_runs(bench: Any, mode: str, spec: dict[str, Any]) -> None:
    outcome = bench.apply("Network", "lan", {"mode": mode, **spec})
    assert 1 == network(bench).isActive()
    assert 1 == network(bench).autostart()
    observed = bench.present("Network", "lan")
    assert mode == observed.spec["mode"]
    assert observed.outputs == outcome.outputs
    assert spec.get("bridge", "virbr0") == outcome.outputs["bridge"]
    bench.delete("Network", "lan")


CHANGES: list[Any] = [
    ("cidr", NAT, {"cidr": "10.78.0.0/24"}),
    ("cidr6", NAT, {"cidr6": "fd00:77::/64"}),
    ("gateway", {**NAT, "dhcp": {}}, {"gateway": "10.77.0.100"}),
    ("bridge", NAT, {"bridge": "labbr7"}),
    ("forward-device", NAT, {"forwardDevice": "eth7"}),
    ("dhcp", NAT, {"dhcp": {}}),
    ("dhcp-range", {**NAT, "dhcp": {}}, {"dhcp": {"start": "10.77.0.5", "end": "10.77.0.9"}}),
    ("dhcp-lease", {**NAT, "dhcp": {}}, {"dhcp": {"leaseTime": "2h"}}),
    ("dhcp-off", {**NAT, "dhcp": {"reservations": [DB]}}, {"dhcp": {"enabled": False}}),
    ("reservations", {**NAT, "dhcp": {}}, {"dhcp": {"reservations": [DB, WEB]}}),
    ("dns-off", NAT, {"dns": {"enabled": False}}),
    ("dns-domain", NAT, {"dns": {"domain": "lab.example"}}),
    ("dns-forwarders", NAT, {"dns": {"forwarders": ["9.9.9.9", "2620:fe::fe"]}}),
    ("dns-hosts", NAT, {"dns": {"hosts": [{"address": "10.77.0.1", "names": ["gw", "gw.lab"]}]}}),
    ("mtu", NAT, {"mtu": 1400}),
    ("autostart", NAT, {"autostart": False}),
    ("mode", NAT, {"mode": "isolated"}),
    ("mode-bridge", NAT, {"mode": "bridge", "bridge": "br0", "cidr": None}),
    ("labels", {**NAT, "labels": {"tier": "web"}}, {"labels": {"tier": "db", "owner": "shop"}}),
    ("tenant", NAT, {"tenant": "shop"}),
    ("native", NAT, {"native": {"kvm": {"network": ["<portgroup name='fast'/>"]}}}),
]


@pytest.mark.parametrize(
    ("before", "change"), [pytest.param(b, c, id=name) for name, b, c in CHANGES]
)
def test_every_field_is_set_and_given_back(
    bench: Any, before: dict[str, Any], change: dict[str, Any]
) -> None:
    """``apply`` itself proves after each step that nothing is left to do."""
    after = {key: value for key, value in {**before, **change}.items() if value is not None}
    bench.apply("Network", "lan", before)
    first = document(bench, live=False)
    assert bench.plan("Network", "lan", after).changes
    bench.apply("Network", "lan", after)
    bench.apply("Network", "lan", before)
    last = document(bench, live=False)
    assert first.findtext("uuid") == last.findtext("uuid")
    assert described(first) == described(last)
    assert before.get("autostart", True) == bool(network(bench).autostart())


def described(root: ET.Element) -> str:
    """A definition but for what libvirt draws anew: the MAC address of the bridge."""
    for node in root.findall("mac"):
        root.remove(node)
    return ET.canonicalize(ET.tostring(root, encoding="unicode"), strip_text=True)


def test_reservations_and_names_change_while_the_network_runs(
    bench: Any, libvirt_system: LibvirtDaemon
) -> None:
    spec = {**NAT, "dhcp": {"reservations": [DB]}, "dns": {"hosts": []}}
    bench.apply("Network", "lan", spec)
    servers = dns_servers(libvirt_system)
    swapped = [{**DB, "address": "10.77.0.11"}, {**WEB, "address": "10.77.0.10"}]
    changed = {
        **spec,
        "dhcp": {"reservations": swapped},
        "dns": {"hosts": [{"address": "10.77.0.9", "names": ["printer"]}]},
    }
    impacts = bench.plan("Network", "lan", changed).impacts
    assert {"live"} == set(impacts.values())
    bench.apply("Network", "lan", changed)
    assert servers == dns_servers(libvirt_system)
    hosts = {node.get("mac"): node.get("ip") for node in document(bench).iter("host")}
    assert hosts.items() >= {DB["mac"]: "10.77.0.11", WEB["mac"]: "10.77.0.10"}.items()
    bench.apply("Network", "lan", {**spec, "dhcp": {"reservations": []}})
    assert [] == document(bench).findall("ip/dhcp/host")


def dns_servers(daemon: LibvirtDaemon) -> list[int]:
    """The processes of dnsmasq: others mean that the service was restarted."""
    return sorted(
        pid for pid in daemon.processes() if b"dnsmasq" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def test_a_restart_is_held_back_while_guests_are_attached(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench.apply("Network", "lan", NAT)
    guest = guest_in(libvirt_system, boot_image, "web")
    changed = {**NAT, "mtu": 1400}
    planned = bench.plan("Network", "lan", changed)
    assert {"mtu": "restart"} == planned.impacts
    assert "cuts off web" in planned.changes[0].reason
    outcome = bench.apply("Network", "lan", changed)
    assert (("mtu",),) == outcome.pending
    assert document(bench).find("mtu") is None
    (pending,) = bench.plan("Network", "lan", changed).changes
    assert (1400, None, True) == (pending.after, pending.running, pending.differs_running)

    outcome = bench.apply("Network", "lan", changed, restart=True)
    assert () == outcome.pending
    assert ("started; plugged in again: web",) == outcome.notes
    assert [] == list(bench.plan("Network", "lan", changed).changes)
    assert outcome.outputs["bridge"] == bridge_of(guest, libvirt_system)
    source = ET.fromstring(guest.XMLDesc(0)).find("devices/interface/source")
    assert source is not None
    assert "lan" == source.get("network")
    assert 1 == guest.isActive()


def bridge_of(guest: Any, daemon: LibvirtDaemon) -> str | None:
    """The bridge that a guest's card is plugged into; None: it is cut off."""
    tap = ET.fromstring(guest.XMLDesc(0)).find("devices/interface/target")
    assert tap is not None
    return links(daemon)[str(tap.get("dev"))]


@pytest.mark.parametrize("removed", [False, True])
def test_guests_of_a_network_that_was_stopped_are_plugged_in_again(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage, removed: bool
) -> None:
    bench.apply("Network", "lan", NAT)
    guest = guest_in(libvirt_system, boot_image, "web")
    network(bench).destroy()
    if removed:
        network(bench).undefine()
    assert bridge_of(guest, libvirt_system) is None
    outcome = bench.apply("Network", "lan", NAT)
    assert ("started; plugged in again: web",) == outcome.notes
    assert outcome.outputs["bridge"] == bridge_of(guest, libvirt_system)


def test_a_definition_that_was_removed_is_written_again_while_the_network_runs(
    bench: Any, libvirt_system: LibvirtDaemon
) -> None:
    bench.apply("Network", "lan", NAT)
    servers = dns_servers(libvirt_system)
    network(bench).undefine()
    assert {"mode": "live", "autostart": "live"} == (
        bench.plan("Network", "lan", {**NAT, "autostart": True}).impacts
    )
    bench.apply("Network", "lan", {**NAT, "autostart": True})
    assert (1, 1) == (network(bench).isPersistent(), network(bench).autostart())
    assert servers == dns_servers(libvirt_system)


def test_what_waited_and_does_not_start_gives_way_to_what_ran(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench.apply("Network", "other", {"mode": "nat", "cidr": "10.78.0.0/24"})
    bench.apply("Network", "lan", NAT)
    guest = guest_in(libvirt_system, boot_image, "web")
    taken = {**NAT, "cidr": "10.78.0.0/24"}
    assert ("cidr",) in bench.apply("Network", "lan", taken).pending
    with pytest.raises(Terminal):
        bench.apply("Network", "lan", taken, restart=True)
    observed = bench.present("Network", "lan")
    assert ("10.77.0.0/24", {}) == (observed.spec["cidr"], dict(observed.running))
    assert observed.outputs["bridge"] == bridge_of(guest, libvirt_system)


def test_fragments_wait_until_the_network_was_restarted(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    changed = {**NAT, "native": {"kvm": {"network": ["<portgroup name='fast'/>"]}}}
    path = ("native", "kvm", "network")
    bench.apply("Network", "lan", NAT)
    guest_in(libvirt_system, boot_image, "web")
    assert (path,) == bench.apply("Network", "lan", changed).pending
    assert [] == bench.present("Network", "lan").running[path]
    assert {"native.kvm.network": "restart"} == bench.plan("Network", "lan", changed).impacts
    assert () == bench.apply("Network", "lan", changed, restart=True).pending
    assert {} == bench.present("Network", "lan").running
    assert {} == bench.plan("Network", "lan", changed).impacts


def test_a_service_that_does_not_run_is_not_changed_live(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    """What waits is told by the next plan as something that waits, until there was a restart."""
    bench.apply("Network", "lan", NAT)
    guest_in(libvirt_system, boot_image, "web")
    without = {**NAT, "dhcp": {"enabled": False}, "dns": {"enabled": False}}
    bench.apply("Network", "lan", without, restart=True)
    dhcp = {"start": "10.77.0.10", "end": "10.77.0.20", "reservations": [DB]}
    dns = {"hosts": [{"address": "10.77.0.9", "names": ["printer"]}]}
    for changed in ({**NAT, "dhcp": dhcp, "dns": dns}, {**NAT, "cidr": "10.79.0.0/24", "dhcp": {}}):
        assert {"restart"} == set(bench.plan("Network", "lan", changed).impacts.values())
        bench.apply("Network", "lan", changed)
        assert {"restart"} == set(bench.plan("Network", "lan", changed).impacts.values())
    assert () == bench.apply("Network", "lan", changed, restart=True).pending
    assert {} == bench.plan("Network", "lan", changed).impacts


def test_the_previous_definition_comes_back_if_the_new_one_cannot_run(bench: Any) -> None:
    bench.apply("Network", "other", {"mode": "nat", "cidr": "10.78.0.0/24"})
    bench.apply("Network", "lan", NAT)
    with pytest.raises(Terminal) as caught:
        bench.apply("Network", "lan", {**NAT, "cidr": "10.78.0.0/24"})
    assert "PRV5122" == caught.value.diagnostic.code
    observed = bench.present("Network", "lan")
    assert ("10.77.0.0/24", {}) == (observed.spec["cidr"], dict(observed.running))
    assert 1 == network(bench).isActive()


def test_a_network_that_cannot_start_leaves_nothing(bench: Any) -> None:
    bench.apply("Network", "lan", NAT)
    with pytest.raises(Terminal):
        bench.apply("Network", "twin", NAT)
    assert ["lan"] == [item.name for item in bench.discover("Network")]


def test_a_stopped_network_is_started(bench: Any) -> None:
    bench.apply("Network", "lan", NAT)
    network(bench).destroy()
    assert {"mode": "live"} == bench.plan("Network", "lan", NAT).impacts
    bench.apply("Network", "lan", NAT)
    assert 1 == network(bench).isActive()


def test_what_the_author_did_not_set_stays_as_it_was_made_by_hand(bench: Any) -> None:
    bench.apply("Network", "lan", NAT)
    root = document(bench, live=False)
    ET.SubElement(root, "mtu", size="1300")
    ET.SubElement(root, "portgroup", name="by-hand")
    bench.connection.call(
        "define", lambda h: h.networkDefineXML(ET.tostring(root, encoding="unicode"))
    )
    network(bench).destroy()
    network(bench).create()
    assert [] == list(bench.plan("Network", "lan", NAT).changes)
    bench.apply("Network", "lan", {**NAT, "labels": {"tier": "web"}})
    after = document(bench, live=False)
    assert after.find("portgroup[@name='by-hand']") is not None
    assert after.find("mtu[@size='1300']") is not None


def test_drift_is_found_and_repaired(bench: Any) -> None:
    spec = {**NAT, "dhcp": {"reservations": [DB]}, "mtu": 1400}
    bench.apply("Network", "lan", spec)
    root = document(bench, live=False)
    mtu, host = root.find("mtu"), root.find("ip/dhcp/host")
    assert mtu is not None
    assert host is not None
    mtu.set("size", "1300")
    host.set("ip", "10.77.0.99")
    bench.connection.call(
        "define", lambda h: h.networkDefineXML(ET.tostring(root, encoding="unicode"))
    )
    planned = bench.plan("Network", "lan", spec)
    assert {"mtu", f"dhcp.reservations.{DB['mac']}.address"} == set(planned.impacts)
    bench.apply("Network", "lan", spec)


def test_a_network_is_not_deleted_under_the_guests_of_others(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    bench.apply("Network", "lan", NAT)
    guest = guest_in(libvirt_system, boot_image, "web")
    resource = bench.recorded[Address("Network", "lan")]
    with pytest.raises(InUse) as caught:
        bench.handlers["Network"].delete(resource, bench.deadline())
    assert ("PRV5124", "It is used by domain web.") == (
        caught.value.diagnostic.code,
        caught.value.diagnostic.detail,
    )
    assert bench.present("Network", "lan").outputs["bridge"] == bridge_of(guest, libvirt_system)
    guest.destroy()
    bench.delete("Network", "lan")


def test_a_network_goes_under_the_guests_of_its_own_stack(
    bench: Any, libvirt_system: LibvirtDaemon, boot_image: BootImage
) -> None:
    """The plan brings them where they belong afterwards. An adopted one carries the stamp in its
    definition only, until it was restarted.
    """
    bench.apply("Network", "lan", NAT)
    guest = guest_in(libvirt_system, boot_image, "web")
    definition = parse(guest.XMLDesc(0))
    own = Stamp(str(bench.lineage), "VirtualMachine/web", 0)
    stamp.replace(definition, stamp.Mark(own))
    guest.connect().defineXML(serialize(definition))
    bench.delete("Network", "lan")
    assert 1 == guest.isActive()


def test_a_rename_writes_the_new_address_and_keeps_the_network(bench: Any) -> None:
    bench.apply("Network", "lan", NAT)
    before = bench.recorded.pop(Address("Network", "lan"))
    renamed = Address("Network", "backend")
    bench.recorded[renamed] = replace(
        before,
        address=renamed,
        stamp=before.stamp._replace(address=str(renamed)),
    )
    observed = bench.present("Network", "backend")
    assert "Network/lan" == observed.owner.address
    bench.handlers["Network"].update(
        bench.recorded[renamed], observed, (), restart=False, deadline=bench.deadline()
    )
    observed = bench.present("Network", "backend")
    assert "Network/backend" == observed.owner.address
    assert before.external_id == observed.external_id


def test_creating_twice_gives_one_network(bench: Any) -> None:
    resource = bench.plan("Network", "lan", NAT).resource
    handler = bench.handlers["Network"]
    first = handler.create(resource, bench.deadline())
    network(bench).destroy()
    assert first == handler.create(resource, bench.deadline())
    assert 1 == network(bench).isActive()
    assert 1 == len(bench.discover("Network"))


def test_stamp_labels_and_tenant_are_read_back(bench: Any) -> None:
    spec = {**NAT, "labels": {"tier": "web", "a.b/c": "<&\"'>"}, "tenant": "shop"}
    bench.apply("Network", "lan", spec)
    observed = bench.present("Network", "lan")
    assert spec["labels"] == observed.spec["labels"]
    assert "shop" == observed.spec["tenant"]
    assert bench.recorded[Address("Network", "lan")].stamp == observed.owner


def test_a_network_of_mode_user_is_there_once_it_was_recorded(
    bench: Any, libvirt_system: LibvirtDaemon
) -> None:
    spec = {"mode": "user", "cidr": "10.0.9.0/24"}
    planned = bench.plan("Network", "lan", spec)
    assert isinstance(planned.observed, Absent)
    bench.apply("Network", "lan", spec)
    assert [] == bench.discover("Network")
    # From or to another mode is another thing altogether.
    assert "replace" == bench.plan("Network", "lan", NAT).impacts["mode"]
    # A foreign network may have its name.
    other = handlerbench.Bench(libvirt_system.uri)
    other.apply("Network", "lan", NAT)
    assert [] == list(bench.plan("Network", "lan", spec).changes)
    bench.delete("Network", "lan")
    assert 1 == network(other).isActive()
    other.close()


def test_an_unprivileged_daemon_says_what_to_do(libvirt_session: LibvirtDaemon) -> None:
    stack = handlerbench.Bench(libvirt_session.uri)
    with pytest.raises(Terminal) as caught:
        stack.apply("Network", "lan", NAT)
    assert "PRV5104" == caught.value.diagnostic.code
    assert "mode user" in caught.value.diagnostic.hint
    assert [] == stack.discover("Network")
    stack.close()


def test_a_network_is_stopped_and_started_again(bench: Any) -> None:
    bench.apply("Network", "lan", NAT)
    stopped = {**NAT, "active": False}
    assert {"active": "live"} == bench.plan("Network", "lan", stopped).impacts
    bench.apply("Network", "lan", stopped)
    assert {"active": "live"} == bench.plan("Network", "lan", {**NAT, "active": True}).impacts
    bench.apply("Network", "lan", {**NAT, "active": True})
    assert {} == bench.present("Network", "lan").running


def test_a_network_of_fragments(bench: Any) -> None:
    fragments = ["<forward mode='open'/>", "<ip address='10.99.0.1' prefix='24'/>"]
    spec = {"mode": "native", "native": {"kvm": {"network": fragments}}}
    bench.apply("Network", "lan", spec)
    more = [*fragments, "<portgroup name='fast'/>"]
    bench.apply("Network", "lan", {**spec, "native": {"kvm": {"network": more}}})
    (found,) = bench.discover("Network")
    assert ("native", ()) == (found.observed.spec["mode"], found.notes)
    assert 1 == sum("portgroup" in text for text in found.observed.spec["native"]["kvm"]["network"])
    # Fragments are all that it is: what fields said before is gone.
    bench.apply("Network", "lan", NAT)
    bench.apply("Network", "lan", spec)
    (found,) = bench.discover("Network")
    assert [["<forward", "<ip"]] == [
        [text.split()[0] for text in item if not text.startswith("<bridge")]
        for item in [found.observed.spec["native"]["kvm"]["network"]]
    ]
    bench.delete("Network", "lan")


def test_a_change_and_its_opposite_leave_the_spec_as_it_was(bench: Any) -> None:
    spec = {**NAT, "dhcp": {"start": "10.77.0.5", "end": "10.77.0.9", "reservations": [DB]}}
    bench.apply("Network", "lan", spec)
    before = copy.deepcopy(dict(bench.present("Network", "lan").spec))
    bench.apply("Network", "lan", {**spec, "dhcp": {**spec["dhcp"], "reservations": [WEB]}})
    bench.apply("Network", "lan", spec)
    assert before == dict(bench.present("Network", "lan").spec)
