"""Makes a rough draft of a stack valid: what no schema can say about how fields and resources go
together.

Called by :mod:`tests.lifecycle.generate`. Everything here takes fields away or puts sensible ones
in their place; it draws nothing, so that a smaller draft stays a smaller stack.
"""

from __future__ import annotations

import copy
import ipaddress
from collections.abc import Callable, Iterator
from typing import Any

from provisioner.core.units import parse_size
from tests.lifecycle.fitting_networks import fit_network, own_range, within
from tests.lifecycle.fitting_world import (
    INDEX,
    Document,
    World,
    beside,
    expanded_names,
    numbers,
    unique,
)

ORDER = ("Network", "StoragePool", "Image", "Disk", "VirtualMachine", "Snapshot")
"""Kinds, each after all that it can refer to."""

_PLACES = {"netfs": "directory", "logical": "volumeGroup", "iscsi": "target"}
_POOL_SOURCES: dict[str, Document] = {
    "dir": {},
    "netfs": {"host": "nas.example", "directory": "/export", "format": None},
    "logical": {"volumeGroup": "vg0", "devices": None},
    "iscsi": {"host": "nas.example", "target": "iqn.2024-01.example:storage", "initiator": None},
    "vmfs": {"devices": ["naa.600508b1001c7d1e"]},
    "cluster": {},
}


def fit_together(rough: list[Document]) -> list[Document]:
    """The documents without whatever would be refused, in the order of their kinds."""
    world = World()
    for document in copy.deepcopy(rough):
        old = document["metadata"].get("renamedFrom")
        if old is not None:
            world.renamed[document["kind"], old] = document["metadata"]["name"]
    for kind in ORDER:
        for document in copy.deepcopy(rough):
            if document["kind"] != kind or not _names_are_free(document, world):
                continue
            _fit_metadata(document, rough)
            if _FITTERS[kind](document, world):
                world.documents.append(document)
                world.names.update((kind, name) for name in expanded_names(document))
    for document in world.documents:
        _fit_description(document, world)
    return world.documents


def _names_are_free(document: Document, world: World) -> bool:
    return not any((document["kind"], name) in world.names for name in expanded_names(document))


def _fit_metadata(document: Document, rough: list[Document]) -> None:
    metadata = document["metadata"]
    if document["kind"] not in ("Image", "Disk"):
        # Where names are unique, creating first is refused.
        metadata.pop("replace", None)
    same_kind = {
        name
        for other in rough
        if other["kind"] == document["kind"]
        for name in expanded_names(other)
    }
    if metadata.get("renamedFrom") in same_kind:
        del metadata["renamedFrom"]
    if "replicas" not in metadata:
        document["spec"] = _without_index(document["spec"])
        for field_name in ("labels", "tenant"):
            if field_name in metadata:
                metadata[field_name] = _without_index(metadata[field_name])
    if metadata.get("tenant") == "":
        del metadata["tenant"]


def _without_index(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(INDEX, "1")
    if isinstance(value, dict):
        return {key: _without_index(child) for key, child in value.items()}
    return [_without_index(child) for child in value] if isinstance(value, list) else value


def _fit_description(document: Document, world: World) -> None:
    """A text may only wait for a resource that is there and has the output."""
    text = document["spec"].get("description", "")
    if not text.startswith("on ${"):
        return
    address = text.removeprefix("on ${").removesuffix("}").rpartition(".")[0]
    kind, _, name = address.partition("/")
    name = world.renamed.get((kind, name), name)
    target = world.find(kind, name)
    me = ORDER.index(document["kind"])
    if target is None or target["spec"].get("mode") == "user" or ORDER.index(kind) >= me:
        del document["spec"]["description"]
        return
    document["spec"]["description"] = f"on ${{{kind}/{name}.{text.rpartition('.')[2]}"


def _fit_pool(document: Document, world: World) -> bool:
    spec, name = document["spec"], document["metadata"]["name"]
    # It may only be left out of what is observed.
    spec.setdefault("type", "netfs")
    allowed = _POOL_SOURCES[spec["type"]]
    shared = "replicas" in document["metadata"]
    if spec["type"] in ("vmfs", "cluster"):
        spec.pop("path", None)
    if spec["type"] == "cluster":
        spec["members"] = [] if shared else list(_members(document, world))
    else:
        spec.pop("members", None)
        spec.pop("drs", None)
    if spec["type"] in ("dir", "netfs"):
        spec.setdefault("path", "/srv/pool")
        if shared or spec["path"] in {other.get("path") for other in beside(document, world)}:
            spec["path"] = f"/srv/{name}"
    if not allowed:
        spec.pop("source", None)
        return True
    source = {name: value for name, value in spec.get("source", {}).items() if name in allowed}
    for field_name, default in allowed.items():
        if default is not None:
            source.setdefault(field_name, default)
    if "devices" in source and spec["type"] == "logical":
        source["devices"] = [path for path in source["devices"] if path.startswith("/")]
        source["devices"] = source["devices"] or ["/dev/sdx"]
    where = _PLACES.get(spec["type"])
    if where is None:
        spec["source"] = source
        return True
    places = [other["source"].get(where) for other in beside(document, world) if "source" in other]
    if shared or source[where] in places:
        source[where] += f"-{document['metadata']['name']}"
    spec["source"] = source
    return True


def _members(document: Document, world: World) -> Iterator[Document]:
    """Pools that are in no cluster and none themselves."""
    taken = {
        member["pool"]
        for other in world.documents
        if other["kind"] == "StoragePool"
        for member in other["spec"].get("members", ())
    }
    for element in unique(document["spec"].get("members", []), "pool"):
        name = world.targets(document, "StoragePool", element["pool"])
        pool = world.find("StoragePool", name) if name is not None else None
        if pool is not None and pool["spec"]["type"] != "cluster" and name not in taken:
            yield {"pool": name}


def _fit_image(document: Document, world: World) -> bool:
    spec = document["spec"]
    if not _refer(document, world, "pool", "StoragePool"):
        return False
    if len(spec["source"]) != 1:
        spec["source"] = {"file": "base.qcow2"}
    if "template" in spec["source"]:
        spec["format"] = "template"
    elif spec["format"] == "template" and "libraryItem" not in spec["source"]:
        spec["format"] = "qcow2"
    return True


def _refer(document: Document, world: World, name: str, kind: str) -> bool:
    """Mend the reference in a field of the spec; whether it can stay."""
    target = document["spec"].get(name)
    found = world.targets(document, kind, target) if target is not None else None
    if found is None:
        return False
    document["spec"][name] = found
    return True


def _fit_disk(document: Document, world: World) -> bool:
    spec = document["spec"]
    if not _refer(document, world, "pool", "StoragePool"):
        return False
    found = _refer(document, world, "image", "Image")
    if not found or _format(world, spec["image"]) not in ("qcow2", "raw", "vmdk"):
        spec.pop("image", None)
        spec.pop("clone", None)
        spec.setdefault("size", "1GiB")
    elif spec.get("format") == "raw":
        spec["clone"] = "full"
    return True


def _format(world: World, image: str) -> str:
    """The format of an image, by any of its names."""
    for document in world.documents:
        if document["kind"] == "Image" and image in (
            document["metadata"]["name"],
            *expanded_names(document),
        ):
            return str(document["spec"]["format"])
    raise KeyError(image)


def _fit_machine(document: Document, world: World) -> bool:
    spec = document["spec"]
    cpu, memory = spec.get("cpu", {}), spec["memory"]
    if "max" in cpu:
        cpu["max"] = max(cpu["max"], cpu.get("count", 1))
    if "topology" in cpu:
        cpu["topology"] = {"sockets": cpu.get("max", cpu.get("count", 1)), "cores": 1, "threads": 1}
    for name in ("size", "max"):
        if name in memory and parse_size(memory[name]) % 1024:
            memory[name] = "2GiB"
    if "max" in memory and parse_size(memory["max"]) < parse_size(memory["size"]):
        memory["max"] = memory["size"]
    _fit_reservations(cpu, memory)
    _fit_clone(document, world)
    for first, second in (("userData", "userDataFile"), ("networkConfig", "networkConfigFile")):
        if first in spec.get("cloudInit", {}):
            spec["cloudInit"].pop(second, None)
    for section, name in (("cloudInit", "pool"), ("placement", "storagePool")):
        _fit_pool_of(document, spec.get(section, {}), name, world)
    if "disks" in spec:
        spec["disks"] = list(_disks(document, world))
    if "nics" in spec:
        spec["nics"] = list(_cards(document, world))
    if "cdroms" in spec:
        spec["cdroms"] = list(_drives(document, world))
    _fit_boot_order(spec)
    _fit_customization(spec)
    return True


def _fit_pool_of(document: Document, section: Document, name: str, world: World) -> None:
    pool = world.targets(document, "StoragePool", section.pop(name, ""))
    if pool is not None:
        section[name] = pool


def _fit_reservations(cpu: Document, memory: Document) -> None:
    if {"reservationMhz", "limitMhz"} <= cpu.keys():
        cpu["limitMhz"] = max(cpu["limitMhz"], cpu["reservationMhz"])
    if "reservation" in memory:
        memory["reservation"] = memory["size"]
        if "limit" in memory and parse_size(memory["limit"]) < parse_size(memory["size"]):
            memory["limit"] = memory["size"]


def _fit_clone(document: Document, world: World) -> None:
    clone = document["spec"].get("clone", {})
    image = world.targets(document, "Image", clone.get("image", ""))
    if image is not None and _format(world, image) in ("template", "ova"):
        clone["image"] = image
    else:
        document["spec"].pop("clone", None)


def _fit_customization(spec: Document) -> None:
    told = spec.get("customization", {})
    if "nics" not in told:
        return
    cards = {card["name"] for card in spec.get("nics", ())}
    told["nics"] = [card for card in unique(told["nics"], "name") if card["name"] in cards]
    for card in told["nics"]:
        if "address" not in card:
            card.pop("gateway", None)
        elif "gateway" in card:
            card["gateway"] = str(ipaddress.ip_interface(card["address"]).network[1])


def _disks(document: Document, world: World) -> Iterator[Document]:
    for element in unique(document["spec"]["disks"], "disk"):
        replicated = "replicas" in document["metadata"]
        numbered = numbers(document["metadata"]) if replicated else (0,)
        for name in _disk_names(document, element["disk"], world):
            used = {name.replace(INDEX, str(number)) for number in numbered}
            if (replicated and INDEX not in name) or used & world.plugged:
                continue
            world.plugged |= used
            yield {**element, "disk": name}
            break


def _disk_names(document: Document, wanted: str, world: World) -> Iterator[str]:
    """The disk that is wanted, then others that would do."""
    disks = [other for other in world.documents if other["kind"] == "Disk"]
    for name in (
        wanted,
        *(other["metadata"]["name"] for other in disks),
        *(name for other in disks for name in expanded_names(other)),
    ):
        found = world.targets(document, "Disk", name)
        if found is not None:
            yield found


def _cards(document: Document, world: World) -> Iterator[Document]:
    replicated = "replicas" in document["metadata"]
    for element in unique(document["spec"]["nics"], "name"):
        network = world.targets(document, "Network", element["network"])
        if network is None:
            continue
        card = {**element, "network": network}
        mac = card.get("mac", "").lower().replace("-", ":")
        if replicated or mac in world.macs:
            card.pop("mac", None)
        elif mac:
            world.macs.add(mac)
        if "address" in card and (replicated or not _takes_address(card, world)):
            del card["address"]
        yield card


def _takes_address(card: Document, world: World) -> bool:
    """Whether the card's network gives it its address, moved into that network; one that could
    serve does.
    """
    network = world.find("Network", card["network"])
    if network is None or network["spec"]["mode"] in ("bridge", "user", "native"):
        return False
    spec = network["spec"]
    if "cidr" not in spec:
        if "replicas" in network["metadata"]:
            return False
        spec["cidr"] = own_range(network, "cidr", "10.98.0.0/24", world)
    spec.setdefault("dhcp", {}).pop("enabled", None)
    number = int(card["address"].rpartition(".")[2])
    if any((name, number) in world.addresses for name in expanded_names(network)):
        return False
    world.addresses.add((card["network"], number))
    card["address"] = within(spec["cidr"], card["address"])
    return True


def _drives(document: Document, world: World) -> Iterator[Document]:
    for element in unique(document["spec"]["cdroms"], "name"):
        drive = dict(element)
        if drive.pop("image", None) is not None:
            discs = [
                name
                for other in world.documents
                if other["kind"] == "Image" and other["spec"]["format"] == "iso"
                for name in expanded_names(other)
                if world.targets(document, "Image", name) is not None
            ]
            if discs:
                drive["image"] = discs[0]
        yield drive


def _fit_boot_order(spec: Document) -> None:
    taken: set[int] = set()
    for section in ("disks", "nics", "cdroms"):
        for device in spec.get(section, ()):
            if device.get("bootOrder") in taken:
                del device["bootOrder"]
            elif "bootOrder" in device:
                taken.add(device["bootOrder"])


def _fit_snapshot(document: Document, world: World) -> bool:
    return _refer(document, world, "machine", "VirtualMachine")


_FITTERS: dict[str, Callable[[Document, World], bool]] = {
    "Network": fit_network,
    "StoragePool": _fit_pool,
    "Image": _fit_image,
    "Disk": _fit_disk,
    "VirtualMachine": _fit_machine,
    "Snapshot": _fit_snapshot,
}
