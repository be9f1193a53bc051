"""Clusters, hosts, pools and roles of a vCenter through the whole program: what is refused with the
plan, and what is done only when it has changed.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim

pytest.importorskip("pyVmomi")

from pyVmomi import vim

from tests.conformance.provider.vmware_outside import connected
from tests.faults.vspherestack import VsphereStack, without_waiting

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vsphere-connections")]

LOGIN = {"username": "root", "password": {"secretRef": "env://VSPHERE_PASSWORD"}}


def test_a_pool_of_a_cluster_that_will_have_no_drs(
    vcsim_vcenter: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    stack = VsphereStack(vcsim_vcenter, tmp_path, connection={"datacenter": "DC0"})
    pool = {"ResourcePool/gold": {"cluster": "plain"}}
    stack.declare({"Cluster/plain": {}, **pool})
    assert ["PRV2551"] == [found.code for found in stack.apply().problems]
    stack.declare({"Cluster/plain": {"drs": {"enabled": True}}, **pool})
    done = stack.apply()
    assert ("done", ()) == (done.outcome, done.problems)
    stack.declare({})
    assert "done" == stack.apply().outcome


def test_a_privilege_that_there_is_none_of(
    vcsim_vcenter: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    stack = VsphereStack(vcsim_vcenter, tmp_path)
    stack.declare({"Role/starter": {"privileges": ["VirtualMachine.Interact.PowerOnn"]}})
    [found] = stack.apply().problems
    assert ("PRV5323", True) == (found.code, "VirtualMachine.Interact.PowerOn " in found.hint)


def test_an_evc_mode_that_there_is_none_of(
    vcsim_vcenter: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    stack = VsphereStack(vcsim_vcenter, tmp_path, connection={"datacenter": "DC0"})
    stack.declare({"Cluster/plain": {"evcMode": "intel-brodwell"}})
    [found] = stack.apply().problems
    assert ("PRV5323", True) == (found.code, "intel-broadwell" in found.hint)


def test_a_host_is_licensed_only_when_that_changed(
    vcsim_vcenter: Vcsim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    stack = VsphereStack(vcsim_vcenter, tmp_path, connection={"datacenter": "DC0"})
    host = {"address": "192.0.2.9", "license": "00000-00000-00000-00000-00000", **LOGIN}
    assigned = []
    for changed in (
        {},
        {"maintenance": True},
        {"maintenance": True, "license": "11111-00000-00000-00000-00000"},
    ):
        vcsim_vcenter.reset_counts()
        stack.declare({"ClusterHost/node": {**host, **changed}})
        done = stack.apply()
        assert ("done", ()) == (done.outcome, done.problems)
        assigned.append(vcsim_vcenter.counts().get("UpdateAssignedLicense", 0))
    stack.declare({})
    assert "done" == stack.apply().outcome
    assert [0, 0, 1] == assigned


def test_a_datastore_that_no_host_of_the_cluster_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_waiting(monkeypatch)
    with simulated(Options(machines=0, cluster_hosts=1, datastores=2)) as vcsim:
        with connected(vcsim) as there:
            [store] = there.called(vim.Datastore, "LocalDS_1")
            for host in there.compute.host:
                host.configManager.datastoreSystem.RemoveDatastore(store)
            assert [] != there.called(vim.Datastore, "LocalDS_1")
        stack = VsphereStack(vcsim, tmp_path, connection={"storagePool": "LocalDS_1"})
        stack.declare({"VirtualMachine/web": {"memory": {"size": "64MiB"}}})
        [found] = stack.apply().problems
        said = "no host of DC0_C0 has the datastore LocalDS_1"
        assert ("PRV5330", said) == (found.code, found.summary)
        stack.configure(storagePool="LocalDS_0")
        assert "done" == stack.apply().outcome
