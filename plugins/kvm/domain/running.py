"""A running machine's definition as one that can be written: for going back to what ran, and for a
machine that has no definition. Pure.

Called by the update and the observation of a machine, and by
:mod:`~provisioner_plugins.kvm.machine.domain_calls`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, copied, remove_all, text_of
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import document, firmware

_LIBVIRTS_CHOICE = {
    "os": frozenset({"firmware", "machineType", "boot"}),
    "cpu": frozenset({"cpu"}),
}
"""Elements in which a running machine has what libvirt chose for it, by the fields they hold."""


_PORTS = frozenset({"serial", "console", "parallel"})
_MADE_CARDS = ("vnet", "macvtap", "macvlan")
"""How libvirt begins the names of the devices that it makes for cards."""
_DEFAULT_CPU = "qemu64"
_USUAL_FEATURES = frozenset({"hypervisor", "lahf_lm", "svm", "x2apic"})
"""What QEMU adds to the default processor, or takes from it, when it starts."""


def as_definition(live: Element) -> Element:
    """What runs (live, as libvirt gives it), without what is true of this run only."""
    result = copied(live)
    result.attrib.pop("id", None)
    for device in result.findall("devices/*"):
        _forget_run(device)
    for label in result.findall("seclabel"):
        if label.get("type") == "dynamic":
            for tag in ("label", "imagelabel"):
                remove_all(label, tag)
    _forget_default_processor(result)
    firmware.leave_to_libvirt(result)
    return result


def _forget_run(device: Element) -> None:
    alias = device.find("alias")
    if alias is not None and not alias.get("name", "").startswith("ua-"):
        device.remove(alias)
    source, target = device.find("source"), device.find("target")
    if device.tag == "disk":
        # Read from the images at each start.
        remove_all(device, "backingStore")
        if source is not None:
            source.attrib.pop("index", None)
    elif device.tag == "interface":
        if target is not None and target.get("dev", "").startswith(_MADE_CARDS):
            device.remove(target)
        if source is not None and source.get("network") is not None:
            for name in ("portid", "bridge"):
                source.attrib.pop(name, None)
    elif device.tag in _PORTS and device.get("type") == "pty":
        device.attrib.pop("tty", None)
        remove_all(device, "source")
    elif device.tag == "channel" and target is not None:
        target.attrib.pop("state", None)
        if source is not None and "/qemu/channel/" in source.get("path", ""):
            device.remove(source)
    elif device.tag == "graphics" and device.get("autoport") == "yes":
        device.set("port", "-1")


def _forget_default_processor(domain: Element) -> None:
    """Where no processor was named, a running machine has the default one in full."""
    cpu = domain.find("cpu")
    if cpu is None or text_of(cpu, "model") != _DEFAULT_CPU or cpu.get("check") != "full":
        return
    if {feature.get("name") for feature in cpu.findall("feature")} <= _USUAL_FEATURES:
        for tag in ("model", "feature"):
            remove_all(cpu, tag)
        cpu.attrib.clear()
        if not len(cpu):
            domain.remove(cpu)


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
