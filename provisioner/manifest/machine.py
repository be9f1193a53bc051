"""Rules for machines that a schema cannot express: figures that have to fit together, devices that
are named.

Called through :mod:`provisioner.manifest.checks`.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

from provisioner.core.units import format_size
from provisioner.manifest.hierarchy import allocations
from provisioner.manifest.infrastructure import Check, no_host
from provisioner.manifest.problems import Problem
from provisioner.manifest.references import Draft


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _cpu(draft: Draft) -> Iterator[Problem]:
    cpu = draft.spec.get("cpu")
    if not isinstance(cpu, dict):
        return
    count = _number(cpu.get("count", 1))
    most = _number(cpu.get("max", count))
    if count is None or most is None:
        return
    if count > most:
        yield Problem(
            ("spec", "cpu", "count"),
            "PRV1410",
            f"the machine has {count} processors, more than its max of {most}",
            f"Raise max to {count}, or lower count.",
        )
    topology = cpu.get("topology")
    if not isinstance(topology, dict):
        return
    parts = [_number(topology.get(name, 1)) for name in ("sockets", "cores", "threads")]
    if None not in parts:
        sockets, cores, threads = (part or 1 for part in parts)
        product = sockets * cores * threads
        if product != most:
            yield Problem(
                ("spec", "cpu", "topology"),
                "PRV1411",
                f"{sockets} sockets x {cores} cores x {threads} threads are {product} processors, "
                f"expected {most}",
                "The product has to be max, or count where max is left out.",
                at_key=True,
            )


def _memory(draft: Draft) -> Iterator[Problem]:
    memory = draft.spec.get("memory")
    if not isinstance(memory, dict):
        return
    size, most = _number(memory.get("size")), _number(memory.get("max"))
    if size is not None and most is not None and size > most:
        yield Problem(
            ("spec", "memory", "size"),
            "PRV1412",
            f"{format_size(size)} of memory are more than the max of {format_size(most)}",
            "Raise max, or lower size.",
        )


def _reserved_memory(draft: Draft) -> Iterator[Problem]:
    """No more memory can always be there than the machine can have."""
    memory = draft.spec.get("memory")
    if not isinstance(memory, dict):
        return
    name = "max" if "max" in memory else "size"
    reserved, most = _number(memory.get("reservation")), _number(memory.get(name))
    if reserved is not None and most is not None and reserved > most:
        yield Problem(
            ("spec", "memory", "reservation"),
            "PRV1442",
            f"a reservation of {format_size(reserved)} is more than the {name} of "
            f"{format_size(most)}",
            f"Raise {name}, or lower reservation.",
        )


def _customization(draft: Draft) -> Iterator[Problem]:
    """What a guest is told of its cards is about cards that it has, and fits together."""
    told = draft.spec.get("customization")
    cards = told.get("nics") if isinstance(told, dict) else None
    own = draft.spec.get("nics", {})
    for name, card in cards.items() if isinstance(cards, dict) else ():
        path = ("spec", "customization", "nics", name)
        if isinstance(own, dict) and name not in own and not draft.failed:
            yield Problem(
                path,
                "PRV1408",
                f"the machine has no network card {name!r}",
                "Add it to nics, or name one that stands there"
                + (f": {', '.join(sorted(own))}." if own else "."),
            )
        address, gateway = card.get("address"), card.get("gateway")
        if not isinstance(address, str):
            continue
        interface = ipaddress.IPv4Interface(address)
        network = interface.network
        yield from no_host(network, (*path, "address"), "the address", str(interface.ip))
        if isinstance(gateway, str):
            yield from no_host(network, (*path, "gateway"), "the gateway", gateway)


def _boot_order(draft: Draft) -> Iterator[Problem]:
    taken: dict[int, str] = {}
    for section in ("disks", "nics", "cdroms"):
        devices = draft.spec.get(section)
        if not isinstance(devices, dict):
            continue
        for name, device in devices.items():
            order = _number(device.get("bootOrder"))
            if order is None:
                continue
            owner = taken.setdefault(order, f"{section}[{name}]")
            if owner != f"{section}[{name}]":
                yield Problem(
                    ("spec", section, name, "bootOrder"),
                    "PRV1416",
                    f"bootOrder {order} belongs to {owner} already",
                    "Each number may stand once in a machine.",
                )


MACHINE_CHECKS: tuple[Check, ...] = (
    _cpu,
    _memory,
    allocations,
    _reserved_memory,
    _customization,
    _boot_order,
)
