"""Which fragments of a machine do not fit its fields: those that complete a device which it does
not have, and those that count memory and processors otherwise.

Called by the rules, as far as it can be told without a host, and by the handler before it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.units import format_size
from provisioner.core.values import Path, path_text
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import Element, attribute, parse_fragment, serialize
from provisioner_plugins.kvm.domain import memory, native, processor

_SHOWN = 160
"""Characters of a fragment that a message quotes."""


def cards_missing(domain: Element, texts: Sequence[str]) -> Iterator[Diagnostic]:
    """The fragments that complete a card that is none of the domain's, nor of another fragment.

    Cards are known by what manifests say of them, so that no host has to be asked; disks are known
    by the names that they have there.
    """
    for number, device in native.unattached(domain, texts):
        if device.tag == "interface":
            yield _without_device(number, device)


def devices_missing(domain: Element) -> Iterator[Diagnostic]:
    """The recorded fragments of a definition whose disk, drive or card is not in it."""
    for number, device in native.unattached(domain, native.recorded(domain)):
        yield _without_device(number, device)


def require_devices(domain: Element) -> None:
    """Raise Terminal for the first fragment whose device is not in a definition that is about to
    be written.
    """
    for problem in devices_missing(domain):
        raise Terminal(problem)


def sums_differing(spec: Mapping[str, Any], texts: Sequence[str]) -> Iterator[Diagnostic]:
    """Where fragments with NUMA cells, memory modules and a topology count otherwise than
    ``memory`` and ``cpu`` do.

    libvirt takes the sum of cells and modules for the memory, whatever else is written, and
    refuses processors that the topology does not make.
    """
    fragments = [parse_fragment(text) for text in texts]
    cells = [cell for node in fragments if node.tag == "cpu" for cell in node.iterfind("numa/cell")]
    modules = [
        node for each in fragments if each.tag == "devices" for node in each.iterfind("memory")
    ]
    if cells and all(module.get("model") == "dimm" for module in modules):
        yield from _memory_differing(spec["memory"], _sum_of(cells, modules))
    cpu = spec.get("cpu", {})
    most = max(cpu.get("count", 1), cpu.get("max", 1))
    in_cells = sum(processor.number_in(cell.get("cpus", "")) for cell in cells)
    if in_cells > most:
        yield _differing(("cpu", "count"), f"NUMA cells there have {in_cells} vCPUs", str(most))
    for node in fragments:
        topology = node.find("topology") if node.tag == "cpu" else None
        if topology is not None and processor.product(topology) != most:
            made = f"the topology there makes {processor.product(topology)} vCPUs"
            yield _differing(("cpu", "count"), made, str(most))


def _sum_of(cells: Sequence[Element], modules: Sequence[Element]) -> int:
    total = sum(memory.bytes_in(cell.get("memory", "0"), cell.get("unit")) for cell in cells)
    for module in modules:
        size = module.find("target/size")
        if size is not None:
            total += memory.bytes_in(size.text or "0", size.get("unit"))
    return total


def _memory_differing(wanted: Mapping[str, Any], total: int) -> Iterator[Diagnostic]:
    made = f"NUMA cells and memory modules there make {format_size(total)}"
    if wanted["size"] > total:
        yield _differing(("memory", "size"), made, format_size(wanted["size"]))
    elif wanted.get("max", total) != total:
        yield _differing(("memory", "max"), made, format_size(wanted["max"]))


def _differing(path: Path, made: str, wanted: str) -> Diagnostic:
    name = path_text(path)
    return error(
        "PRV2501",
        f"{name} does not go with the fragments of native.{PROVIDER}.{native.SECTION}",
        detail=f"{made[:1].upper()}{made[1:]}; {name} asks for {wanted}.",
        hint="Change both alike: the fragment, and the field.",
        path=path,
    )


def _without_device(number: int, device: Element) -> Diagnostic:
    text = serialize(device)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return error(
        "PRV2501",
        f"fragment {number} of native.{PROVIDER}.{native.SECTION} completes a device that the "
        "machine does not have",
        detail=f"There is no {_name(device)} to complete: {shown}.",
        hint="If the device is to go, remove the fragment, too. If it stays, write into the "
        "fragment what the device is known by now. A fragment that is to bring in a device of its "
        "own says its type.",
        path=("native", PROVIDER, native.SECTION, str(number - 1)),
    )


def _name(device: Element) -> str:
    alias = attribute(device, "alias", "name")
    if device.tag == "interface":
        what, by, name = "network card", "the MAC address", attribute(device, "mac", "address")
    else:
        what, by, name = "disk or drive", "the device name", attribute(device, "target", "dev")
    known = [f"{by} {name}"] if name is not None else []
    known += [f"the alias {alias}"] if alias is not None else []
    return f"{what} with {' or '.join(known)}" if known else f"{what} that it names"
