"""A recovery plan between two vCenters, with the program as a person would use it; the test copies
the machine's disk from one to the other as an array does.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab.vcsim import Options, Vcsim, unavailable
from tests.live.program import Stack

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from tests.conformance.provider.vmware_outside import connected

pytestmark = [
    pytest.mark.live,
    pytest.mark.timeout(240),
    pytest.mark.xdist_group("vsphere-recovery"),
]

HOST = """\
apiVersion: provisioner/v1
kind: Host
metadata: {{name: {name}}}
spec:
  provider: vcenter
  connection:
    server: {vcsim.host}
    port: {vcsim.port}
    username: {vcsim.user}
    password: {{secretRef: "env://VSPHERE_PASSWORD"}}
    tls: {{caFile: "{vcsim.ca}"}}
    datacenter: DC0
    cluster: DC0_C0
    storagePool: LocalDS_0
---
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: {name}-disks}}
spec: {{host: {name}, type: dir, path: "{pool}"}}
---
apiVersion: provisioner/v1
kind: Network
metadata: {{name: {name}-lan}}
spec: {{host: {name}, mode: bridge, bridge: vSwitch0}}
---
apiVersion: provisioner/v1
kind: Site
metadata: {{name: site-{name}}}
spec: {{hosts: [{{host: {name}}}]}}
---
"""
SHOP = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {defaults: {host: near}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {name: root}
spec: {pool: near-disks, size: 4MiB, retention: delete}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web, labels: {app: shop}}
spec:
  placement: {host: near}
  memory: {size: 64MiB}
  disks: [{disk: root}]
  nics: [{name: lan, network: near-lan}]
  shutdownTimeout: 0s
  power: running
---
apiVersion: provisioner/v1
kind: SitePair
metadata: {name: both}
spec:
  first: site-near
  second: site-far
  pools: [{first: near-disks, second: far-disks}]
  networks: [{first: near-lan, second: far-lan}]
---
apiVersion: provisioner/v1
kind: ProtectionGroup
metadata: {name: shop}
spec:
  sitePair: both
  selector: {matchLabels: {app: shop}}
  recoveryPointObjective: 1h
  replication: {type: external}
---
apiVersion: provisioner/v1
kind: RecoveryPlan
metadata: {name: shop}
spec:
  groups: [{group: shop}]
  bubble: [{network: far-lan}]
  fencing: [{command: {argv: ['true']}, timeout: 10s}]
"""


class Shop(Stack):
    """The stack on two vCenters, applied."""

    def __init__(self, folder: Path, near: Vcsim, far: Vcsim) -> None:
        self.near, self.far = near, far
        self.pools = {name: folder / name for name in ("near", "far")}
        for pool in self.pools.values():
            pool.mkdir()
        text = HOST.format(name="near", vcsim=near, pool=self.pools["near"])
        text += HOST.format(name="far", vcsim=far, pool=self.pools["far"]) + SHOP
        super().__init__(folder, "", folder, text.replace("{", "{{").replace("}", "}}"))
        self.run("apply", "--yes")

    def dr(self, *arguments: str) -> dict[str, Any]:
        """Results of the tasks of a run, by their ids."""
        out = self.run("dr", *arguments, "--json")
        finished = json.loads(out.splitlines()[-1])
        return {task["id"]: task["result"] for task in finished["tasks"]}

    def guest_writes(self, site: str, data: bytes) -> None:
        """Have the machine's disk at a site hold something."""
        (disk,) = self.pools[site].rglob("root.*-flat.vmdk")
        disk.write_bytes(data)

    def array_copies(self, source: str, target: str) -> None:
        """Whatever an array does: files with their names and times."""
        shutil.copytree(
            self.pools[source], self.pools[target], copy_function=shutil.copy2, dirs_exist_ok=True
        )

    def data(self, site: str) -> list[bytes]:
        """What is on the disks at a site, those of drills included."""
        found = self.pools[site].rglob("*-flat.vmdk")
        return sorted(file.read_bytes() for file in found)


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    reason = unavailable()
    if reason is not None:
        pytest.skip(reason)
    with Vcsim(Options(machines=0)) as near, Vcsim(Options(machines=0)) as far:
        monkeypatch.setenv("VSPHERE_PASSWORD", near.password)
        yield Shop(tmp_path, near, far)


def machines(vcsim: Vcsim) -> dict[str, str]:
    """The power of what is on a vCenter, by name."""
    with connected(vcsim) as there:
        return {item.name: item.runtime.powerState for item in there.every(vim.VirtualMachine)}


def test_a_drill_a_failover_and_the_way_back(shop: Shop) -> None:
    shop.guest_writes("near", b"before")
    assert "no copy" in shop.run("replicate", "run", expect=1)
    shop.array_copies("near", "far")
    shop.run("replicate", "run")
    shop.guest_writes("near", b"after")
    shop.dr("test", "shop")
    assert {"drill-shop-web": "poweredOn"} == machines(shop.far)
    assert [b"before", b"before"] == shop.data("far")
    assert {"web": "poweredOn"} == machines(shop.near)
    assert 0 == shop.dr("cleanup", "shop")["left"]["left"]
    assert {} == machines(shop.far)
    assert [b"before"] == shop.data("far")
    shop.dr("failover", "shop", "--yes")
    assert {"web": "poweredOn"} == machines(shop.far)
    assert {"web": "poweredOff"} == machines(shop.near)
    assert [b"before"] == shop.data("far")
    shop.guest_writes("far", b"since then")
    shop.array_copies("far", "near")
    shop.dr("reprotect", "shop", "--yes")
    assert "held" in shop.run("apply", "--yes", expect=4)
    shop.dr("failback", "shop", "--yes")
    assert {"web": "poweredOn"} == machines(shop.near)
    assert {"web": "poweredOff"} == machines(shop.far)
    assert [b"since then"] == shop.data("near")
