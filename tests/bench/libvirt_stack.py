"""A stack of machines and disks on a real libvirt daemon, for the benchmark of observation and for
the test that counts calls.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.estate import API_VERSION, write_documents

DISKS = "disk-"
"""How the names of all disks begin, and so those of their volumes."""


DESCRIBED, CHANGED = "of the benchmark", "of the benchmark, changed"
"""What stands in the description of every machine, before and after :func:`change_each`."""


def write(folder: Path, objects: int, uri: str, volumes: Path) -> None:
    """Write a stack of ``objects`` stopped machines, each with a disk of its own and a card in user
    mode, so that it runs on an unprivileged daemon, too. ``volumes`` is the folder of the pool.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_documents(
        folder / "stack.yaml",
        [
            {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "bench"}, "spec": {}},
            _document("Host", "lab", {"provider": "kvm", "connection": {"uri": uri}}),
            _document("Network", "lan", {"mode": "user"}),
            _document("StoragePool", "pool", {"type": "dir", "path": str(volumes)}),
        ],
    )
    numbers = range(1, objects + 1)
    write_documents(
        folder / "disks.yaml",
        (
            _document(
                "Disk",
                f"{DISKS}{number:04}",
                {"pool": "pool", "size": "1GiB", "retention": "delete"},
            )
            for number in numbers
        ),
    )
    write_documents(folder / "machines.yaml", (_machine(number) for number in numbers))


def disks(objects: int) -> list[str]:
    """The addresses of all disks."""
    return [f"Disk/{DISKS}{number:04}" for number in range(1, objects + 1)]


def change_each(folder: Path) -> None:
    """Another description for each machine."""
    path = folder / "machines.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace(DESCRIBED, CHANGED), encoding="utf-8")


def _machine(number: int) -> dict[str, object]:
    return _document(
        "VirtualMachine",
        f"vm-{number:04}",
        {
            "description": f"Machine {number} {DESCRIBED}",
            "cpu": {"count": 1, "max": 2},
            "memory": {"size": "64MiB", "max": "128MiB"},
            "disks": [{"disk": f"{DISKS}{number:04}", "bootOrder": 1}],
            "nics": [
                {
                    "name": "lan",
                    "network": "lan",
                    "mac": f"52:54:00:00:{number >> 8:02x}:{number & 0xFF:02x}",
                }
            ],
            "power": "stopped",
        },
    )


def _document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
