"""A stack of machines on the vSphere simulator, for the benchmark of plans and for the test that
counts requests.
"""

from __future__ import annotations

from pathlib import Path

from tests.bench.estate import API_VERSION, write_documents
from tests.lab.vcsim import Vcsim

PASSWORD = "VSPHERE_PASSWORD"
"""The environment variable that the password is in."""


def write(folder: Path, machines: int, vcsim: Vcsim) -> None:
    """Write a stack of so many stopped machines, each with an empty CD drive."""
    folder.mkdir(parents=True, exist_ok=True)
    connection = {
        "server": vcsim.host,
        "port": vcsim.port,
        "username": vcsim.user,
        "password": {"secretRef": f"env://{PASSWORD}"},
        "tls": {"caFile": str(vcsim.ca)},
        "cluster": "DC0_C0",
    }
    write_documents(
        folder / "stack.yaml",
        [
            {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "bench"}, "spec": {}},
            _document("Host", "lab", {"provider": "vcenter", "connection": connection}),
        ],
    )
    write_documents(
        folder / "machines.yaml", (_machine(number) for number in range(1, machines + 1))
    )


def _machine(number: int) -> dict[str, object]:
    return _document(
        "VirtualMachine",
        f"vm-{number:05}",
        {
            "description": f"Machine {number} of the benchmark",
            "cpu": {"count": 1, "max": 2},
            "memory": {"size": "64MiB", "max": "128MiB"},
            "cdroms": [{"name": "setup"}],
            "power": "stopped",
        },
    )


def _document(kind: str, name: str, spec: dict[str, object]) -> dict[str, object]:
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}, "spec": spec}
