"""Machines in clusters that manifests name, and snapshots of running ones: what the surroundings of
the conformance suite have not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.providers.api import Change, Present, Resource
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim
from tests.live.vspherelab import machine, resource, session, soon

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from provisioner_plugins.vmware.session import VmwareSession
from tests.conformance.provider.vmware_outside import connected

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-storage")]

CLUSTERS = ("DC0_C0", "DC0_C1")


@pytest.fixture(scope="module")
def vcsim() -> Iterator[Vcsim]:
    with simulated(Options(machines=0, clusters=2)) as started:
        yield started


@pytest.fixture
def opened(vcsim: Vcsim) -> Iterator[VmwareSession]:
    with session(vcsim, cluster=None, storagePool="LocalDS_0") as found:
        yield found


@pytest.fixture
def clusters(vcsim: Vcsim) -> dict[Address, Resource]:
    """Those of the simulator, as recorded by a stack that calls them ``one`` and ``two``."""
    with connected(vcsim) as there:
        found = [there.called(vim.ClusterComputeResource, name)[0]._moId for name in CLUSTERS]
    made = [
        resource("Cluster", name, {}, external_id=moid)
        for name, moid in zip(("one", "two"), found, strict=True)
    ]
    return {each.address: each for each in made}


def seen(opened: VmwareSession, wanted: Resource) -> Any:
    found = opened.observe([wanted])[wanted.address]
    assert isinstance(found, Present)
    return found


def test_a_machine_is_made_in_its_cluster_and_moved_to_another(
    vcsim: Vcsim, opened: VmwareSession, clusters: dict[Address, Resource]
) -> None:
    web = replace(machine("web", placement={"cluster": "one"}, power="stopped"), related=clusters)
    web = replace(web, external_id=opened.create(web, soon()).external_id)
    assert "one" == seen(opened, web).spec["placement"]["cluster"]
    wanted = replace(web, spec={**web.spec, "placement": {"cluster": "two"}})
    change = Change(("placement", "cluster"), "one", "two")
    opened.update(wanted, seen(opened, web), [change], restart=False, deadline=soon())
    assert "two" == seen(opened, wanted).spec["placement"]["cluster"]
    with connected(vcsim) as there:
        [found] = there.called(vim.VirtualMachine, "web")
        # The simulator leaves it on its host all the same.
        assert CLUSTERS[1] == found.resourcePool.owner.name
    opened.delete(wanted, soon())


@pytest.mark.parametrize("memory", [True, False])
def test_a_snapshot_tells_whether_it_holds_the_memory(
    opened: VmwareSession, clusters: dict[Address, Resource], *, memory: bool
) -> None:
    web = replace(machine("web", placement={"cluster": "one"}, power="running"), related=clusters)
    web = replace(web, external_id=opened.create(web, soon()).external_id)
    snapshot = resource(
        "Snapshot", "before", {"machine": "web", "memory": memory}, related={web.address: web}
    )
    snapshot = replace(snapshot, external_id=opened.create(snapshot, soon()).external_id)
    assert memory == seen(opened, snapshot).spec["memory"]
    opened.delete(snapshot, soon())
    opened.delete(web, soon())
