"""Changes a running network as far as virNetworkUpdate can: DHCP range and reservations, DNS hosts.

Source: https://libvirt.org/html/libvirt-libvirt-network.html#virNetworkUpdate. Called by the
Network handler inside a call of the connection, so errors of libvirt are translated there.
"""

from __future__ import annotations

from typing import Any

import libvirt

from provisioner_plugins._libvirt.network_xml import dns_host, read, reservation
from provisioner_plugins._libvirt.xml import Element, parse, same, serialize

_LIVE = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE
_ADD = libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST
_DELETE = libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE


def update_live(network: Any, configured: Element) -> None:
    """Bring what can be changed of a running network to its configured definition.

    Only where the service runs already and for the same addresses; the rest waits for a restart of
    the network.
    """
    live = parse(network.XMLDesc(0))
    wanted, found = read(configured), read(live)
    if all(wanted.get(key) == found.get(key) for key in ("cidr", "gateway")) and (
        wanted.get("dhcp", {}).get("enabled") and found.get("dhcp", {}).get("enabled")
    ):
        _update_ranges(network, configured, live)
        _update_reservations(network, wanted["dhcp"]["reservations"], found["dhcp"]["reservations"])
    if wanted.get("dns", {}).get("enabled") and found.get("dns", {}).get("enabled"):
        _update_hosts(network, wanted["dns"]["hosts"], found["dns"]["hosts"])


def _update_ranges(network: Any, configured: Element, live: Element) -> None:
    section = libvirt.VIR_NETWORK_SECTION_IP_DHCP_RANGE
    wanted, found = configured.findall("ip/dhcp/range"), live.findall("ip/dhcp/range")
    for old in found:
        if not any(same(old, new) for new in wanted):
            network.update(_DELETE, section, -1, serialize(old), _LIVE)
    for new in wanted:
        if not any(same(old, new) for old in found):
            network.update(_ADD, section, -1, serialize(new), _LIVE)


def _update_reservations(network: Any, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    section = libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST
    # All removals first: an address may move from one card to another.
    for mac, entry in found.items():
        if wanted.get(mac) != entry:
            network.update(_DELETE, section, -1, serialize(reservation(mac, entry)), _LIVE)
    for mac, entry in wanted.items():
        if found.get(mac) != entry:
            network.update(_ADD, section, -1, serialize(reservation(mac, entry)), _LIVE)


def _update_hosts(network: Any, wanted: dict[str, Any], found: dict[str, Any]) -> None:
    section = libvirt.VIR_NETWORK_SECTION_DNS_HOST
    for address, host in found.items():
        if wanted.get(address) != host:
            network.update(_DELETE, section, -1, serialize(dns_host(address, host)), _LIVE)
    for address, host in wanted.items():
        if found.get(address) != host:
            network.update(_ADD, section, -1, serialize(dns_host(address, host)), _LIVE)
