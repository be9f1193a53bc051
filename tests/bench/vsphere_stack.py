"""A stack of machines on the vSphere simulator, for the benchmark of plans and for the test that
counts requests.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from tests.bench.estate import API_VERSION, write_documents
from tests.lab.vcsim import Vcsim

PASSWORD = "VSPHERE_PASSWORD"
"""The environment variable that the password is in."""


def write(
    folder: Path, machines: int, vcsim: Vcsim, *, tags: Mapping[str, str] | None = None
) -> None:
    """Write a stack of so many stopped machines, each with an empty CD drive; with ``tags``, which
    are labels of each, that the vCenter shows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    connection = {
        "server": vcsim.host,
        "port": vcsim.port,
        "username": vcsim.user,
        "password": {"secretRef": f"env://{PASSWORD}"},
        "tls": {"caFile": str(vcsim.ca)},
        "cluster": "DC0_C0",
        **({} if tags is None else {"labels": ["tags"]}),
    }
    write_documents(
        folder / "stack.yaml",
        [
            {"apiVersion": API_VERSION, "kind": "Stack", "metadata": {"name": "bench"}, "spec": {}},
            _document("Host", "lab", {"provider": "vcenter", "connection": connection}),
        ],
    )
    write_documents(
        folder / "machines.yaml",
        (_machine(number, tags or {}) for number in range(1, machines + 1)),
    )


def _machine(number: int, labels: Mapping[str, str]) -> dict[str, object]:
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
        labels,
    )


def _document(
    kind: str, name: str, spec: dict[str, object], labels: Mapping[str, str] | None = None
) -> dict[str, object]:
    metadata = {"name": name, **({"labels": labels} if labels else {})}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, "spec": spec}
