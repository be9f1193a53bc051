"""What starts the machine: board, firmware, TPM, direct kernel boot (``<os>`` and ``<tpm>``).

The default board is q35: it has PCI Express, which Secure Boot and hotplug behind spare ports
need. Only IDE devices, which it does not have, make ``pc`` the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import (
    Element,
    attribute,
    child,
    copied,
    element,
    register_namespace,
    remove_all,
    text_of,
)
from provisioner_plugins.kvm.domain.controllers import forget_addresses
from provisioner_plugins.kvm.domain.tree import at

_FAMILIES = (
    (re.compile(r"pc-q35-.*"), "q35"),
    (re.compile(r"pc-i440fx-.*"), "pc"),
    (re.compile(r"virt-\d.*"), "virt"),
)
_KERNEL = ("kernel", "initrd", "cmdline")
NAMESPACE = "urn:provisioner:left:1"
_LEFT = f"{{{NAMESPACE}}}left"

register_namespace("provisioner-left", NAMESPACE)


def family(machine: str) -> str:
    """The name without version of a machine type: ``pc-q35-7.2`` is ``q35``."""
    for pattern, name in _FAMILIES:
        if pattern.fullmatch(machine):
            return name
    return machine


def default_machine(spec: Mapping[str, Any], arch: str = "x86_64") -> str:
    """The machine type of a new machine whose author named none."""
    if arch != "x86_64":
        return "virt"
    devices = [*spec.get("disks", {}).values(), *spec.get("cdroms", {}).values()]
    return "pc" if any(device.get("bus") == "ide" for device in devices) else "q35"


def write(domain: Element, spec: Mapping[str, Any]) -> None:
    """Make the domain start as ``machineType``, ``firmware`` and ``boot`` of ``spec`` say."""
    _write_machine(domain, spec.get("machineType"))
    firmware = spec.get("firmware", {})
    kind = firmware.get("type", "bios")
    if _firmware_type(domain) != kind:
        _write_firmware(domain, kind)
    _write_tpm(domain, wanted=firmware.get("tpm", False), kind=kind)
    system = child(domain, "os")
    boot = spec.get("boot", {})
    for tag in _KERNEL:
        if tag in boot:
            child(system, tag).text = boot[tag]
        else:
            remove_all(system, tag)


def _write_machine(domain: Element, wanted: str | None) -> None:
    node = child(domain, "os/type")
    present = node.get("machine", "")
    # A field that was removed leaves the board as it is: another one would be a new computer.
    if wanted is None or wanted in (present, family(present)):
        return
    if present and family(present) != family(wanted):
        forget_addresses(domain)
    node.set("machine", wanted)


def _write_firmware(domain: Element, kind: str) -> None:
    system = child(domain, "os")
    # The loader's path and the template of its variables are libvirt's choice for the kind.
    for tag in ("firmware", "loader", "nvram"):
        remove_all(system, tag)
    if kind == "bios":
        if system.attrib.pop("firmware", None) is not None:
            _remember(domain, "nvram")
        return
    system.set("firmware", "efi")
    enabled = kind == "uefi-secure"
    features = child(system, "firmware")
    features.append(element("feature", {"enabled": enabled, "name": "secure-boot"}))
    if enabled:
        features.append(element("feature", {"enabled": True, "name": "enrolled-keys"}))
        # Only in system management mode can the guest not change the keys itself.
        child(domain, "features/smm").set("state", "on")


def _write_tpm(domain: Element, *, wanted: bool, kind: str) -> None:
    devices = child(domain, "devices")
    present = devices.find("tpm")
    if (present is not None) == wanted:
        return
    if present is not None:
        devices.remove(present)
        _remember(domain, "tpm")
        return
    devices.append(tpm(kind))


def tpm(kind: str) -> Element:
    """The TPM that a machine with that kind of firmware gets."""
    # A BIOS finds a TPM by its old interface only.
    model = "tpm-tis" if kind == "bios" else "tpm-crb"
    return element(
        "tpm", {"model": model}, element("backend", {"type": "emulator", "version": "2.0"})
    )


def read(domain: Element, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """``machineType``, ``firmware`` and ``boot`` of a definition.

    The machine type has its version only if ``wanted`` has one: ``q35`` is any ``pc-q35-*``.
    """
    board = at(domain, "os", "type")
    machine = board.get("machine", "") if board is not None else ""
    asked = wanted.get("machineType")
    pinned = isinstance(asked, str) and family(asked) != asked
    spec: dict[str, Any] = {
        "firmware": {
            "type": _firmware_type(domain),
            "tpm": at(domain, "devices", "tpm") is not None,
        },
        "machineType": machine if pinned else family(machine),
    }
    system = domain.find("os")
    if system is not None:
        boot = {tag: text for tag in _KERNEL if (text := text_of(system, tag)) is not None}
        if boot:
            spec["boot"] = boot
    return spec


def _firmware_type(domain: Element) -> str:
    system = domain.find("os")
    if system is None:
        return "bios"
    loader = system.find("loader")
    is_flash = loader is not None and loader.get("type") == "pflash"
    if system.get("firmware") != "efi" and not is_flash:
        return "bios"
    firmware = system.find("firmware")
    for feature in firmware if firmware is not None else ():
        if feature.get("name") == "secure-boot":
            return "uefi-secure" if feature.get("enabled") == "yes" else "uefi"
    return "uefi-secure" if loader is not None and loader.get("secure") == "yes" else "uefi"


def _remember(domain: Element, what: str) -> None:
    """Note in the definition that the machine had something whose content is still on the host."""
    child(child(domain, "metadata"), _LEFT).set(what, "yes")


def as_it_once_was(domain: Element) -> Element | None:
    """The definition with all that it ever had, so that libvirt removes the content along with it;
    None if it has everything still. Firmware variables and the state of a TPM stay on the host
    when a machine does without, and another machine of that name or UUID would find them.
    """
    left = at(domain, "metadata", _LEFT)
    if left is None:
        return None
    result = copied(domain)
    if left.get("nvram") is not None and _firmware_type(result) == "bios":
        _write_firmware(result, "uefi")
    if left.get("tpm") is not None:
        _write_tpm(result, wanted=True, kind="uefi")
    return result


def names_variables(domain: Element) -> bool:
    """Whether somebody chose where its firmware variables are: libvirt itself puts them into a
    folder of its own, called after the machine.
    """
    path = text_of(domain, "os/nvram") or attribute(domain, "os/nvram/source", "file")
    own = f"/qemu/nvram/{text_of(domain, 'name')}_VARS."
    return path is not None and own not in path


def leave_to_libvirt(domain: Element) -> None:
    """Make a live definition, which names the files that libvirt chose for the firmware, ask for
    their kind again: both together are refused.
    """
    system = child(domain, "os")
    if system.find("firmware") is not None:
        system.set("firmware", "efi")
        for tag in ("loader", "nvram"):
            remove_all(system, tag)


def names_loader_only_when_live(configured: Element, live: Element) -> bool:
    """Whether the firmware was left to libvirt altogether, so that only the live definition tells
    which one it is.
    """
    system, running = configured.find("os"), live.find("os")
    return (
        system is not None
        and running is not None
        and system.get("firmware") == "efi"
        and system.find("firmware") is None
        and running.find("firmware") is None
    )
