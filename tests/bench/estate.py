"""Makes a stack of any size for benchmarks: the same size gives the same files, byte for byte.

96 of 100 resources are machines, each of which refers to a network, a disk and an image and has 15
fields; the rest are networks, pools, images and disks in equal numbers. A machine has no disk of
its own (that would halve the share of machines): those of a group plug in the same one, read-only.

:func:`resources` gives the manifests as plain data, :func:`write` a folder that ``provisioner``
takes. Both make one manifest at a time, so that a benchmark's own memory stays small: the peak that
the kernel reports for a child process begins with that of its parent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

import yaml

API_VERSION = "provisioner/v1"
HOST = "lab"
PER_FILE = 100
ENDPOINT_FILE = "endpoint.jsonl"
IMAGE_FILE = "setup.iso"

_MACHINES_OF_100 = 96
_TIERS = ("web", "app", "data")

Manifest = Mapping[str, Any]


class Shape(NamedTuple):
    """How many resources of each kind an estate has. ``groups``: networks, and as many pools,
    images and disks."""

    machines: int
    groups: int

    @property
    def resources(self) -> int:
        """All of them."""
        return self.machines + 4 * self.groups

    @classmethod
    def of(cls, resources: int) -> Shape:
        """The shape of an estate of exactly this many resources; raises ValueError below 5."""
        if resources < 5:
            raise ValueError(f"{resources} resources: expected at least 5, one of each kind")
        others = resources - resources * _MACHINES_OF_100 // 100
        groups = max(1, others // 4)
        return cls(resources - 4 * groups, groups)


def resources(count: int) -> Iterator[Manifest]:
    """The manifests of ``count`` resources, without stack and host."""
    shape = Shape.of(count)
    # With 96 of 100, no group has more than 195 machines: their fixed addresses and a DHCP range
    # fit into a /24.
    groups = range(1, shape.groups + 1)
    return chain(
        map(_network, groups),
        map(_pool, groups),
        map(_image, groups),
        map(_disk, groups),
        (machine(number, shape.groups) for number in range(1, shape.machines + 1)),
    )


def machine(number: int, groups: int) -> Manifest:
    """The machine with this number (from 1) among ``groups`` networks: 15 fields besides its name.
    Every fourth has a fixed address in the place of a MAC address.
    """
    row, column = divmod(number - 1, groups)
    group = column + 1
    place = {"mac": _mac(number)}
    if row % 4 == 0:
        place = {"address": _address(group, 10 + row)}
    return _document(
        "VirtualMachine",
        f"vm-{number:05}",
        {
            "description": f"Machine {number} of the estate",
            "cpu": {"count": 1 + number % 4, "max": 8},
            "memory": {"size": f"{1 + number % 8}GiB", "max": "16GiB"},
            "disks": [{"disk": f"disk-{group:03}", "readOnly": True}],
            "nics": [{"name": "lan", "network": f"net-{group:03}", **place}],
            "cdroms": [{"name": "setup", "image": f"image-{group:03}"}],
            "autostart": number % 2 == 0,
            "shutdownTimeout": "2m",
        },
        {"tier": _TIERS[number % len(_TIERS)]},
    )


def write(folder: Path, count: int) -> None:
    """Write an estate into an empty folder: a stack, a host of the memory provider whose endpoint
    is a file beside the manifests, and files of 100 resources each.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / IMAGE_FILE).write_bytes(bytes(512))
    head: list[Manifest] = [
        {
            "apiVersion": API_VERSION,
            "kind": "Stack",
            "metadata": {"name": "estate"},
            "spec": {},
        },
        {
            "apiVersion": API_VERSION,
            "kind": "Host",
            "metadata": {"name": HOST},
            "spec": {"provider": "memory", "connection": {"path": ENDPOINT_FILE}},
        },
    ]
    write_documents(folder / "stack.yaml", head)
    manifests = resources(count)
    number = 0
    while some := list(islice(manifests, PER_FILE)):
        number += 1
        write_documents(folder / f"resources-{number:04}.yaml", some)


def write_documents(path: Path, documents: Iterable[Manifest]) -> None:
    """Write one manifest file."""
    with path.open("w", encoding="utf-8") as stream:
        yaml.dump_all(documents, stream, Dumper=yaml.CSafeDumper, sort_keys=False, width=1000)


def _network(group: int) -> Manifest:
    return _document(
        "Network",
        f"net-{group:03}",
        {
            "mode": "nat",
            "cidr": _address(group, 0) + "/24",
            "dhcp": {"start": _address(group, 230), "end": _address(group, 250)},
        },
    )


def _pool(group: int) -> Manifest:
    name = f"pool-{group:03}"
    return _document("StoragePool", name, {"type": "dir", "path": f"/var/lib/estate/{name}"})


def _image(group: int) -> Manifest:
    return _document(
        "Image",
        f"image-{group:03}",
        {"pool": f"pool-{group:03}", "source": {"file": IMAGE_FILE}, "format": "iso"},
    )


def _disk(group: int) -> Manifest:
    return _document("Disk", f"disk-{group:03}", {"pool": f"pool-{group:03}", "size": "10GiB"})


def _document(
    kind: str, name: str, spec: Mapping[str, Any], labels: Mapping[str, str] | None = None
) -> Manifest:
    metadata: dict[str, Any] = {"name": name}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": dict(spec)}


def _address(group: int, last: int) -> str:
    return f"10.{group // 250}.{group % 250}.{last}"


def _mac(number: int) -> str:
    return f"52:54:00:{number >> 16:02x}:{number >> 8 & 0xFF:02x}:{number & 0xFF:02x}"
