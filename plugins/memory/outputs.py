"""What a memory endpoint tells of an object that its author did not write: paths, devices,
addresses.

The kinds' schemas name these outputs (``x-computed``). A kind that is not in the table has none.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

from provisioner.core.values import Json


def outputs_of(kind: str, object_id: str, name: str, spec: Mapping[str, Any]) -> dict[str, Json]:
    """The outputs of an object with this spec; the same for the same object every time."""
    compute = _OUTPUTS.get(kind)
    return compute(object_id, name, spec) if compute is not None else {}


def _network(object_id: str, _name: str, spec: Mapping[str, Any]) -> dict[str, Json]:
    if spec.get("mode") == "user":
        return {}
    # A device name has at most 15 characters.
    return {"bridge": spec.get("bridge") or f"mem{zlib.crc32(object_id.encode()):08x}"}


def _pool(_id: str, name: str, spec: Mapping[str, Any]) -> dict[str, Json]:
    return {"path": spec.get("path") or f"/memory/{name}"}


def _volume(_id: str, name: str, spec: Mapping[str, Any]) -> dict[str, Json]:
    volume = f"{name}.{spec.get('format', 'qcow2')}"
    return {"path": f"/memory/{spec.get('pool')}/{volume}", "volume": volume}


def _machine(object_id: str, _name: str, spec: Mapping[str, Any]) -> dict[str, Json]:
    nics = spec.get("nics") or {}
    macs: dict[str, Any] = {}
    for nic, card in nics.items():
        # 52:54:00 is what QEMU's own cards have; the rest is as stable as the machine.
        number = zlib.crc32(f"{object_id}/{nic}".encode()) & 0xFFFFFF
        chosen = f"52:54:00:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
        macs[nic] = card.get("mac") or chosen
    addresses = [card["address"] for card in nics.values() if "address" in card]
    result: dict[str, Json] = {"uuid": object_id, "addresses": addresses, "mac": macs}
    if addresses:
        result["address"] = addresses[0]
    return result


def _id(object_id: str, _name: str, _spec: Mapping[str, Any]) -> dict[str, Json]:
    return {"id": object_id}


_OUTPUTS: Mapping[str, Callable[[str, str, Mapping[str, Any]], dict[str, Json]]] = {
    "Network": _network,
    "StoragePool": _pool,
    "Image": _volume,
    "Disk": _volume,
    "VirtualMachine": _machine,
    **dict.fromkeys(
        (
            "Datacenter",
            "Folder",
            "Cluster",
            "ClusterHost",
            "ResourcePool",
            "PlacementRule",
            "Role",
            "Permission",
        ),
        _id,
    ),
}
