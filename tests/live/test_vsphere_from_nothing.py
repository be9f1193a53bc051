"""A vCenter that has nothing yet gets all of a stack in one apply, and loses it in one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.lab.vcsim import Vcsim

pytest.importorskip("pyVmomi")

from tests.faults.vspherestack import VsphereStack, without_waiting

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-connections")]

LOGIN = {"username": "root", "password": {"secretRef": "env://VSPHERE_PASSWORD"}}
PLACES: dict[str, Any] = {
    "Datacenter/zero": {},
    "Cluster/shop": {"datacenter": "zero"},
    "ClusterHost/node": {"cluster": "shop", "address": "192.0.2.7", **LOGIN},
    "StoragePool/files": {
        "datacenter": "zero",
        "type": "netfs",
        "source": {"host": "192.0.2.8", "directory": "/files"},
    },
    "Network/lan": {"mode": "isolated", "datacenter": "zero", "bridge": "lan"},
}
MACHINE = {"memory": {"size": "64MiB"}, "nics": [{"name": "lan", "network": "lan"}]}
CONNECTION = {"datacenter": "zero", "cluster": "shop", "storagePool": "files"}


@pytest.mark.parametrize(
    ("connection", "placement"),
    [
        ({"cluster": None}, {"cluster": "shop", "storagePool": "files"}),
        (CONNECTION, None),
    ],
    ids=["placed", "by-the-connection"],
)
def test_in_one_apply(
    vcsim_vcenter: Vcsim,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    connection: dict[str, Any],
    placement: dict[str, str] | None,
) -> None:
    without_waiting(monkeypatch)
    stack = VsphereStack(vcsim_vcenter, tmp_path, connection=connection)
    if placement is not None:
        stack.configure(datacenter="zero")
    machine = MACHINE if placement is None else {**MACHINE, "placement": placement}
    # Sorted before all that it needs.
    stack.declare({**PLACES, "VirtualMachine/a": machine})
    done = stack.apply()
    assert ("done", ()) == (done.outcome, done.problems)
    assert [] == stack.steps()
    stack.declare({})
    assert "done" == stack.apply().outcome
