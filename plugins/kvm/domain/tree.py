"""Finding elements step by step. A path such as ``devices/disk`` makes ElementTree interpret it in
Python at every look, which is most of the time that reading hundreds of definitions takes.
"""

from __future__ import annotations

from provisioner_plugins._libvirt.xml import Element


def devices(domain: Element, tag: str) -> list[Element]:
    """The devices of a kind, in order."""
    where = domain.find("devices")
    return [] if where is None else where.findall(tag)


def all_devices(domain: Element) -> list[Element]:
    """Every device, in order."""
    where = domain.find("devices")
    return [] if where is None else list(where)


def at(domain: Element, *tags: str) -> Element | None:
    """The first element that a row of tags leads to."""
    node: Element | None = domain
    for tag in tags:
        if node is None:
            return None
        node = node.find(tag)
    return node
