"""What a real vSphere refuses, so that a plan says it before anything is tried. Data and pure
checks; the endpoint's own answer still counts.

Sources of the numbers: VMware, "Hardware Features Available with Virtual Machine Compatibility
Settings" (vSphere Virtual Machine Administration 6.7, 7.0 and 8.0), the announcement of hardware
version 22 (vSphere 9.0), and "Configuration Maximums"; of the versions that an endpoint has KB
1003746, "Virtual machine hardware versions". Without a hardware version in the manifest the newest
one counts: which one a new machine gets is the endpoint's choice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from provisioner.core.diagnostics import Diagnostic
from provisioner.core.units import format_size
from provisioner.core.values import Path, get_path
from provisioner_plugins.vmware.machine.rooms import (
    CDROM_BUS,
    PARAVIRTUAL_BUS,
    ROOMS,
    family_of,
)
from provisioner_plugins.vmware.refusal import out_of_range

HARDWARE_SOURCE = (
    "VMware vSphere Virtual Machine Administration, Hardware Features Available with Virtual "
    "Machine Compatibility Settings"
)
_MAXIMUMS = "VMware vSphere Configuration Maximums, virtual machine"
_API = "vSphere Web Services API, VirtualMachineConfigSpec.memoryMB"
MIB = 2**20
GIB = 2**30
_STEP = 4 * MIB


class Hardware(NamedTuple):
    """What a machine of hardware version ``since``, or of a later one, can have at most; ``memory``
    in bytes.
    """

    since: int
    processors: int
    cores: int
    memory: int


HARDWARE = (
    Hardware(22, 960, 960, 24560 * GIB),
    Hardware(20, 768, 256, 24560 * GIB),
    Hardware(18, 768, 64, 24560 * GIB),
    Hardware(15, 256, 64, 6128 * GIB),
    Hardware(13, 128, 64, 6128 * GIB),
    Hardware(11, 128, 64, 4080 * GIB),
    Hardware(9, 64, 64, 1011 * GIB),
    Hardware(8, 32, 32, 1011 * GIB),
    Hardware(7, 8, 8, 255 * GIB),
    Hardware(4, 4, 1, 64 * GIB),
)
"""Newest first."""
SINCE: Mapping[tuple[str, str], int] = {
    ("firmware", "uefi"): 8,
    ("firmware", "uefi-secure"): 13,
    ("firmware", "tpm"): 14,
    ("bus", "pvscsi"): 7,
    ("bus", "sata"): 10,
    ("bus", "nvme"): 13,
    ("model", "vmxnet3"): 7,
    ("model", "e1000e"): 8,
}
"""The hardware version with which something came."""
MOST_CARDS = 10
OLDEST = 7
"""The oldest hardware version of which ESXi 7 and later make machines."""
NEWEST: Sequence[tuple[tuple[int, int, int], int]] = (
    ((9, 0, 0), 22),
    ((8, 0, 2), 21),
    ((8, 0, 0), 20),
    ((7, 0, 2), 19),
    ((7, 0, 1), 18),
    ((7, 0, 0), 17),
)
"""Versions of the API, newest first, and the newest hardware version that came with each."""
_VERSIONS = "VMware KB 1003746, Virtual machine hardware versions"


def hardware_version(name: Any) -> int:
    """19 for ``vmx-19``; 0 for what is none."""
    word, _, digits = str(name or "").rpartition("-")
    return int(digits) if word == "vmx" and digits.isdecimal() else 0


def newest_hardware(api: str) -> int | None:
    """The newest hardware version of an endpoint by the version of its API, such as ``8.0.3.0``;
    None for one that is newer than :data:`NEWEST`.
    """
    numbers = [int(part) for part in api.split(".")[:3] if part.isdecimal()]
    found = tuple([*numbers, 0, 0, 0][:3])
    if found[:2] > NEWEST[0][0][:2]:
        return None
    return next((newest for since, newest in NEWEST if since <= found), NEWEST[-1][1])


def unsupported(spec: Mapping[str, Any], api: str) -> Iterator[Diagnostic]:
    """A diagnostic for a hardware version that an endpoint with this version of the API does not
    make.
    """
    version, newest = hardware_version(spec.get("machineType")), newest_hardware(api)
    found = str(spec.get("machineType"))
    if 0 < version < OLDEST:
        text = f"ESXi 7 and later make machines of vmx-{OLDEST} and later"
        yield out_of_range(("machineType",), found, text, _VERSIONS)
    elif newest is not None and version > newest:
        text = f"An endpoint with the API {api} takes vmx-{OLDEST} to vmx-{newest}"
        yield out_of_range(("machineType",), found, text, _VERSIONS)


def beyond(spec: Mapping[str, Any]) -> Iterator[Diagnostic]:
    """A diagnostic for each number that is out of its limit, and for each device that the hardware
    version does not know.
    """
    name = spec.get("machineType")
    version = hardware_version(name)
    if name is not None and not version and "${" not in str(name):
        text = "It takes vmx- and a number, such as vmx-19"
        yield out_of_range(("machineType",), str(name), text, HARDWARE_SOURCE)
        return
    hardware = next((item for item in HARDWARE if item.since <= version), HARDWARE[-1])
    yield from _of_numbers(spec, hardware if version else HARDWARE[0], version)
    yield from _of_devices(spec, version)
    if version:
        yield from _unknown(spec, version)


def _of_numbers(spec: Mapping[str, Any], hardware: Hardware, version: int) -> Iterator[Diagnostic]:
    of_version = f" with hardware version {version}" if version else ""
    for path, most in (
        (("cpu", "count"), hardware.processors),
        (("cpu", "max"), hardware.processors),
        (("cpu", "topology", "cores"), hardware.cores),
    ):
        value = _number(spec, path)
        if value is not None and not 1 <= value <= most:
            what = "cores in a socket" if path[-1] == "cores" else "virtual processors"
            limit = f"A machine{of_version} takes 1 to {most} {what}"
            yield out_of_range(path, str(value), limit, HARDWARE_SOURCE)
    for field in ("size", "max"):
        path = ("memory", field)
        value = _number(spec, path)
        if value is None:
            continue
        if value % _STEP:
            limit = "It takes steps of 4MiB"
            yield out_of_range(path, format_size(value), limit, _API)
        elif not _STEP <= value <= hardware.memory:
            limit = f"A machine{of_version} takes 4MiB to {format_size(hardware.memory)}"
            yield out_of_range(path, format_size(value), limit, HARDWARE_SOURCE)


def _of_devices(spec: Mapping[str, Any], version: int) -> Iterator[Diagnostic]:
    if len(spec.get("nics", {})) > MOST_CARDS:
        text = f"A machine has at most {MOST_CARDS} network cards"
        yield out_of_range(("nics",), f"{len(spec['nics'])} cards", text, _MAXIMUMS)
    counts = Counter(bus for _, _, bus in _buses(spec))
    needed: Counter[str] = Counter()
    for bus, count in counts.items():
        room = ROOMS[bus]
        units = room.most(version)
        needed[room.family] += -(-count // units)
        if count > room.controllers * units:
            text = (
                f"A machine has at most {room.controllers} controllers of the bus {bus}, with "
                f"{units} devices each"
            )
            yield out_of_range(("disks",), f"{count} devices on {bus}", text, _MAXIMUMS)
    for family, controllers in needed.items():
        members = [bus for bus in counts if ROOMS[bus].family == family]
        most = ROOMS[members[0]].controllers
        if len(members) > 1 and controllers > most:
            text = f"A machine has at most {most} controllers of the buses {', '.join(members)}"
            yield out_of_range(("disks",), f"more than {most} controllers hold", text, _MAXIMUMS)


def _unknown(spec: Mapping[str, Any], version: int) -> Iterator[Diagnostic]:
    """What came with a later hardware version."""
    firmware = spec.get("firmware", {})
    found: list[tuple[Path, tuple[str, str]]] = [
        (("firmware", "type"), ("firmware", str(firmware.get("type")))),
        *(((section, name, "bus"), ("bus", bus)) for section, name, bus in _buses(spec)),
        *(
            (("nics", name, "model"), ("model", str(card.get("model", "vmxnet3"))))
            for name, card in spec.get("nics", {}).items()
        ),
    ]
    if firmware.get("tpm") is True:
        found.append((("firmware", "tpm"), ("firmware", "tpm")))
    for path, feature in found:
        since = SINCE.get(feature, 0)
        if version < since:
            text = f"It came with hardware version {since}, and machineType is vmx-{version}"
            yield out_of_range(path, feature[1], text, HARDWARE_SOURCE)


def _buses(spec: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Section, name and bus of each disk and drive, as far as the bus is one of ours."""
    for section, otherwise in (("disks", PARAVIRTUAL_BUS), ("cdroms", CDROM_BUS)):
        for name, device in spec.get(section, {}).items():
            bus = str(device.get("bus", otherwise))
            if family_of(bus):
                yield section, name, bus


def _number(spec: Mapping[str, Any], path: Path) -> int | None:
    value = get_path(spec, path)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
