"""A user who may make objects on vSphere and may not mark them: what was made stays the stack's,
and the next run completes it, or removes it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.vcsim_rules import Act

pytest.importorskip("pyVmomi")

from tests.faults.vspherestack import Outsider, VsphereStack

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(120),
    pytest.mark.xdist_group("vsphere-faults"),
]

NAMES = ("marked-dc", "marked-cluster", "marked-folder", "marked-pool", "marked-nfs", "marked-pod")
NETWORKS = ("marked-net", "marked-group")
RESOURCES: dict[str, Any] = {
    "Datacenter/marked-dc": {},
    "Cluster/marked-cluster": {},
    "Folder/marked-folder": {},
    "ResourcePool/marked-pool": {},
    "StoragePool/marked-nfs": {
        "type": "netfs",
        "source": {"host": "nas.example", "directory": "/exports/marked"},
    },
    "StoragePool/marked-pod": {"type": "cluster", "members": []},
    "Network/marked-net": {"mode": "isolated", "virtualSwitch": "standard"},
    "Network/marked-group": {
        "mode": "isolated",
        "virtualSwitch": "distributed",
        "bridge": "marked-switch",
    },
}
EVERYTHING = Counter([*NAMES, *NETWORKS, "marked-switch"])


@contextmanager
def unmarked(stack: VsphereStack) -> Iterator[None]:
    """As long as the user lacks the right to set custom attributes."""
    stack.configure(datacenter="DC0")
    stack.declare(RESOURCES)
    details = {"privilegeId": "Global.SetCustomField"}
    rule = stack.vcsim.fault("SetField", Act.FAULT, times=0, fault="NoPermission", details=details)
    with rule:
        ended = stack.apply()
        assert ("failed", ["PRV5304"] * len(RESOURCES)) == (ended.outcome, ended.codes), ended
        yield


def there(stack: VsphereStack) -> Counter[str]:
    """What there is of the stack, by name. The simulator keeps the uplinks of what is removed."""
    names = Outsider(stack.vcsim).names()
    return Counter(name for name in names if name[:7] == "marked-" and "Uplinks" not in name)


def test_the_next_run_completes_what_could_not_be_marked(stack: VsphereStack) -> None:
    with unmarked(stack):
        again = stack.apply()
        assert ("failed", ["PRV5304"] * len(RESOURCES)) == (again.outcome, again.codes)
    ended = stack.apply()
    assert ("done", []) == (ended.outcome, ended.codes), ended
    assert EVERYTHING == there(stack)
    assert [] == stack.steps()
    stack.verify()
    stack.declare({})
    assert "done" == stack.apply().outcome
    assert Counter() == there(stack)


def test_what_could_not_be_marked_can_be_removed(stack: VsphereStack) -> None:
    with unmarked(stack):
        stack.declare({})
        ended = stack.apply()
    assert ("done", []) == (ended.outcome, ended.codes), ended
    assert Counter() == there(stack)
    stack.verify()
