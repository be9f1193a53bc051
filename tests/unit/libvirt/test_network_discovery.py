"""A network that somebody else made, as a manifest: nothing of it is lost, and taken over as it is
written it differs in nothing.
"""

from collections.abc import Sequence
from dataclasses import replace
from random import Random
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provisioner.engine.diff import differences
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.providers.api import Present
from provisioner_plugins._libvirt.native import fragments, is_there
from provisioner_plugins._libvirt.network import NetworkRules
from provisioner_plugins._libvirt.network_discovery import Found, find
from provisioner_plugins._libvirt.network_xml import read
from provisioner_plugins._libvirt.records import NetworkRecord
from provisioner_plugins._libvirt.xml import Element, child, parse, serialize
from tests.unit.libvirt.resources import resource

CATALOG = SchemaCatalog.installed()
FORWARDS = [
    "",
    "<forward mode='nat'><nat><port start='1024' end='65535'/></nat></forward>",
    "<forward mode='nat' dev='eth0'><nat ipv6='yes'><address start='1.2.3.4' end='1.2.3.5'/></nat>"
    "<interface dev='eth0'/></forward>",
    "<forward mode='route' dev='eth1'/>",
    "<forward mode='open'/>",
    "<forward mode='bridge'/>",
    "<forward mode='bridge'><interface dev='eth0'/><interface dev='eth1'/></forward>",
    "<forward mode='passthrough'><interface dev='eth0'/></forward>",
    "<forward mode='private'><interface dev='eth0'/></forward>",
    "<forward mode='vepa'><interface dev='eth0'/></forward>",
    "<forward mode='hostdev' managed='yes'><driver name='vfio'/>"
    "<address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x1'/>"
    "<address type='pci' domain='0x0000' bus='0x03' slot='0x00' function='0x2'/></forward>",
    "<forward mode='hostdev' managed='yes'><pf dev='eth3'/></forward>",
]
PARTS = [
    "<bridge name='virbr7' stp='on' delay='0'/>",
    "<bridge name='br0'/>",
    "<bridge name='virbr8' stp='off' delay='4' zone='dmz' macTableManager='libvirt'/>",
    "<bridge name='a name that no manifest can have'/>",
    "<mac address='52:54:00:00:00:07'/>",
    "<mac address='aa:bb:cc:00:00:07'/>",
    "<mtu size='1400'/>",
    "<mtu size='67'/>",
    "<domain name='lan.example' localOnly='yes'/>",
    "<domain name='under_score.example'/>",
    "<dns enable='no'/>",
    "<dns enable='yes' forwardPlainNames='no'><forwarder addr='9.9.9.9'/>"
    "<forwarder domain='corp.example' addr='10.0.0.9'/><txt name='a' value='b'/>"
    "<srv service='ldap' protocol='tcp' target='t'/><host ip='10.1.0.5'><hostname>ok</hostname>"
    "</host></dns>",
    "<dns><host ip='10.1.0.6'><hostname>not_ok</hostname></host></dns>",
    "<ip address='10.1.0.1' netmask='255.255.255.0'/>",
    "<ip family='ipv4' address='10.1.0.254' prefix='24' localPtr='yes'><tftp root='/srv'/><dhcp>"
    "<range start='10.1.0.10' end='10.1.0.20'><lease expiry='2' unit='hours'/></range>"
    "<host mac='52:54:00:00:00:01' name='db' ip='10.1.0.30'/><bootp file='pxe' server='10.1.0.2'/>"
    "</dhcp></ip>",
    "<ip address='10.1.0.1' prefix='24'><dhcp><range start='10.1.0.2' end='10.1.0.254'/></dhcp>"
    "</ip>",
    "<ip address='10.1.0.1' prefix='24'><dhcp><range start='10.1.0.2' end='10.1.0.3'/>"
    "<range start='10.1.0.7' end='10.1.0.9'/></dhcp></ip>",
    "<ip address='10.1.0.1' prefix='24'><dhcp><host name='only' ip='10.1.0.4'/></dhcp></ip>",
    "<ip address='10.1.0.1' prefix='24'><dhcp><range start='10.1.0.2' end='10.1.0.9'>"
    "<lease expiry='0'/></range></dhcp></ip>",
    "<ip address='127.0.5.1' prefix='24'/>",
    "<ip address='10.3.0.1' prefix='32'/>",
    "<ip address='10.4.0.1' prefix='24'/>",
    "<ip family='ipv6' address='fd00:1::1' prefix='64'/>",
    "<ip family='ipv6' address='fd00:2::99' prefix='64'><dhcp><range start='fd00:2::100' "
    "end='fd00:2::1ff'/><host id='0:1' name='x' ip='fd00:2::200'/></dhcp></ip>",
    "<route address='10.9.0.0' prefix='24' gateway='10.1.0.9'/>"
    "<route family='ipv6' address='fd09::' prefix='64' gateway='fd00:1::9' metric='2'/>",
    "<portgroup name='a' default='yes'><vlan><tag id='1'/></vlan></portgroup>"
    "<portgroup name='b' trustGuestRxFilters='yes'><bandwidth><inbound average='1'/></bandwidth>"
    "</portgroup>",
    "<bandwidth><inbound average='1' peak='2' burst='3'/><outbound average='1'/></bandwidth>",
    "<vlan><tag id='42'/></vlan>",
    "<vlan trunk='yes'><tag id='42' nativeMode='untagged'/><tag id='43'/></vlan>",
    "<virtualport type='openvswitch'/>",
    "<virtualport type='802.1Qbh'><parameters profileid='p'/></virtualport>",
    "<port isolated='yes'/>",
    "<dnsmasq:options xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>"
    "<dnsmasq:option value='a'/><dnsmasq:option value='b'/></dnsmasq:options>",
    "<part-of-tomorrow><inner/><inner/></part-of-tomorrow>",
]


def network(forward: str, parts: Sequence[str], name: str = "lan") -> Element:
    """A definition; of parts of which there can be one only, the first counts."""
    document = parse(f"<network><name>{name}</name><uuid>{UUID(int=5)}</uuid>{forward}</network>")
    taken = {"several"}
    for text in parts:
        nodes = list(parse(f"<x>{text}</x>"))
        one_only = nodes[0].tag not in ("ip", "route", "portgroup")
        address = nodes[0].get("address") if nodes[0].tag == "ip" else None
        if (one_only and document.find(nodes[0].tag) is not None) or address in taken:
            continue
        document.extend(nodes)
        taken.add(address or "several")
    return document


networks = st.builds(
    network, st.sampled_from(FORWARDS), st.lists(st.sampled_from(PARTS), unique=True)
)


def record(document: Element, name: str = "lan", number: int = 5) -> NetworkRecord:
    return NetworkRecord(
        uuid=UUID(int=number),
        name=name,
        configured=document,
        live=None,
        autostart=False,
        persistent=True,
    )


def discovered(document: Element) -> Found:
    return find([record(document)])["lan"]


@given(networks)
def test_taken_over_it_differs_in_nothing(document: Element) -> None:
    found = discovered(document)
    target = resource("Network", "lan", found.spec)
    assert found.spec == NetworkRules().normalise(target)
    observed: dict[str, Any] = read(document)
    if found.spec["mode"] == "native":
        observed["mode"] = "native"
    present = Present("id", None, observed, "fingerprint")
    rules = CATALOG.kind("Network")
    for recorded in (None, found.spec):
        assert [] == differences(found.spec, recorded, present, rules)
    # Each fragment is there, so that it can be recorded.
    assert all(is_there(document, text) for text in fragments(found.spec, "network"))


@given(networks)
def test_the_manifest_is_valid(document: Element) -> None:
    spec = dict(discovered(document).spec)
    for key in ("dhcp", "dns"):
        if key in spec:
            spec[key] = written(spec[key])
    manifest = {
        "apiVersion": "provisioner/v1",
        "kind": "Network",
        "metadata": {"name": "lan"},
        "spec": spec,
    }
    assert [] == CATALOG.compiled["Network"].validator.violations(manifest)


def written(section: dict[str, Any]) -> dict[str, Any]:
    """A section as an author writes it: sets as lists, times with a unit."""
    section = dict(section)
    if "leaseTime" in section:
        section["leaseTime"] = f"{section['leaseTime']}ms"
    for name, key in (("reservations", "mac"), ("hosts", "address")):
        if name in section:
            section[name] = [{key: item, **rest} for item, rest in section[name].items()]
    return section


@given(networks, st.integers(0, 1 << 30))
def test_nothing_is_lost_in_silence(document: Element, seed: int) -> None:
    """Whatever somebody else adds, wherever it is, stands in a fragment or in a note."""
    random = Random(seed)
    places = [node for node in document.iter() if node.tag not in ("name", "uuid")]
    place = random.choice(places)
    if random.random() < 0.5:
        place.set("zzz", "added")
    else:
        child(place, "zzz").set("is", "added")
    found = discovered(document)
    texts = (*fragments(found.spec, "network"), *found.notes)
    assert any("zzz" in text for text in texts), serialize(document)


def test_what_libvirt_adds_by_itself_is_no_noise() -> None:
    found = discovered(network(FORWARDS[1], [PARTS[0], PARTS[4], PARTS[15]]))
    expected = {
        "mode": "nat",
        "bridge": "virbr7",
        "cidr": "10.1.0.0/24",
        "dhcp": {"enabled": True, "leaseTime": 3_600_000, "reservations": {}},
    }
    assert (expected, ()) == (found.spec, found.notes)


def test_what_other_programs_wrote_is_told() -> None:
    theirs = "<metadata><a:b xmlns:a='http://other.example/'/></metadata>"
    notes = discovered(network("", [theirs])).notes
    assert ("kept as it is: the metadata that others wrote (http://other.example/)",) == notes


@pytest.mark.parametrize("forward", FORWARDS[4:])
def test_a_mode_that_the_model_lacks_is_fragments(forward: str) -> None:
    found = discovered(network(forward, []))
    assert "native" == found.spec["mode"]
    assert 1 == len(fragments(found.spec, "network"))


def test_networks_with_the_same_addresses_cannot_both_be_of_a_common_mode() -> None:
    """Two manifests with them would be refused, though libvirt has both while one is stopped."""
    twins = [record(network("", [PARTS[13]]), name, number) for number, name in enumerate("ab")]
    found = find(twins)
    assert ["isolated", "native"] == [found[name].spec["mode"] for name in "ab"]


def test_of_networks_with_the_same_addresses_the_one_that_runs_is_of_a_common_mode() -> None:
    twins = [record(network("", [PARTS[13]]), name, number) for number, name in enumerate("ab")]
    found = find([twins[0], replace(twins[1], live=twins[1].configured)])
    assert [("a", "native"), ("b", "isolated")] == [
        (name, item.spec["mode"]) for name, item in found.items()
    ]
