"""A machine of one site as it shall be at the other: what takes the place of what it uses, and what
is left out.

Called by :mod:`provisioner.workflows.recovery.compiling`. Specs are canonical.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from copy import deepcopy
from typing import Any

from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.manifest.protection import Spec, Use, section
from provisioner.providers.api import Resource

_PINNED = ("clusterHost", "host")
"""Fields of ``placement`` that name a host of one site."""


def mapped_machine(
    machine: Spec,
    uses: Iterable[Use],
    way: Mapping[Address, Address],
    excluded: Collection[Address],
) -> dict[str, Any]:
    """The machine's spec for the other site. Left out is what only its first start needed (the
    template of a clone, what lies in its CD drives), what pins it to a host, and disks that are
    not replicated.
    """
    spec: dict[str, Any] = deepcopy(dict(machine))
    for use in uses:
        _put(spec, use.path, way[use.target].name)
    spec.pop("clone", None)
    for drive in section(spec, "cdroms").values():
        drive.pop("image", None)
    placement = spec.get("placement")
    if isinstance(placement, dict):
        for name in _PINNED:
            placement.pop(name, None)
        if not placement:
            del spec["placement"]
    for disk in excluded:
        spec.get("disks", {}).pop(disk.name, None)
    return spec


def mapped_disk(disk: Spec, uses: Iterable[Use], way: Mapping[Address, Address]) -> dict[str, Any]:
    """The disk's spec for the other site: its data come by replication, and not from an image."""
    spec: dict[str, Any] = deepcopy(dict(disk))
    for use in uses:
        _put(spec, use.path, way[use.target].name)
    for name in ("image", "clone"):
        spec.pop(name, None)
    return spec


def without_strange_addresses(
    machine: dict[str, Any], related: Mapping[Address, Resource]
) -> dict[str, Any]:
    """The machine without fixed addresses that its network there, among ``related``, does not
    have.
    """
    for card in section(machine, "nics").values():
        network = related.get(Address("Network", str(card.get("network"))))
        cidr = None if network is None else network.spec.get("cidr")
        if "address" in card and not _has(cidr, card["address"]):
            del card["address"]
    return machine


def _has(cidr: object, address: object) -> bool:
    with suppress(ValueError):
        return ipaddress.ip_address(str(address)) in ipaddress.ip_network(str(cidr))
    return False


def _put(spec: dict[str, Any], path: Path, value: str) -> None:
    for part in path[:-1]:
        spec = spec[part]
    spec[path[-1]] = value
