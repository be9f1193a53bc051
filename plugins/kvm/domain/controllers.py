"""Controllers: the places that devices are plugged into, above all the spare ones for later."""

from __future__ import annotations

from provisioner_plugins._libvirt.xml import Element, attribute, child, element

SPARE_PORTS = 8
_FEWEST_PORTS = 14
_PCI_BUS_SLOTS = 31
"""Slots of a conventional PCI bus beside the host bridge."""


def is_express(domain: Element) -> bool:
    """Whether the board has PCI Express (q35), where each hotplug needs a free root port."""
    return "q35" in (attribute(domain, "os/type", "machine") or "")


def add_ports(domain: Element, devices: int) -> None:
    """Give a PCI Express board root ports for ``devices`` and spare ones for what is plugged in
    later: a running machine gets no new ports.
    """
    if not is_express(domain):
        return
    where = child(domain, "devices")
    where.append(element("controller", {"type": "pci", "index": 0, "model": "pcie-root"}))
    for index in range(1, max(_FEWEST_PORTS, devices + SPARE_PORTS) + 1):
        port = {"type": "pci", "index": index, "model": "pcie-root-port"}
        where.append(element("controller", port))


def ensure_scsi(domain: Element) -> None:
    """A virtio-scsi controller, unless there is one for SCSI already."""
    if has_scsi(domain):
        return
    child(domain, "devices").append(scsi_controller())


def has_scsi(domain: Element) -> bool:
    """Whether a SCSI disk or drive can be plugged in without another controller."""
    return any(node.get("type") == "scsi" for node in domain.findall("devices/controller"))


def scsi_controller() -> Element:
    """The controller that SCSI devices are plugged into."""
    return element("controller", {"type": "scsi", "index": 0, "model": "virtio-scsi"})


def set_usb(domain: Element, *, wanted: bool) -> None:
    """A USB controller where it is wanted, and none in a new domain where it is not (libvirt would
    add one). An existing controller stays.
    """
    devices = child(domain, "devices")
    present = [node for node in devices.findall("controller") if node.get("type") == "usb"]
    if not wanted:
        if not present:
            devices.append(element("controller", {"type": "usb", "index": 0, "model": "none"}))
        return
    if any(node.get("model") != "none" for node in present):
        return
    for node in present:
        devices.remove(node)
    devices.append(element("controller", {"type": "usb", "index": 0, "model": "qemu-xhci"}))


def forget_addresses(domain: Element) -> None:
    """Take out what belongs to the board that the machine had: PCI addresses and the controllers
    that libvirt made for it. It lays them out anew.
    """
    devices = child(domain, "devices")
    for device in list(devices):
        if device.tag == "controller" and device.get("type") in ("pci", "sata", "ide", "fdc"):
            devices.remove(device)
            continue
        address = device.find("address")
        if address is not None and address.get("type") == "pci":
            device.remove(address)


def free_slots(domain: Element) -> int | None:
    """How many PCI devices can still be plugged into the running machine with this live definition;
    None if it cannot be told.
    """
    used: dict[int, set[int]] = {}
    ports: list[int] = []
    buses: list[int] = []
    for device in domain.findall("devices/*"):
        if device.tag == "controller" and device.get("type") == "pci":
            index = int(device.get("index", "0"))
            if device.get("model") == "pcie-root-port":
                ports.append(index)
            elif device.get("model") in ("pci-root", "pci-bridge", "pcie-to-pci-bridge"):
                buses.append(index)
        address = device.find("address")
        if address is not None and address.get("type") == "pci":
            slot = int(address.get("slot", "0"), 16)
            used.setdefault(int(address.get("bus", "0"), 16), set()).add(slot)
    if ports:
        return sum(1 for index in ports if index not in used)
    if buses:
        return sum(_PCI_BUS_SLOTS - len(used.get(index, set()) - {0}) for index in buses)
    return None
