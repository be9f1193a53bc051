"""Memory: ``<memory>`` (the most there can be) and ``<currentMemory>`` (the balloon's target)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, child

_UNITS = {
    "b": 1,
    "bytes": 1,
    "KB": 1000,
    "k": 1024,
    "KiB": 1024,
    "MB": 1000**2,
    "M": 1024**2,
    "MiB": 1024**2,
    "GB": 1000**3,
    "G": 1024**3,
    "GiB": 1024**3,
    "TB": 1000**4,
    "T": 1024**4,
    "TiB": 1024**4,
}


def write(domain: Element, memory: Mapping[str, Any], authored: Mapping[str, Any]) -> None:
    """Make the domain have this memory; sizes are bytes. ``max`` left out by the author is
    ``size``.
    """
    size = memory["size"]
    most = max(size, memory.get("max", size)) if "max" in authored else size
    for tag, value in (("memory", most), ("currentMemory", size)):
        node = child(domain, tag)
        node.attrib.clear()
        node.set("unit", "KiB")
        node.text = str(value // 1024)


def read(domain: Element) -> dict[str, int]:
    """The memory of a definition, bytes."""
    most = _bytes(domain.find("memory"))
    current = domain.find("currentMemory")
    return {"size": _bytes(current) if current is not None else most, "max": most}


def _bytes(node: Element | None) -> int:
    if node is None:
        return 0
    return bytes_in(node.text or "0", node.get("unit"))


def bytes_in(number: str, unit: str | None) -> int:
    """A size in one of libvirt's units, in bytes; without a unit it is KiB."""
    return int(number) * _UNITS[unit or "KiB"]
