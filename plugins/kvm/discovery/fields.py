"""The fields of the common model that say what a domain is. What has the default of the schema may
stand there, too; what a field cannot say is left out, and is for fragments.
"""

from __future__ import annotations

import re
from typing import Any

from provisioner_plugins._libvirt.beyond import stripped
from provisioner_plugins._libvirt.xml import Element, serialize, text_of
from provisioner_plugins.kvm.discovery import defaults
from provisioner_plugins.kvm.discovery.devices import Devices
from provisioner_plugins.kvm.domain import (
    cdroms,
    consoles,
    disks,
    firmware,
    memory,
    nics,
    processor,
)
from provisioner_plugins.kvm.domain.tree import at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

_SCREENS = frozenset({"vnc", "spice"})
_CACHES = frozenset({"none", "writeback", "writethrough", "directsync", "unsafe"})
_SERIAL = re.compile(r"[A-Za-z0-9_.+-]{1,36}")
_BOARD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
_WITHOUT_PCI = frozenset({"microvm", "isapc", "none"})
_LONGEST_DESCRIPTION = 4096
_MOST_VCPUS = 4096
_LAST_PLACE = 100
_DEFAULT_CPU = "qemu64"
"""What QEMU has where no model is named; libvirt writes it down."""


def common_fields(domain: Element, found: Devices) -> dict[str, Any]:
    """The fields, without autostart, labels and tenant."""
    spec: dict[str, Any] = {}
    description = text_of(domain, "description")
    if description is not None and len(description) <= _LONGEST_DESCRIPTION:
        spec["description"] = description
    sections = {
        "cpu": _cpu(domain),
        "memory": memory.read(domain),
        **_system(domain),
        "disks": {name: _disk(node) for name, node in found.disks.items()},
        "cdroms": _drives(domain, found),
        "nics": {
            name: _with_place(nics.read_one(node, found.bindings, {}))
            for name, node in found.nics.items()
        },
        "console": _console(domain),
    }
    spec |= {name: section for name, section in sections.items() if section}
    return {**spec, "guestAgent": consoles.has_agent(domain)}


def _cpu(domain: Element) -> dict[str, Any]:
    found = processor.read(domain, {})
    if found["max"] > _MOST_VCPUS:
        return {}
    cpu: dict[str, Any] = {"count": found["count"], "max": found["max"]}
    topology = at(domain, "cpu", "topology")
    if topology is not None and not _has_more_levels(topology):
        cpu["topology"] = found["topology"]
    if _BOARD.fullmatch(found.get("model", "")) and not is_default_model(domain.find("cpu")):
        cpu["model"] = found["model"]
    if "nested" in found and "model" in cpu:
        cpu["nested"] = found["nested"]
    return cpu


def _system(domain: Element) -> dict[str, Any]:
    """``machineType``, ``firmware`` and ``boot``."""
    found = firmware.read(domain, {})
    spec: dict[str, Any] = {}
    board = found["machineType"]
    if board not in _WITHOUT_PCI and _BOARD.fullmatch(board):
        spec["machineType"] = board
    system = domain.find("os")
    kind = found["firmware"]["type"]
    said: dict[str, Any] = {}
    is_chosen = system is not None and (system.get("firmware") or system.find("loader") is None)
    if is_chosen and (board, kind) != ("pc", "uefi-secure"):
        said["type"] = kind
    if found["firmware"]["tpm"] and _is_plain_tpm(domain, kind):
        said["tpm"] = True
    if said and said != {"type": "bios"}:
        spec["firmware"] = said
    boot = found.get("boot", {})
    paths = [boot[tag] for tag in ("kernel", "initrd") if tag in boot]
    if "kernel" in boot and all(path.startswith("/") for path in paths):
        spec["boot"] = boot
    return spec


def _is_plain_tpm(domain: Element, kind: str) -> bool:
    modules = devices_of(domain, "tpm")
    if len(modules) != 1:
        return False
    found = stripped(modules[0])
    defaults.drop_layout(found)
    return serialize(found) == serialize(firmware.tpm(kind))


def _disk(node: Element) -> dict[str, Any]:
    disk = disks.read_one(node)
    if disk.get("cache") not in _CACHES:
        disk.pop("cache", None)
    if not _SERIAL.fullmatch(disk.get("serial", "")):
        disk.pop("serial", None)
    return _with_place(disk)


def _drives(domain: Element, found: Devices) -> dict[str, dict[str, Any]]:
    drives = cdroms.read(domain, found.bindings, found.whole)
    return {name: _with_place(drives[name]) for name in found.cdroms}


def _console(domain: Element) -> dict[str, Any]:
    found = consoles.read(domain)
    console: dict[str, Any] = {"serial": found["serial"]}
    screens = devices_of(domain, "graphics")
    if not screens:
        console["graphics"] = "none"
    elif screens[0].get("type") in _SCREENS and _listens_on_address(screens[0]):
        console["graphics"] = found["graphics"]
        console["listen"] = found["listen"]
    return console


def _has_more_levels(topology: Element) -> bool:
    return any(
        int(value) != 1
        for name, value in topology.attrib.items()
        if name not in ("sockets", "cores", "threads") and value.isdecimal()
    )


def is_default_model(cpu: Element | None) -> bool:
    """Whether it is the processor that libvirt writes down where none is named."""
    return (
        cpu is not None
        and cpu.get("mode") == "custom"
        and text_of(cpu, "model") == _DEFAULT_CPU
        and cpu.get("check", "none") == "none"
        and cpu.find("feature") is None
    )


def _with_place(device: dict[str, Any]) -> dict[str, Any]:
    if not 1 <= device.get("bootOrder", 1) <= _LAST_PLACE:
        del device["bootOrder"]
    return device


def _listens_on_address(graphics: Element) -> bool:
    listens = graphics.findall("listen")
    return graphics.get("socket") is None and (
        len(listens) == 1
        and listens[0].get("type", "address") == "address"
        and re.fullmatch(r"[0-9A-Fa-f:.]+", listens[0].get("address", "127.0.0.1")) is not None
    )
