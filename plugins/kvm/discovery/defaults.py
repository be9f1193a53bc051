"""What libvirt writes into every definition by itself: discovery takes it out before it looks for
what the common model lacks. docs/kvm-discovery.md has the same list for people.

Each rule takes out what would be there again if the machine were made anew from its manifest, or
what only lays out what is there. Nothing of it is changed on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from provisioner_plugins._libvirt.beyond import drop_said
from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    copied,
    remove_all,
    text_of,
)
from provisioner_plugins.kvm.domain import firmware
from provisioner_plugins.kvm.domain.tree import at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

_LAYOUT = frozenset(
    {"pci", "drive", "usb", "virtio-serial", "ccid", "isa", "ccw", "spapr-vio", "virtio-mmio"}
)
"""Kinds of addresses that libvirt gives to devices."""
_PLAIN_PCI = frozenset(
    {
        "pci-root",
        "pcie-root",
        "pcie-root-port",
        "pcie-to-pci-bridge",
        "pci-bridge",
        "dmi-to-pci-bridge",
    }
)
_CONTROLLER = ("type", "index", "model")
_PLAIN_CONTROLLERS = frozenset({"virtio-serial", "sata", "ide", "fdc", "ccid", "xenbus"})
_EVENTS = {"on_poweroff": "destroy", "on_reboot": "restart", "on_crash": "destroy"}


def drop(domain: Element, *, arch: str, emulators: Iterable[str]) -> None:
    """Take out what libvirt has added. ``arch`` is the host's, ``emulators`` are the paths of the
    programs that its daemon runs.
    """
    for rule in _RULES:
        rule(domain)
    system = at(domain, "os", "type")
    if system is not None and system.get("arch") == arch:
        del system.attrib["arch"]
    devices = child(domain, "devices")
    if text_of(devices, "emulator") in set(emulators):
        remove_all(devices, "emulator")
    for device in devices:
        # Where a PCI controller is makes the layout; those that libvirt makes are gone by now.
        if (device.tag, device.get("type")) != ("controller", "pci"):
            drop_layout(device)


def drop_layout(device: Element) -> None:
    """Take the address out of a device: it is where libvirt put it."""
    for address in device.findall("address"):
        if address.get("type") in _LAYOUT:
            device.remove(address)


def _root(domain: Element) -> None:
    for name in ("type", "id"):
        domain.attrib.pop(name, None)
    for tag in ("name", "uuid", "metadata"):
        remove_all(domain, tag)


def _events(domain: Element) -> None:
    for tag, usual in _EVENTS.items():
        if text_of(domain, tag) == usual:
            drop_said(domain, tag, text=True)


def _clock(domain: Element) -> None:
    clock = domain.find("clock")
    if clock is not None and clock.attrib == {"offset": "utc"} and not len(clock):
        domain.remove(clock)


def _processor(domain: Element) -> None:
    vcpu = domain.find("vcpu")
    if vcpu is not None and vcpu.get("placement") == "static":
        del vcpu.attrib["placement"]
    node = domain.find("cpu")
    if node is None:
        return
    mode = node.get("mode")
    usual = {"host-passthrough": "none", "host-model": "partial", "maximum": "none"}
    if node.get("check") == usual.get(mode or ""):
        node.attrib.pop("check", None)
    if mode in ("host-passthrough", "maximum") and node.get("migratable") == "on":
        del node.attrib["migratable"]
    if mode == "custom":
        # "match" and "fallback" are what "model" implies; "check" follows them.
        if node.get("match") == "exact":
            del node.attrib["match"]
        if node.get("check") in ("none", "partial", "full"):
            node.attrib.pop("check", None)
    model = node.find("model")
    if model is not None and model.get("fallback") == "forbid":
        del model.attrib["fallback"]
    topology = node.find("topology")
    for name in ("dies", "clusters") if topology is not None else ():
        if topology is not None and topology.get(name) == "1":
            del topology.attrib[name]


def _firmware(domain: Element) -> None:
    system = domain.find("os")
    if system is None:
        return
    boot = system.findall("boot")
    if [(node.attrib, len(node)) for node in boot] == [({"dev": "hd"}, 0)]:
        remove_all(system, "boot")
    if system.get("firmware") is not None:
        # The files are libvirt's choice for the kind of firmware, unless somebody chose the one
        # with the variables.
        is_chosen = firmware.names_variables(domain)
        for node in system.findall("nvram"):
            node.attrib.pop("template", None)
            if not is_chosen and node.get("type") != "network":
                system.remove(node)
        for node in system.findall("loader"):
            if node.get("stateless") != "yes":
                system.remove(node)


def _security(domain: Element) -> None:
    for label in domain.findall("seclabel"):
        # The labels themselves are of one run.
        rest = copied(label)
        for tag in ("label", "imagelabel"):
            remove_all(rest, tag)
        if label.get("type") == "dynamic" and _says_only(rest, ("type", "model", "relabel")):
            domain.remove(label)
    for resource in domain.findall("resource"):
        if text_of(resource, "partition") == "/machine":
            drop_said(resource, "partition", text=True)
    drop_said(domain, "resource")


def _controllers(domain: Element) -> None:
    devices = child(domain, "devices")
    buses = [node for node in devices.findall("controller") if node.get("type") == "pci"]
    if all(map(_is_plain_bus, buses)):
        for node in buses:
            devices.remove(node)
    has_usb = any(map(_needs_usb, devices))
    has_scsi = any(
        attribute(disk, "target", "bus") == "scsi" and disk.get("device") != "lun"
        for disk in devices_of(domain, "disk")
    )
    for node in devices.findall("controller"):
        kind = node.get("type")
        if kind == "usb":
            is_usual = not has_usb and _says_only(node, _CONTROLLER, {"master": ("startport",)})
        elif kind == "scsi":
            is_first = (node.get("model"), node.get("index")) == ("virtio-scsi", "0")
            is_usual = has_scsi and is_first and _says_only(node, _CONTROLLER)
        else:
            is_usual = kind in _PLAIN_CONTROLLERS and _says_only(node, _CONTROLLER)
        if is_usual:
            devices.remove(node)


def _needs_usb(device: Element) -> bool:
    """Whether a device other than the tablet of a graphical console is plugged into USB."""
    if (device.tag, device.get("type")) == ("input", "tablet"):
        return False
    return (
        "usb" in (device.get("bus"), attribute(device, "target", "bus"))
        or attribute(device, "address", "type") == "usb"
        or (device.tag, device.get("type")) == ("hostdev", "usb")
        or device.tag in ("redirdev", "hub")
    )


def _says_only(
    node: Element,
    attributes: Collection[str],
    children: Mapping[str, Collection[str]] | None = None,
) -> bool:
    """Whether an element says nothing but these attributes, and those of these children, beside
    what lays it out.
    """
    known = {"alias": ("name",), **(children or {})}
    return (
        node.attrib.keys() <= set(attributes)
        and not (node.text or "").strip()
        and all(
            (below.tag == "address" and below.get("type") in _LAYOUT)
            or (
                below.tag in known
                and not len(below)
                and below.attrib.keys() <= set(known[below.tag])
            )
            for below in node
        )
    )


def _is_plain_bus(controller: Element) -> bool:
    """Whether it is a PCI controller that libvirt makes by itself where devices need places."""
    children = {"model": ("name",), "target": ("chassis", "port", "chassisNr")}
    return controller.get("model") in _PLAIN_PCI and _says_only(controller, _CONTROLLER, children)


def _inputs(domain: Element) -> None:
    devices = child(domain, "devices")
    usual = {("mouse", "ps2"), ("keyboard", "ps2")}
    if devices.find("graphics") is not None:
        usual.add(("tablet", "usb"))
    for node in devices.findall("input"):
        if (node.get("type"), node.get("bus")) in usual and _says_only(node, ("type", "bus")):
            devices.remove(node)


def _others(domain: Element) -> None:
    devices = child(domain, "devices")
    for node in devices.findall("memballoon"):
        if node.get("model") == "virtio" and _says_only(node, ("model",)):
            devices.remove(node)
    for node in devices.findall("audio"):
        if node.get("type") in ("none", "spice") and _says_only(node, ("id", "type")):
            devices.remove(node)
    for node in devices.findall("serial")[:1]:
        if _is_plain_port(node):
            devices.remove(node)
    for node in devices.findall("console"):
        # libvirt tells the first serial port a second time.
        if attribute(node, "target", "type") == "serial":
            devices.remove(node)
    screens = devices.findall("video")
    if devices.find("graphics") is not None and len(screens) == 1 and _is_plain_screen(screens[0]):
        devices.remove(screens[0])


def _is_plain_port(serial: Element) -> bool:
    """Whether it is what a machine with a serial console gets."""
    target = serial.find("target")
    if target is None or target.get("port") != "0" or serial.get("type") != "pty":
        return False
    rest = copied(serial)
    remove_all(rest, "target")
    return _says_only(rest, ("type",)) and _says_only(
        target, ("type", "port"), {"model": ("name",)}
    )


def _is_plain_screen(video: Element) -> bool:
    """Whether it is what a machine with a graphical console gets."""
    model = video.find("model")
    usual = {"type": "vga", "vram": "16384", "heads": "1", "primary": "yes"}
    return (
        model is not None
        and _says_only(video, (), {"model": tuple(usual)})
        and all(usual[name] == value for name, value in model.attrib.items())
    )


_RULES: tuple[Callable[[Element], None], ...] = (
    _events,
    _clock,
    _processor,
    _firmware,
    _security,
    _controllers,
    _inputs,
    _others,
    _root,
)
