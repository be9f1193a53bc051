"""Domain XML of the lab's guests, for tests of the lab itself and of what needs a guest that the
provisioner did not make. Called by live tests and benchmarks.

Source: https://libvirt.org/formatdomain.html
"""

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from pathlib import Path

from tests.lab.linux import LinuxGuest


def boot_domain(name: str, disk: Path, log: Path | None = None, *, memory_mib: int = 8) -> str:
    """A boot-sector guest on ``disk`` (.raw or .qcow2); serial port as pty, logged to ``log``."""
    domain = _domain(name, memory_mib, vcpus=(1, 1))
    devices = domain.find("devices")
    assert devices is not None
    devices.append(disk_element(disk, "vda"))
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")
    devices.append(_serial(log))
    return ET.tostring(domain, encoding="unicode")


def linux_domain(
    name: str,
    guest: LinuxGuest,
    log: Path | None = None,
    *,
    seed: Path | None = None,
    network: str | None = None,
    agent: bool = False,
    memory_mib: int = 128,
    vcpus: tuple[int, int] = (1, 2),
) -> str:
    """The small Linux guest by direct kernel boot. ``vcpus``: now and at most. ``network``: name of
    a libvirt network; ``seed``: an ISO image in a virtio-scsi cdrom."""
    domain = _domain(name, memory_mib, vcpus)
    system, devices = domain.find("os"), domain.find("devices")
    assert system is not None
    assert devices is not None
    ET.SubElement(system, "kernel").text = str(guest.kernel)
    ET.SubElement(system, "initrd").text = str(guest.initrd)
    ET.SubElement(system, "cmdline").text = guest.cmdline
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "controller", type="scsi", model="virtio-scsi")
    ET.SubElement(devices, "memballoon", model="virtio")
    if seed is not None:
        cdrom = disk_element(seed, "sda", bus="scsi", device="cdrom")
        ET.SubElement(cdrom, "readonly")
        devices.append(cdrom)
    if network is not None:
        nic = ET.SubElement(devices, "interface", type="network")
        ET.SubElement(nic, "source", network=network)
        ET.SubElement(nic, "model", type="virtio")
    if agent:
        channel = ET.SubElement(devices, "channel", type="unix")
        ET.SubElement(channel, "target", type="virtio", name="org.qemu.guest_agent.0")
    devices.append(_serial(log))
    return ET.tostring(domain, encoding="unicode")


def disk_element(
    path: Path, target: str, *, bus: str = "virtio", device: str = "disk"
) -> ET.Element:
    """A file as a disk; its format is the end of its name, raw if that is not qcow2."""
    disk = ET.Element("disk", type="file", device=device)
    kind = "qcow2" if path.suffix == ".qcow2" else "raw"
    ET.SubElement(disk, "driver", name="qemu", type=kind)
    ET.SubElement(disk, "source", file=str(path))
    ET.SubElement(disk, "target", dev=target, bus=bus)
    return disk


def _domain(name: str, memory_mib: int, vcpus: Sequence[int]) -> ET.Element:
    domain = ET.Element("domain", type="qemu")
    ET.SubElement(domain, "name").text = name
    ET.SubElement(domain, "memory", unit="MiB").text = str(memory_mib)
    now, at_most = vcpus
    ET.SubElement(domain, "vcpu", current=str(now)).text = str(at_most)
    system = ET.SubElement(domain, "os")
    ET.SubElement(system, "type", arch="x86_64", machine="pc").text = "hvm"
    features = ET.SubElement(domain, "features")
    ET.SubElement(features, "acpi")
    ET.SubElement(domain, "devices")
    return domain


def _serial(log: Path | None) -> ET.Element:
    serial = ET.Element("serial", type="pty")
    if log is not None:
        ET.SubElement(serial, "log", file=str(log), append="on")
    return serial


def volume_domain(name: str, volume: str, log: Path) -> str:
    """As :func:`boot_domain`, with the disk given as ``POOL/VOLUME``."""
    document = ET.fromstring(boot_domain(name, Path("unused.qcow2"), log))
    for disk in document.findall("devices/disk"):
        disk.set("type", "volume")
        for source in disk.findall("source"):
            source.attrib.clear()
            source.attrib.update(zip(("pool", "volume"), volume.split("/"), strict=True))
    return ET.tostring(document, encoding="unicode")
