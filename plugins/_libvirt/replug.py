"""Plugs running guests into a network that was stopped meanwhile; called by the Network handler.

Stopping a network removes its bridge, and the guests' devices stay behind without one. libvirt
connects a device anew when its kind of source changes, so each one is first moved to the bridge by
name and then back to the network.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import libvirt

from provisioner.providers.api import ProviderError
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.xml import Element, copied, element, parse, remove_all, serialize


def attached(running: Sequence[tuple[str, Element]], network: str) -> list[str]:
    """Names of running domains with a network card in the network, sorted."""
    return sorted(name for name, live in running if is_attached(live, network))


def is_attached(live: Element, network: str) -> bool:
    """Whether a domain with this definition has a card in the network."""
    return next(_interfaces(live, network), None) is not None


def _interfaces(live: Element, network: str) -> Iterator[Element]:
    for interface in live.findall("devices/interface"):
        source = interface.find("source")
        if source is not None and source.get("network") == network:
            yield interface


def replug(
    connection: Connection, guests: Sequence[str], network: str, bridge: str
) -> tuple[str, ...]:
    """Connect every card of ``guests`` in ``network`` again; returns what came of it, as notes."""
    done, notes = [], []
    for guest in guests:
        try:
            connection.call(
                f"plug {guest} into network {network} again",
                partial(_replug_guest, guest=guest, network=network, bridge=bridge),
            )
            done.append(guest)
        except ProviderError as problem:
            notes.append(f"{guest} could not be plugged in again: {problem}; restart it")
    if done:
        notes.insert(0, f"started; plugged in again: {', '.join(done)}")
    return tuple(notes)


def _replug_guest(handle: Any, guest: str, network: str, bridge: str) -> None:
    domain = handle.lookupByName(guest)
    live = parse(domain.XMLDesc(0))
    for interface in list(_interfaces(live, network)):
        by_bridge, by_network = copied(interface), copied(interface)
        for node, kind, source in (
            (by_bridge, "bridge", element("source", {"bridge": bridge})),
            (by_network, "network", element("source", {"network": network})),
        ):
            portgroup = interface.find("source")
            assert portgroup is not None
            if kind == "network" and portgroup.get("portgroup") is not None:
                source.set("portgroup", str(portgroup.get("portgroup")))
            remove_all(node, "source")
            node.set("type", kind)
            node.append(source)
            domain.updateDeviceFlags(serialize(node), libvirt.VIR_DOMAIN_AFFECT_LIVE)
