"""Networks as manifests: what the common model says of each, what fragments carry, what is left.

A network that the common model cannot say, or not beside the others of its host, is of the mode
``native``: all of it is fragments. Pure; called by :mod:`~provisioner_plugins._libvirt.estate`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Interface, IPv4Network, IPv6Interface, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any

from provisioner_plugins._libvirt.beyond import beyond, drop_said
from provisioner_plugins._libvirt.metadata import notes_on_others
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.network_xml import (
    IDENTIFY,
    NATIVE,
    addresses,
    build,
    default_ranges,
    gateway_of,
    in_one_block,
    interface_of,
    mode_of,
    read,
)
from provisioner_plugins._libvirt.xml import Element, attribute, copied, element, remove_all

if TYPE_CHECKING:
    from provisioner_plugins._libvirt.records import NetworkRecord

_DEVICE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}")
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"(?=.{{1,253}}$){_LABEL}([.]{_LABEL})*")
_NOT_FOR_GUESTS = tuple(
    map(
        ip_network,
        ("0.0.0.0/8", "127.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/8", "ff00::/8"),
    )
)
_LEASES = (120_000, 49710 * 86_400_000)
"""Milliseconds that a lease can last (dnsmasq)."""
_OWN_MAC = "52:54:00:"
"""What the addresses that libvirt chooses begin with."""
_ROOT = ("name", "uuid", "metadata")


@dataclass(frozen=True, slots=True)
class Found:
    """A network with its spec as a manifest says it, without labels, tenant and autostart."""

    record: NetworkRecord
    spec: Mapping[str, Any]
    notes: tuple[str, ...]


def find(records: Sequence[NetworkRecord]) -> dict[str, Found]:
    """All networks of an endpoint by name. Those that would overlap with another are native, the
    ones that do not run first: libvirt has both, as long as only one of them runs.
    """
    taken: list[IPv4Network | IPv6Network] = []
    found: dict[str, Found] = {}
    for record in sorted(records, key=lambda record: record.live is None):
        document = record.configured
        spec = _common(document)
        if spec is not None and spec["mode"] != "bridge":
            own = [ip_network(spec[key]) for key in ("cidr", "cidr6") if key in spec]
            if any(_overlap(one, other) for one in own for other in taken):
                spec = None
            else:
                taken += own
        found[record.name] = _complete(record, document, spec)
    return {record.name: found[record.name] for record in records}


def _overlap(one: IPv4Network | IPv6Network, other: IPv4Network | IPv6Network) -> bool:
    return one.version == other.version and one.overlaps(other)


def _complete(record: NetworkRecord, document: Element, spec: dict[str, Any] | None) -> Found:
    rest = copied(document)
    for tag in _ROOT:
        remove_all(rest, tag)
    rest.attrib.pop("connections", None)
    if (attribute(rest, "mac", "address") or "").startswith(_OWN_MAC):
        drop_said(rest, "mac", ("address",))
    if spec is None:
        spec = {"mode": NATIVE}
        made = element("network")
        _drop_defaults(rest)
    else:
        made = build(record.name, record.uuid, spec)
        _drop_defaults(rest)
        _drop_expressed(rest, made, spec)
    for tag in _ROOT:
        remove_all(made, tag)
    left = beyond(rest, made, IDENTIFY)
    notes = (*notes_on_others(document), *left.notes)
    if spec["mode"] == NATIVE and not left.fragments:
        # Nothing but names: an isolated network without addresses says as much.
        spec = {"mode": "isolated"}
    elif left.fragments:
        spec["native"] = {PROVIDER: {"network": list(left.fragments)}}
    return Found(record, spec, notes)


# --- what the common model says ------------------------------------------------------------------


def _common(document: Element) -> dict[str, Any] | None:
    """The fields that say a part of the network each; None if there is no mode for it."""
    mode = mode_of(document)
    if mode is None:
        return None
    found = read(document)
    spec: dict[str, Any] = {"mode": mode}
    for key in ("bridge", "forwardDevice"):
        if key in found:
            if not _DEVICE.fullmatch(found[key]):
                return None
            spec[key] = found[key]
    if mode == "bridge":
        if found["virtualSwitch"] == "openvswitch":
            spec["virtualSwitch"] = "openvswitch"
            if 1 <= found.get("vlan", 0) <= 4094:
                spec["vlan"] = found["vlan"]
        return spec
    if 68 <= found.get("mtu", 0) <= 65535:
        spec["mtu"] = found["mtu"]
    _add_ipv4(spec, document, found)
    _add_ipv6(spec, document)
    _add_dns(spec, document, found)
    if mode in ("nat", "routed") and not {"cidr", "cidr6"} & spec.keys():
        return None
    return spec


def _add_ipv4(spec: dict[str, Any], document: Element, found: Mapping[str, Any]) -> None:
    node = next(addresses(document, 4), None)
    if node is None or not _is_for_guests(interface_of(node)):
        return
    spec["cidr"] = found["cidr"]
    if found["gateway"] != str(gateway_of({"cidr": found["cidr"]})):
        spec["gateway"] = found["gateway"]
    dhcp = node.find("dhcp")
    if dhcp is None:
        return
    said = _dhcp(dhcp, found)
    if said is not None:
        spec["dhcp"] = said


def _is_for_guests(interface: IPv4Interface | IPv6Interface) -> bool:
    network = interface.network
    if network.num_addresses == 1 or any(_overlap(network, one) for one in _NOT_FOR_GUESTS):
        return False
    edges = {network.network_address, network.broadcast_address}
    return network.num_addresses == 2 or interface.ip not in edges


def _dhcp(node: Element, found: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the model says of a DHCP service; None if that is not all of its ranges and hosts."""
    ranges, hosts = node.findall("range"), node.findall("host")
    dhcp: dict[str, Any] = dict(found["dhcp"])
    network, gateway = IPv4Network(found["cidr"]), gateway_of(found)
    ends = [(str(one.get("start")), str(one.get("end"))) for one in ranges]
    if ends == default_ranges(network, gateway):
        dhcp.pop("start", None)
        dhcp.pop("end", None)
    elif len(ends) != 1 or not in_one_block(*ends[0]):
        return None
    leases = {
        tuple(sorted(lease.attrib.items()))
        for one in ranges
        for lease in one.findall("lease") or [element("lease")]
    }
    if not all(map(_is_plain_range, ranges)) or len(leases) > 1:
        return None
    if not _LEASES[0] <= dhcp["leaseTime"] <= _LEASES[1]:
        return None
    if len(dhcp["reservations"]) != len(hosts) or not all(map(_is_plain_host, hosts)):
        return None
    if len({host.get("ip") for host in hosts}) != len(hosts):
        return None
    return dhcp


def _is_plain_range(node: Element) -> bool:
    leases = node.findall("lease")
    return (
        node.attrib.keys() <= {"start", "end"}
        and len(node) == len(leases)
        and all(lease.attrib.keys() <= {"expiry", "unit"} and not len(lease) for lease in leases)
    )


def _is_plain_host(host: Element) -> bool:
    name = host.get("name")
    mac = (host.get("mac") or "").lower()
    return (
        not len(host)
        and host.attrib.keys() <= {"mac", "ip", "name"}
        and re.fullmatch(r"[0-9a-f][02468ace](:[0-9a-f]{2}){5}", mac) is not None
        and mac != "00:00:00:00:00:00"
        and (name is None or _DOMAIN.fullmatch(name) is not None)
    )


def _add_ipv6(spec: dict[str, Any], document: Element) -> None:
    node = next(addresses(document, 6), None)
    if node is None or len(node) or not _is_for_guests(interface_of(node)):
        return
    interface = interface_of(node)
    if interface.ip != interface.network.network_address + 1:
        return
    if spec["mode"] == "nat" and attribute(document, "forward/nat", "ipv6") != "yes":
        return
    spec["cidr6"] = str(interface.network)


def _add_dns(spec: dict[str, Any], document: Element, found: Mapping[str, Any]) -> None:
    dns = found["dns"]
    said: dict[str, Any] = {} if dns["enabled"] else {"enabled": False}
    if _DOMAIN.fullmatch(dns.get("domain", "")):
        said["domain"] = dns["domain"]
    if dns["enabled"]:
        forwarders = [*_plain_forwarders(document)]
        hosts = document.findall("dns/host")
        if forwarders and len(forwarders) == len(dns["forwarders"]):
            said["forwarders"] = dns["forwarders"]
        if hosts and all(map(_is_plain_name, hosts)) and len(hosts) == len(dns["hosts"]):
            said["hosts"] = dns["hosts"]
    if said:
        spec["dns"] = said


def _plain_forwarders(document: Element) -> Iterator[Element]:
    for node in document.findall("dns/forwarder"):
        if node.attrib.keys() == {"addr"} and not len(node):
            yield node


def _is_plain_name(host: Element) -> bool:
    names = host.findall("hostname")
    return (
        host.attrib.keys() == {"ip"}
        and len(host) == len(names)
        and all(
            not name.attrib and not len(name) and _DOMAIN.fullmatch(name.text or "")
            for name in names
        )
    )


# --- what fragments need not say -----------------------------------------------------------------


def _drop_defaults(document: Element) -> None:
    """Take out what libvirt adds to every network by itself."""
    for forward in document.findall("forward"):
        _drop_repeated(forward)
    for bridge in document.findall("bridge"):
        for name, value in (("stp", "on"), ("delay", "0")):
            if bridge.get(name) == value:
                del bridge.attrib[name]
    for dns in document.findall("dns"):
        if dns.get("enable") == "yes":
            del dns.attrib["enable"]


def _drop_repeated(forward: Element) -> None:
    for node in forward.findall("interface"):
        if node.attrib == {"dev": forward.get("dev")} and not len(node):
            forward.remove(node)
    for nat in forward.findall("nat"):
        for port in nat.findall("port"):
            if port.attrib == {"start": "1024", "end": "65535"} and not len(port):
                nat.remove(port)
        if not nat.attrib and not len(nat):
            forward.remove(nat)


def _drop_expressed(rest: Element, made: Element, spec: Mapping[str, Any]) -> None:
    """Take out of both what the fields say in words of their own."""
    for document in (rest, made):
        served = next(addresses(document, 4), None)
        for field, version in (("cidr", 4), ("cidr6", 6)):
            for node in list(addresses(document, version))[:1] if field in spec else ():
                for name in ("netmask", "prefix"):
                    node.attrib.pop(name, None)
        for node in document.findall("ip"):
            if node.get("family") == "ipv4":
                del node.attrib["family"]
        for dhcp in served.findall("dhcp") if served is not None and "dhcp" in spec else ():
            for tag in ("range", "host"):
                remove_all(dhcp, tag)
        said = spec.get("dns", {})
        gone = [*_plain_forwarders(document)] if "forwarders" in said else []
        gone += document.findall("dns/host") if "hosts" in said else []
        for dns in document.findall("dns"):
            for node in gone:
                dns.remove(node)
