"""Canonical forms of single values: sizes, durations, MAC and IP addresses, IP networks.

Each function takes the author's text and gives the one form in which the engine compares it;
ValueError says what is wrong with it.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from functools import lru_cache

from provisioner.core.units import format_duration, format_size, parse_duration, parse_size

_MAC = re.compile(r"(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}")
_CACHE = 4096
"""Values that are remembered: manifests repeat their sizes and networks."""

Form = Callable[[str], int | str]


def mac(text: str) -> str:
    """``52:54:00:12:34:56``: lower case, colons (the common form of IEEE 802 addresses)."""
    lower = text.lower()
    if _MAC.fullmatch(lower) is None:
        raise ValueError(f"{text!r} is not a MAC address: expected one such as 52:54:00:12:34:56")
    return lower.replace("-", ":")


@lru_cache(_CACHE)
def ip(text: str) -> str:
    """An IPv4 or IPv6 address as :mod:`ipaddress` writes it (IPv6: RFC 5952)."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        example = "fd00:20::10" if ":" in text else "10.20.0.10"
        raise ValueError(f"{text!r} is not an IP address: expected one such as {example}") from None


@lru_cache(_CACHE)
def cidr(text: str) -> str:
    """An IP network as :mod:`ipaddress` writes it; the address has to be that of the network."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        network = None
    if network is None or "/" not in text:
        example = "fd00:20::/64" if ":" in text else "10.20.0.0/24"
        raise ValueError(f"{text!r} is not an IP network: expected one such as {example}")
    address, _, _ = text.partition("/")
    if ipaddress.ip_address(address) != network.network_address:
        raise ValueError(
            f"{text!r} is an address within a network: the network itself is {network}"
        )
    return str(network)


@lru_cache(_CACHE)
def interface(text: str) -> str:
    """An address of a host with the network bits of its network, as :mod:`ipaddress` writes it."""
    try:
        found = ipaddress.ip_interface(text)
    except ValueError:
        found = None
    if found is None or "/" not in text:
        raise ValueError(
            f"{text!r} is no address with network bits: expected one such as 10.20.0.11/24"
        )
    return str(found)


UNITS: dict[str, tuple[Form, Callable[[int], str]]] = {
    "bytes": (lru_cache(_CACHE)(parse_size), format_size),
    "milliseconds": (lru_cache(_CACHE)(parse_duration), format_duration),
}
"""By ``x-unit``: how a text becomes a number and how it is written back."""

FORMS: dict[str, Form] = {"mac": mac, "ip": ip, "cidr": cidr, "interface": interface}
"""By ``x-format``."""
