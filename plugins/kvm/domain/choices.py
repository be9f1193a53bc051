"""What a new domain gets because something has to be chosen, and no field says it. Fragments may
say otherwise, and discovery carries what says otherwise.

Called by the rules of machines and by their discovery.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import Element, child, remove_all
from provisioner_plugins.kvm.domain import boot_order, document, native
from provisioner_plugins.kvm.domain.tree import all_devices, devices


def asked_for(
    name: str, uuid: UUID, spec: Mapping[str, Any], around: document.Surroundings
) -> Element:
    """The domain that the common fields of a spec make, reduced to what they say.

    Fragments count only as far as their disks take device names.
    """
    taking = native.of_whole_devices(document.fragments(spec))
    hardware = {**spec, "native": {PROVIDER: {native.SECTION: taking}}}
    domain = document.build(name, uuid, hardware, around)
    where = child(domain, "devices")
    for node in native.foreign_devices(domain):
        where.remove(node)
    remove_all(domain, "metadata")
    for tag in ("controller", "memballoon", "input", "video"):
        remove_all(where, tag)
    _leave_open(domain)
    if not boot_order.is_given(spec):
        for device in all_devices(domain):
            remove_all(device, "boot")
    return domain


def _leave_open(domain: Element) -> None:
    child(domain, "os/type").attrib.pop("arch", None)
    processor = domain.find("cpu")
    if processor is not None:
        processor.attrib.pop("match", None)
        model = processor.find("model")
        if model is not None:
            model.attrib.pop("fallback", None)
    for graphics in devices(domain, "graphics"):
        graphics.attrib.pop("autoport", None)
    for disk in devices(domain, "disk"):
        child(disk, "driver").attrib.pop("discard", None)
