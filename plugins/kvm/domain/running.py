"""A running machine's definition as one that can be written: for going back to what ran, and for a
machine that lost its definition. Pure.

Called by the update of a machine and by :mod:`~provisioner_plugins.kvm.machine.domain_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, copied, remove_all
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import document, firmware

_LIBVIRTS_CHOICE = {
    "os": frozenset({"firmware", "machineType", "boot"}),
    "cpu": frozenset({"cpu"}),
}
"""Elements in which a running machine has what libvirt chose for it, by the fields they hold."""


def as_definition(live: Element) -> Element:
    """What runs (live, as libvirt gives it), without what is true of this run only."""
    result = copied(live)
    result.attrib.pop("id", None)
    for disk in result.findall("devices/disk"):
        # Read from the images at each start.
        remove_all(disk, "backingStore")
        for source in disk.findall("source"):
            source.attrib.pop("index", None)
    firmware.leave_to_libvirt(result)
    return result


def as_it_ran(
    live: Element, configured: Element, bindings: Bindings, wanted: Mapping[str, Any]
) -> Element:
    """What runs, in the words of the configured definition where both say the same: the host's own
    processor stays one, and does not become the model that it is today.
    """
    differing = document.running_differences(configured, live, bindings, wanted)
    fields = {path[0] for path in differing}
    if not fields:
        return copied(configured)
    result = as_definition(live)
    for tag, concerned in _LIBVIRTS_CHOICE.items():
        if concerned & fields:
            continue
        remove_all(result, tag)
        found = configured.find(tag)
        if found is not None:
            result.append(copied(found))
    return result
