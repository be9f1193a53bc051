"""In what order the firmware tries devices: ``<boot order='...'/>`` of disks, drives and cards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, child, element, remove_all

SETS = ("disks", "cdroms", "nics")


def order(spec: Mapping[str, Any], from_image: Collection[str]) -> dict[tuple[str, str], int]:
    """The place of each device, by set and name.

    If the author gave an order, it is that one, and nothing else is tried. Otherwise all disks are
    tried, those that started from an image (``from_image``) first, and then all drives: firmware
    passes over what cannot be booted.
    """
    given = {
        (kind, name): device["bootOrder"]
        for kind in SETS
        for name, device in spec.get(kind, {}).items()
        if "bootOrder" in device
    }
    if given:
        return given
    disks = sorted(spec.get("disks", {}), key=lambda name: (name not in from_image, name))
    devices = [("disks", name) for name in disks]
    devices += [("cdroms", name) for name in sorted(spec.get("cdroms", {}))]
    return {device: place for place, device in enumerate(devices, 1)}


def is_given(spec: Mapping[str, Any]) -> bool:
    """Whether the author gave an order."""
    return any("bootOrder" in device for kind in SETS for device in spec.get(kind, {}).values())


def write(
    domain: Element,
    places: Mapping[tuple[str, str], int],
    devices: Mapping[tuple[str, str], Element],
) -> None:
    """Put each of the ``devices`` in its place; those without one are not tried."""
    for key, node in devices.items():
        remove_all(node, "boot")
        if key in places:
            node.append(element("boot", {"order": places[key]}))
    if places:
        # libvirt takes an order by device or one by class of device, not both.
        remove_all(child(domain, "os"), "boot")
