"""Addresses: the stable name of a resource inside one stack.

An address is written ``Kind/name`` (``VirtualMachine/web01``). Every layer speaks addresses; this
module therefore imports nothing but the standard library.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import NamedTuple

NAME_PATTERN = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")
"""What ``metadata.name`` may be: a DNS label or several joined by dots, at most 63 characters."""

KIND_PATTERN = re.compile(r"[A-Z][A-Za-z0-9]{0,62}")


class Address(NamedTuple):
    """``Kind/name``; unique in a stack, sorts by kind and then by name."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @classmethod
    def of(cls, text: str) -> Address:
        """The address that this program wrote as ``text``; nothing is checked."""
        kind, _, name = text.partition("/")
        return cls(kind, name)

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``Kind/name``; raises ValueError if ``text`` is anything else."""
        kind, slash, name = text.partition("/")
        if not slash or not KIND_PATTERN.fullmatch(kind) or not NAME_PATTERN.fullmatch(name):
            raise ValueError(f"{text!r} is not an address: expected Kind/name")
        return cls(kind, name)


def near(kind: str, name: str, known: Iterable[Address]) -> list[str]:
    """The known addresses that ``kind/name`` may have been meant to be; among those of the kind,
    names alone are compared, since equal kinds make any two addresses alike.
    """
    addresses = sorted(set(known))
    names = [address.name for address in addresses if address.kind == kind]
    if names:
        return [f"{kind}/{found}" for found in get_close_matches(name, names, n=1)]
    # A name alone is read as a kind.
    meant = [str(address) for address in addresses if address.name == kind]
    return meant or get_close_matches(f"{kind}/{name}", [str(item) for item in addresses], n=1)


@dataclass(frozen=True, slots=True)
class AddressPattern:
    """A glob over addresses, as ``--target`` and ``--exclude`` take it.

    ``VirtualMachine/web*`` matches by kind and name, ``VirtualMachine`` is short for
    ``VirtualMachine/*``, and ``*/web01`` matches in every kind.
    """

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"

    @classmethod
    def parse(cls, text: str) -> AddressPattern:
        """Read a pattern; raises ValueError if a part of it is empty."""
        kind, slash, name = text.partition("/")
        if not kind or (slash and not name):
            raise ValueError(
                f"{text!r} is not an address pattern: expected Kind/name, with * as wildcard"
            )
        return cls(kind, name if slash else "*")

    def matches(self, address: Address) -> bool:
        """Whether the address is meant by this pattern."""
        return fnmatchcase(address.kind, self.kind) and fnmatchcase(address.name, self.name)
