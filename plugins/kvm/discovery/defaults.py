"""What libvirt writes into every definition by itself: discovery takes it out before it looks for
what the common model lacks. docs/kvm-discovery.md has the same list for people.

Each rule takes out what would be there again if the machine were made anew from its manifest, or
what only lays out what is there. Nothing of it is changed on the host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from provisioner_plugins._libvirt.xml import Element, attribute, child, remove_all, text_of
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
            remove_all(domain, tag)


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
    if [node.get("dev") for node in boot] == ["hd"]:
        remove_all(system, "boot")
    if system.get("firmware") is not None:
        # The files are libvirt's choice for the kind of firmware.
        for tag in ("loader", "nvram"):
            for node in system.findall(tag):
                if node.get("stateless") != "yes" and node.get("type") != "network":
                    system.remove(node)


def _security(domain: Element) -> None:
    for label in domain.findall("seclabel"):
        if label.get("type") == "dynamic" and not set(label.attrib) - {"type", "model", "relabel"}:
            texts = {node.tag for node in label}
            if texts <= {"label", "imagelabel"}:
                domain.remove(label)
    resource = domain.find("resource")
    if resource is not None and text_of(resource, "partition") == "/machine":
        remove_all(resource, "partition")
        if not len(resource):
            domain.remove(resource)


def _controllers(domain: Element) -> None:
    devices = child(domain, "devices")
    has_usb = any(
        device.get("bus") == "usb"
        or (device.tag == "hostdev" and device.get("type") == "usb")
        or (device.tag in ("redirdev", "hub"))
        or attribute(device, "target", "bus") == "usb"
        or attribute(device, "address", "type") == "usb"
        for device in devices
        if (device.tag, device.get("type")) != ("input", "tablet")
    )
    buses = [node for node in devices.findall("controller") if node.get("type") == "pci"]
    if all(map(_is_plain_bus, buses)):
        for node in buses:
            devices.remove(node)
    for node in devices.findall("controller"):
        kind, model = node.get("type"), node.get("model")
        options = {below.tag for below in node} - {"alias", "address"}
        extra = node.attrib.keys() - {"type", "index", "model"}
        if kind == "usb":
            if not has_usb and not extra and options <= {"master"}:
                devices.remove(node)
        elif kind == "scsi" and model == "virtio-scsi":
            is_used = any(
                attribute(disk, "target", "bus") == "scsi" for disk in devices_of(domain, "disk")
            )
            if is_used and node.get("index") == "0" and not extra and not options:
                devices.remove(node)
        elif kind in _PLAIN_CONTROLLERS and not extra and not options:
            devices.remove(node)


def _is_plain_bus(controller: Element) -> bool:
    """Whether it is a PCI controller that libvirt makes by itself where devices need places."""
    target = controller.find("target")
    is_plain_target = target is None or (
        not len(target) and target.attrib.keys() <= {"chassis", "port", "chassisNr"}
    )
    return (
        controller.get("model") in _PLAIN_PCI
        and is_plain_target
        and controller.attrib.keys() <= {"type", "index", "model"}
        and {below.tag for below in controller} <= {"model", "target", "address", "alias"}
    )


def _inputs(domain: Element) -> None:
    devices = child(domain, "devices")
    has_screen = devices.find("graphics") is not None
    for node in devices.findall("input"):
        drop_layout(node)
        kind = (node.get("type"), node.get("bus"))
        usual = {("mouse", "ps2"), ("keyboard", "ps2")}
        if has_screen:
            usual.add(("tablet", "usb"))
        if kind in usual and not {below.tag for below in node} - {"alias"}:
            devices.remove(node)


def _others(domain: Element) -> None:
    devices = child(domain, "devices")
    for node in devices.findall("memballoon"):
        drop_layout(node)
        if node.attrib == {"model": "virtio"} and not len(node):
            devices.remove(node)
    for node in devices.findall("audio"):
        if node.get("type") in ("none", "spice") and not len(node):
            devices.remove(node)
    for node in devices.findall("serial")[:1]:
        if _is_plain_port(node):
            devices.remove(node)
    for node in devices.findall("console"):
        # libvirt tells the first serial port a second time.
        if attribute(node, "target", "type") == "serial":
            devices.remove(node)
    if devices.find("graphics") is not None:
        screens = devices.findall("video")
        if len(screens) == 1 and _is_plain_screen(screens[0]):
            devices.remove(screens[0])


def _is_plain_port(serial: Element) -> bool:
    """Whether it is what a machine with a serial console gets."""
    target = serial.find("target")
    return (
        serial.attrib == {"type": "pty"}
        and {below.tag for below in serial} <= {"target", "address", "alias"}
        and target is not None
        and target.get("port") == "0"
    )


def _is_plain_screen(video: Element) -> bool:
    """Whether it is what a machine with a graphical console gets."""
    model = video.find("model")
    usual = {"type": "vga", "vram": "16384", "heads": "1", "primary": "yes"}
    return (
        model is not None
        and not len(model)
        and all(usual.get(name) == value for name, value in model.attrib.items())
        and {below.tag for below in video} <= {"model", "address", "alias"}
    )


_RULES: tuple[Callable[[Element], None], ...] = (
    _root,
    _events,
    _clock,
    _processor,
    _firmware,
    _security,
    _controllers,
    _inputs,
    _others,
)
