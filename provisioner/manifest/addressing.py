"""Fixed addresses of machines: derived MAC addresses, DHCP reservations, and what cannot be right
about them.

Called by :mod:`provisioner.manifest.loader` with linked drafts. A network card with a fixed address
needs a MAC address by which the network's DHCP service knows it: the author's, the one that the
card has already, or one derived here from the names of stack, machine and card. The reservation
becomes part of the Network.
"""

from __future__ import annotations

import hashlib
import ipaddress
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.manifest.infrastructure import host_addresses, network_role
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft

Recorded: TypeAlias = Callable[[Address], Mapping[str, Json]]
"""The outputs of a resource as they were recorded; empty if it was not applied yet."""

MACHINE = "VirtualMachine"
_NO_MAC = "00:00:00:00:00:00"
NETWORK = "Network"


class Elsewhere(NamedTuple):
    """The address of a machine's card in a network in which it is only after a recovery, and its
    MAC address there, where it is another one. ``plan`` says so, at ``path``.
    """

    machine: Draft
    card: str
    network: Address
    address: str
    mac: str | None
    plan: Draft
    path: tuple[str, ...]


class _Card(NamedTuple):
    draft: Draft
    """Which says so: the machine, or a plan."""
    name: str
    mac: str | None
    address: str | None
    machine: Address
    place: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"network card {self.name!r} of {self.machine}"

    def path(self, field: str) -> tuple[str, ...]:
        return (*self.place, field)


def derived_mac(scope: str, machine: str, card: str) -> str:
    """A locally administered unicast MAC address (IEEE 802, section 8.4) that depends on these
    names only; ``scope`` is the stack, with its environment where there is one.

    ``52:54`` as QEMU's and libvirt's own, then 32 bits of SHA-256: among 10,000 cards two are equal
    in one stack of a hundred, which is reported as a duplicate.
    """
    bits = hashlib.sha256(f"{scope}/{machine}/{card}".encode()).digest()[:4]
    return ":".join(["52", "54", *(f"{byte:02x}" for byte in bits)])


def settle_addresses(
    scope: str,
    drafts: Mapping[Address, Draft],
    recorded: Recorded,
    elsewhere: Iterable[Elsewhere] = (),
) -> None:
    """Derive MAC addresses, fold reservations into the networks' specs and check both.

    ``recorded`` tells the outputs of what was applied: a card keeps the MAC address that it has,
    also when its machine was renamed. ``elsewhere``: addresses for which networks are prepared.
    """
    by_network: dict[Address, list[_Card]] = {}
    owners: dict[str, str] = {}
    later = [_card_elsewhere(scope, item, recorded) for item in elsewhere]
    for draft in drafts.values():
        if draft.address.kind == MACHINE and isinstance(draft.spec.get("nics"), dict):
            for network, card in _cards(scope, draft, recorded):
                own = by_network.setdefault(network, [])
                if card.mac is not None and owners.setdefault(card.mac, card.text) != card.text:
                    what = f"the MAC address {card.mac}"
                    problem = _taken(card.path("mac"), "PRV1402", what, owners[card.mac])
                    draft.problems.append(problem._replace(hint="Each may stand once in a stack."))
                    # Its address is looked at all the same, but it can have no reservation.
                    own.append(card._replace(mac=None))
                else:
                    own.append(card)
    for network, card in later:
        by_network.setdefault(network, []).append(card)
    for address, draft in drafts.items():
        if address.kind == NETWORK:
            _settle(draft, by_network.get(address, []))


def _cards(scope: str, draft: Draft, recorded: Recorded) -> Iterator[tuple[Address, _Card]]:
    nics: dict[str, Any] = draft.spec["nics"]
    for name, nic in nics.items():
        mac, address = nic.get("mac"), nic.get("address")
        if mac is None and address is not None:
            mac = _mac_of(scope, draft, name, recorded)
            nics[name] = {**nic, "mac": mac}
        if isinstance(mac, str):
            draft.problems += _impossible(mac, ("spec", "nics", name, "mac"))
        network = nic.get("network")
        if isinstance(network, str):
            yield (
                Address(NETWORK, network),
                _Card(
                    draft,
                    name,
                    mac if isinstance(mac, str) else None,
                    address if isinstance(address, str) else None,
                    draft.address,
                    ("spec", "nics", name),
                ),
            )


def _card_elsewhere(scope: str, found: Elsewhere, recorded: Recorded) -> tuple[Address, _Card]:
    """A card as a network will have it. Its MAC address has to be known by then, and so is fixed
    where the machine is now.
    """
    machine, name = found.machine, found.card
    nics: dict[str, Any] = machine.spec["nics"]
    mac = found.mac or nics[name].get("mac")
    if mac is None:
        mac = _mac_of(scope, machine, name, recorded)
        nics[name] = {**nics[name], "mac": mac}
    mac = mac if isinstance(mac, str) else None
    card = _Card(found.plan, name, mac, found.address, machine.address, found.path)
    return found.network, card


def _impossible(mac: str, path: tuple[str, ...]) -> Iterator[Problem]:
    """Why no network card can have the address (IEEE 802, section 8.2)."""
    if int(mac[:2], 16) & 1:
        yield Problem(
            path,
            "PRV1405",
            f"{mac} is a group address, which no network card can have",
            "The second hexadecimal digit of a card's address is even.",
        )
    elif mac == _NO_MAC:
        yield Problem(
            path,
            "PRV1405",
            f"{mac} stands for no address, and no network card can have it",
            "Choose another one, such as 52:54:00:12:34:56.",
        )


def _mac_of(scope: str, draft: Draft, card: str, recorded: Recorded) -> str:
    old = draft.treatment.renamed_from or draft.address.name
    for machine in (draft.address, Address(MACHINE, old)):
        macs = recorded(machine).get("mac")
        if isinstance(macs, Mapping) and isinstance(macs.get(card), str):
            return str(macs[card])
    return derived_mac(scope, old, card)


def _settle(network: Draft, cards: list[_Card]) -> None:
    dhcp = network.spec.get("dhcp")
    reservations: dict[str, Any] = dict((dhcp or {}).get("reservations", {}))
    owners_by_address: dict[str, str] = {}
    for mac, reservation in reservations.items():
        network.problems += _impossible(mac, ("spec", "dhcp", "reservations", mac))
        address = reservation.get("address")
        if not isinstance(address, str):
            continue
        owner = owners_by_address.setdefault(address, f"the reservation for {mac}")
        path = ("spec", "dhcp", "reservations", mac, "address")
        if owner != f"the reservation for {mac}":
            network.problems.append(_taken(path, "PRV1403", f"the address {address}", owner))
        network.problems += _outside(network, address, path)
    explicit = {mac: entry.get("address") for mac, entry in reservations.items()}
    for card in cards:
        if card.address is None or network.failed:
            continue
        found = list(_misplaced(network, card, owners_by_address, explicit))
        card.draft.problems += found
        if not found and card.mac is not None:
            reservations.setdefault(card.mac, {"address": card.address})
    if isinstance(dhcp, dict) and reservations:
        network.spec["dhcp"] = {**dhcp, "reservations": reservations}


def _misplaced(
    network: Draft, card: _Card, owners: dict[str, str], explicit: Mapping[str, Any]
) -> Iterator[Problem]:
    path, address = card.path("address"), card.address
    assert address is not None
    dhcp = network.spec.get("dhcp")
    if not isinstance(dhcp, dict) or dhcp.get("enabled") is False:
        yield Problem(
            path,
            "PRV1406",
            f"{network.address} has no DHCP service that could give the address {address}",
            "Add 'dhcp: {}' to the network, or remove the address.",
        )
        return
    reserved = explicit.get(card.mac) if card.mac is not None else None
    if reserved is not None and reserved != address:
        yield Problem(
            path,
            "PRV1403",
            f"{network.address} reserves {reserved} for this card, not {address}",
            "Write the address in one of the two places only.",
        )
        return
    own = f"the reservation for {card.mac}"
    owner = owners.setdefault(address, card.text)
    if owner not in {card.text, own}:
        yield _taken(path, "PRV1403", f"the address {address}", owner)
        return
    yield from _outside(network, address, path)


def _outside(network: Draft, address: str, path: tuple[str, ...]) -> Iterator[Problem]:
    """The address has to be one that a guest of the network can have."""
    cidr = network.spec.get("cidr")
    if not isinstance(cidr, str):
        return
    whole = _network(cidr)
    if whole.num_addresses == 1:
        return
    gateway = network.spec.get("gateway", str(whole[1]))
    role = network_role(whole, ipaddress.IPv4Address(address))
    if role is None and address == gateway:
        role = f"is the gateway of {network.address}, the host's own address"
    if role is not None:
        yield Problem(
            path, "PRV1404", f"the address {address} {role}", _free_addresses(whole, gateway)
        )


@lru_cache(64)
def _network(cidr: str) -> ipaddress.IPv4Network:
    """Parsed once, and not for each of a network's cards."""
    return ipaddress.IPv4Network(cidr)


def _free_addresses(whole: ipaddress.IPv4Network, gateway: object) -> str:
    first, last = host_addresses(whole)
    if gateway == str(first):
        first += 1
    elif gateway == str(last):
        last -= 1
    between = isinstance(gateway, str) and first < ipaddress.IPv4Address(gateway) < last
    but = f" other than the gateway, {gateway}" if between else ""
    return f"Choose one of {first} to {last}{but}." if first < last else f"Only {first} is left."


def _taken(path: tuple[str, ...], code: str, what: str, owner: str) -> Problem:
    return Problem(
        path, code, f"{what} belongs to {owner} already", "Each may be given once in a network."
    )
