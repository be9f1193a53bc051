"""Addresses that the host itself has leased to machines: known without asking any guest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import libvirt

from provisioner.providers.api import ProviderError
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.errors import NOT_FOUND, code_of
from provisioner_plugins._libvirt.xml import Element, attribute
from provisioner_plugins.kvm.domain.nics import mac_of
from provisioner_plugins.kvm.domain.tree import devices


class Leases:
    """Leases by MAC address."""

    def __init__(self, by_mac: Mapping[str, list[str]]) -> None:
        self._by_mac = by_mac

    @classmethod
    def read(cls, connection: Connection, running: Iterable[Element]) -> Leases:
        """Read the leases of every network that these running machines are plugged into: two calls
        for each network.
        """
        networks = {
            name
            for live in running
            for node in devices(live, "interface")
            if (name := attribute(node, "source", "network")) is not None
        }
        by_mac: dict[str, list[str]] = {}
        for network in sorted(networks):
            for lease in _leases(connection, network):
                by_mac.setdefault(str(lease["mac"]).lower(), []).append(str(lease["ipaddr"]))
        return cls(by_mac)

    def of(self, live: Element | None) -> list[str]:
        """The addresses of a machine, in the order of its cards."""
        if live is None:
            return []
        return [
            address
            for node in devices(live, "interface")
            for address in self._by_mac.get(mac_of(node) or "", [])
        ]


def _leases(connection: Connection, network: str) -> list[dict[str, Any]]:
    try:
        found = connection.find(
            f"read the leases of network {network}",
            lambda handle: handle.networkLookupByName(network).DHCPLeases(),
        )
    except ProviderError as problem:
        # A network that is stopped, or of a kind that has no leases.
        if code_of(problem) in (
            libvirt.VIR_ERR_OPERATION_INVALID,
            libvirt.VIR_ERR_OPERATION_UNSUPPORTED,
            libvirt.VIR_ERR_NO_SUPPORT,
            *NOT_FOUND,
        ):
            return []
        raise
    return list(found or ())
