"""The MAC addresses that vSphere keeps for itself: a card has one of these only if vSphere gave it.
Asked by whoever makes cards, and before a plan gives one an address. Pure.

Source: VMware vSphere Networking, "Assign a Static MAC Address" (of 00:50:56 only 00 to 3f in the
fourth place) and "MAC Address Generation on ESXi Hosts" (00:0c:29); vSphere Web Services API,
VirtualEthernetCard.addressType and VirtualEthernetCardMacType. 00:05:69 is VMware's older prefix.
ESXi refuses to start a machine that has such an address as a static one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioner.core.diagnostics import Diagnostic
from provisioner.providers.api import Change
from provisioner_plugins.vmware.refusal import out_of_range

MANUAL, GENERATED, ASSIGNED = "manual", "generated", "assigned"
"""Of somebody's choice, of a host's, of a vCenter's."""
_OF_HOSTS = ("00:0c:29:", "00:05:69:")
_OF_VMWARE = "00:50:56:"
_HIGHEST = 0x3F
_SOURCE = "VMware vSphere Networking, Assign a Static MAC Address"


def type_of(mac: str) -> str:
    """The only ``addressType`` with which vSphere takes the address."""
    address = mac.lower()
    if address.startswith(_OF_HOSTS):
        return GENERATED
    if address.startswith(_OF_VMWARE) and int(address[9:11], 16) > _HIGHEST:
        return ASSIGNED
    return MANUAL


def refused(spec: Mapping[str, Any], changes: Sequence[Change]) -> Iterator[Diagnostic]:
    """A diagnostic for each card that is to get an address which is not for its author to choose:
    of a new machine with this ``spec``, where there are no ``changes``. An address that a card of
    the machine has already is that one's by right.
    """
    cards = [change for change in changes if change.path[0] == "nics"]
    wanted = (
        [item for change in cards for item in _addresses(change.path, change.after)]
        if changes
        else [*_addresses(("nics",), spec.get("nics"))]
    )
    present = {mac for change in cards for _, mac in _addresses(change.path, change.before)}
    for name, mac in wanted:
        if mac not in present and type_of(mac) != MANUAL:
            limit = (
                "The prefixes 00:0c:29 and 00:05:69, and 00:50:56 but for 00:50:56:00 to "
                "00:50:56:3f, are for addresses that vSphere gives"
            )
            yield replace(
                out_of_range(("nics", name, "mac"), mac, limit, _SOURCE),
                hint="Leave mac out, and vSphere gives the card an address; or choose another.",
            )


def _addresses(path: Sequence[str], value: object) -> Iterator[tuple[str, str]]:
    """The names of cards with their addresses, in a value at a path of a spec below ``nics``."""
    match path:
        case (_,) if isinstance(value, Mapping):
            for name, card in value.items():
                yield from _addresses((*path, name), card)
        case (_, _) if isinstance(value, Mapping):
            yield from _addresses((*path, "mac"), value.get("mac"))
        case (_, name, "mac") if isinstance(value, str):
            yield name, value.lower()
