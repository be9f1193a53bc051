"""Makes a stack of machines as one meets them: each with disks of its own and a snapshot, some to a
network. What the renderings of plans and graphs are measured with.

The same number gives the same files, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from tests.bench.estate import (
    API_VERSION,
    ENDPOINT_FILE,
    HOST,
    IMAGE_FILE,
    PER_FILE,
    Manifest,
    write_documents,
)

PER_NETWORK = 50
POOLS = 4


def resources(machines: int) -> Iterator[Manifest]:
    """Some four times as many resources as machines."""
    for number in range(1, POOLS + 1):
        name = f"pool-{number}"
        yield _document("StoragePool", name, {"type": "dir", "path": f"/var/lib/fleet/{name}"})
    yield _document(
        "Image", "base", {"pool": "pool-1", "source": {"file": IMAGE_FILE}, "format": "iso"}
    )
    for number in range(1, -(-machines // PER_NETWORK) + 1):
        yield _document(
            "Network", f"net-{number:02}", {"mode": "nat", "cidr": f"10.9.{number}.0/24"}
        )
    for number in range(1, machines + 1):
        yield from _machine(number)


def _machine(number: int) -> Iterator[Manifest]:
    name, pool = f"vm-{number:04}", f"pool-{1 + number % POOLS}"
    yield _document("Disk", f"{name}-root", {"pool": pool, "size": "10GiB"})
    yield _document("Disk", f"{name}-data", {"pool": pool, "size": "100GiB"})
    yield _document(
        "VirtualMachine",
        name,
        {
            "description": f"Machine {number} of the fleet",
            "cpu": {"count": 2, "max": 8},
            "memory": {"size": "4GiB", "max": "16GiB"},
            "disks": [{"disk": f"{name}-root"}, {"disk": f"{name}-data"}],
            "nics": [{"name": "lan", "network": f"net-{1 + (number - 1) // PER_NETWORK:02}"}],
            "cdroms": [{"name": "setup", "image": "base"}],
            "autostart": True,
        },
    )
    yield _document("Snapshot", f"{name}-before", {"machine": name})


def write(folder: Path, machines: int) -> None:
    """Write the stack into an empty folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMAGE_FILE).write_bytes(bytes(512))
    head: list[Manifest] = [
        {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "fleet"}, "spec": {}},
        _document("Host", HOST, {"provider": "memory", "connection": {"path": ENDPOINT_FILE}}),
    ]
    write_documents(folder / "stack.yaml", head)
    manifests = resources(machines)
    number = 0
    while some := list(islice(manifests, PER_FILE)):
        number += 1
        write_documents(folder / f"resources-{number:04}.yaml", some)


def _document(kind: str, name: str, spec: Manifest) -> Manifest:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
