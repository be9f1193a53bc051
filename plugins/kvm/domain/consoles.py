"""Serial and graphical console, and the guest agent's channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    element,
    remove_all,
)
from provisioner_plugins.kvm.domain.controllers import set_usb
from provisioner_plugins.kvm.domain.tree import at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

AGENT = "org.qemu.guest_agent.0"
LOOPBACK = "127.0.0.1"
NONE = "none"


def write(domain: Element, console: Mapping[str, Any], log: str | None) -> None:
    """Make the domain have these consoles.

    ``log`` is the file on the host to which a new serial console writes what the guest says.
    """
    _write_serial(domain, wanted=console.get("serial", True), log=log)
    _write_graphics(domain, console.get("graphics", NONE), console.get("listen", LOOPBACK))


def _write_serial(domain: Element, *, wanted: bool, log: str | None) -> None:
    if _has_serial(domain) == wanted:
        return
    devices = child(domain, "devices")
    if not wanted:
        remove_all(devices, "serial")
        remove_all(devices, "console")
        return
    serial = element("serial", {"type": "pty"}, element("target", {"port": 0}))
    if log is not None:
        # Not appended to: the log tells what the guest said since it was started.
        serial.append(element("log", {"file": log, "append": "off"}))
    devices.append(serial)


def _write_graphics(domain: Element, protocol: str, listen: str) -> None:
    devices = child(domain, "devices")
    present = read(domain)
    if (present["graphics"], present["listen"]) == (protocol, listen):
        return
    if present["graphics"] != protocol:
        for tag in ("graphics", "redirdev"):
            remove_all(devices, tag)
        for audio in devices.findall("audio"):
            if audio.get("type") == "spice":
                devices.remove(audio)
        if protocol == NONE:
            remove_all(devices, "video")
            return
        devices.append(element("graphics", {"type": protocol, "autoport": True}))
        _add_screen(domain)
    graphics = child(devices, "graphics")
    graphics.set("listen", listen)
    remove_all(graphics, "listen")
    graphics.append(element("listen", {"type": "address", "address": listen}))


def _add_screen(domain: Element) -> None:
    devices = child(domain, "devices")
    if devices.find("video") is None:
        devices.append(element("video", element("model", {"type": "vga"})))
    set_usb(domain, wanted=True)
    if not any(node.get("type") == "tablet" for node in devices.findall("input")):
        # Without a tablet the pointer of the viewer and that of the guest drift apart.
        devices.append(element("input", {"type": "tablet", "bus": "usb"}))


def read(domain: Element) -> dict[str, Any]:
    """The consoles of a definition."""
    console: dict[str, Any] = {
        "serial": _has_serial(domain),
        "graphics": NONE,
        "listen": LOOPBACK,
    }
    graphics = at(domain, "devices", "graphics")
    if graphics is not None:
        console["graphics"] = graphics.get("type", NONE)
        listen = attribute(graphics, "listen", "address") or graphics.get("listen")
        if listen is not None:
            console["listen"] = listen
    return console


def _has_serial(domain: Element) -> bool:
    if at(domain, "devices", "serial") is not None:
        return True
    return any(
        attribute(console, "target", "type") == "serial"
        for console in devices_of(domain, "console")
    )


def serial_log(domain: Element) -> str | None:
    """The file that the serial console's output goes to."""
    return attribute(domain, "devices/serial/log", "file")


def move_log(domain: Element, log: str | None) -> None:
    """Have a serial console that is logged write to another file; None: to none."""
    for tag in ("serial", "console"):
        for node in devices_of(domain, tag):
            if node.find("log") is None:
                continue
            if log is None:
                remove_all(node, "log")
            else:
                child(node, "log").set("file", log)


def write_agent(domain: Element, *, wanted: bool) -> None:
    """Make the domain have a channel to the guest agent, or none."""
    channel = _agent_channel(domain)
    if (channel is not None) == wanted:
        return
    devices = child(domain, "devices")
    if channel is not None:
        devices.remove(channel)
        return
    target = element("target", {"type": "virtio", "name": AGENT})
    devices.append(element("channel", {"type": "unix"}, target))


def has_agent(domain: Element) -> bool:
    """Whether the definition has a channel to the guest agent."""
    return _agent_channel(domain) is not None


def _agent_channel(domain: Element) -> Element | None:
    for channel in devices_of(domain, "channel"):
        if attribute(channel, "target", "name") == AGENT:
            return channel
    return None
