"""Controllers: the places that devices are plugged into, above all the spare ones for later."""

from __future__ import annotations

from provisioner_plugins._libvirt.xml import Element, attribute, child, element
from provisioner_plugins.kvm.domain.tree import all_devices, at
from provisioner_plugins.kvm.domain.tree import devices as devices_of

SPARE_PORTS = 4
_PORT_CONTROLLERS = ("scsi", "usb", "virtio-serial")
_PCI_BUS_SLOTS = 32
_RESERVED_SLOTS = frozenset({0, 1, 2})
"""Of the first conventional PCI bus: host bridge, ISA bridge, and graphics whether or not there are
any.
"""


def is_express(domain: Element) -> bool:
    """Whether the board has PCI Express (q35), where each hotplug needs a free root port."""
    system = at(domain, "os", "type")
    return system is not None and "q35" in system.get("machine", "")


def ensure_spare_ports(domain: Element) -> None:
    """Give a PCI Express board root ports for the devices that have no place yet and
    ``SPARE_PORTS`` more: a running machine gets no new ones, so what is plugged into it then needs
    them. Where every device has its place, nothing is added.

    In a definition that libvirt has not laid out yet every device of a kind that takes a port is
    counted.
    """
    if not is_express(domain):
        return
    devices = child(domain, "devices")
    homeless = sum(1 for device in devices if _takes_port(device) and not _has_address(device))
    if not homeless:
        return
    controllers = [node for node in devices.findall("controller") if node.get("type") == "pci"]
    if not controllers:
        devices.append(element("controller", {"type": "pci", "index": 0, "model": "pcie-root"}))
    taken = {
        int(address.get("bus", "0"), 16)
        for device in devices
        if (address := device.find("address")) is not None and address.get("type") == "pci"
    }
    ports = [node for node in controllers if node.get("model") == "pcie-root-port"]
    free = sum(1 for node in ports if int(node.get("index", "0")) not in taken)
    first = max((int(node.get("index", "0")) for node in controllers), default=0) + 1
    for index in range(first, first + max(0, homeless + SPARE_PORTS - free)):
        port = {"type": "pci", "index": index, "model": "pcie-root-port"}
        devices.append(element("controller", port))


def _takes_port(device: Element) -> bool:
    match device.tag:
        case "disk":
            return attribute(device, "target", "bus") == "virtio"
        case "interface" | "rng" | "filesystem" | "hostdev":
            return True
        case "controller":
            return device.get("type") in _PORT_CONTROLLERS and device.get("model") != "none"
        case "memballoon":
            return device.get("model") != "none"
    return False


def _has_address(device: Element) -> bool:
    return device.find("address") is not None


def ensure_scsi(domain: Element) -> None:
    """A virtio-scsi controller, unless there is one for SCSI already."""
    if has_scsi(domain):
        return
    child(domain, "devices").append(scsi_controller())


def has_scsi(domain: Element) -> bool:
    """Whether a SCSI disk or drive can be plugged in without another controller."""
    return any(node.get("type") == "scsi" for node in devices_of(domain, "controller"))


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
    for device in all_devices(domain):
        if device.tag == "controller" and device.get("type") == "pci":
            index = int(device.get("index", "0"))
            if device.get("model") == "pcie-root-port":
                ports.append(index)
            elif device.get("model") in ("pci-root", "pci-bridge", "pcie-to-pci-bridge"):
                buses.append(index)
                used.setdefault(index, set()).update(_RESERVED_SLOTS if index == 0 else {0})
        address = device.find("address")
        if address is not None and address.get("type") == "pci":
            slot = int(address.get("slot", "0"), 16)
            used.setdefault(int(address.get("bus", "0"), 16), set()).add(slot)
    if ports:
        return sum(1 for index in ports if index not in used)
    if buses:
        return sum(_PCI_BUS_SLOTS - len(used[index]) for index in buses)
    return None
