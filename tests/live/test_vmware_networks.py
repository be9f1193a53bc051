"""Networks of vSphere on the simulator: what the conformance suite cannot see from outside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Secret
from provisioner.providers.api import (
    Change,
    Context,
    Endpoint,
    InUse,
    Present,
    Resource,
    Session,
    Terminal,
    Undetermined,
)
from provisioner_plugins.vmware import esxi, vcenter
from tests.lab.fixtures import simulated
from tests.lab.vcsim import Options, Vcsim

sdk = pytest.importorskip("pyVmomi")
outside = pytest.importorskip("tests.conformance.provider.vmware_outside")
vim = sdk.vim

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("vcsim")]

LINEAGE = uuid4()
ON_SWITCH: Mapping[str, Any] = {"mode": "bridge", "bridge": "vSwitch0"}
ISOLATED: Mapping[str, Any] = {"mode": "isolated"}
DISTRIBUTED: Mapping[str, Any] = {
    "mode": "bridge",
    "bridge": "DVS0",
    "virtualSwitch": "distributed",
}


class _Passwords:
    def resolve(self, reference: str) -> Secret:
        return Secret(reference.partition("://")[2], reference)


class Estate:
    """A session of the plugin at a simulator, and what somebody else sees there."""

    def __init__(self, vcsim: Vcsim, folder: Path, **connection: str) -> None:
        self.vcsim = vcsim
        self._clock = SystemClock()
        self._folder = folder
        self._provider = esxi() if vcsim.options.esx else vcenter()
        self._connection = connection
        self._made: list[Resource] = []
        self.session = self.open()

    def open(self) -> Session:
        connection = {
            "server": self.vcsim.host,
            "port": self.vcsim.port,
            "username": self.vcsim.user,
            "password": {"secretRef": f"lab://{self.vcsim.password}"},
            "tls": {"caFile": str(self.vcsim.ca)},
            **self._connection,
        }
        endpoint = Endpoint("lab", self._provider.describe().name, connection)
        context = Context(self._folder, self._clock, _Passwords(), lambda *_: None)
        return self._provider.open(endpoint, context)

    def deadline(self) -> Deadline:
        return Deadline.after(30, self._clock)

    def network(self, name: str, spec: Mapping[str, Any], **more: Any) -> Resource:
        address = Address("Network", name)
        stamp = Stamp(str(LINEAGE), str(address))
        plain = Resource(address, name, identity(LINEAGE, address), stamp, spec, **more)
        return replace(plain, spec=self._provider.normalise(plain))

    def make(self, name: str, spec: Mapping[str, Any], **more: Any) -> Resource:
        resource = self.network(name, spec, **more)
        outcome = self.session.create(resource, self.deadline())
        recorded = replace(resource, external_id=outcome.external_id, outputs=outcome.outputs)
        self._made.append(recorded)
        return recorded

    def present(self, resource: Resource) -> Present:
        found = self.session.observe([resource])[resource.address]
        assert isinstance(found, Present)
        return found

    def update(self, resource: Resource, spec: Mapping[str, Any], *changes: Change) -> Present:
        wanted = replace(resource, spec=spec)
        found = self.present(resource)
        self.session.update(wanted, found, changes, restart=False, deadline=self.deadline())
        return self.present(wanted)

    def close(self) -> None:
        for resource in self._made:
            self.session.delete(resource, self.deadline())
        self.session.close()

    def hosts_of(self, name: str) -> list[str]:
        with outside.connected(self.vcsim) as there:
            networks = there.called(vim.Network, name)
            return sorted(host.name for network in networks for host in network.host)

    def switches(self) -> set[str]:
        with outside.connected(self.vcsim) as there:
            found = {
                switch.name
                for host in there.every(vim.HostSystem)
                for switch in host.config.network.vswitch
            }
            return found | {dvs.name for dvs in there.every(vim.DistributedVirtualSwitch)}

    def plug_in(self, network: str) -> None:
        """Put the first machine, which runs, onto a network."""
        with outside.connected(self.vcsim) as there:
            [found] = there.called(vim.Network, network)
            machine = min(there.every(vim.VirtualMachine), key=lambda item: str(item.name))
            [card] = [
                item
                for item in machine.config.hardware.device
                if isinstance(item, vim.vm.device.VirtualEthernetCard)
            ]
            kind = vim.vm.device.VirtualEthernetCard.NetworkBackingInfo
            card.backing = kind(deviceName=found.name, network=found)
            change = vim.vm.device.VirtualDeviceSpec(operation="edit", device=card)
            outside.WaitForTask(machine.ReconfigVM_Task(vim.vm.ConfigSpec(deviceChange=[change])))


@pytest.fixture
def estate(vcsim_vcenter: Vcsim, tmp_path: Path) -> Iterator[Estate]:
    made = Estate(vcsim_vcenter, tmp_path)
    yield made
    made.close()


@pytest.fixture
def lone_host(vcsim_esxi: Vcsim, tmp_path: Path) -> Iterator[Estate]:
    made = Estate(vcsim_esxi, tmp_path)
    yield made
    made.close()


ALL_HOSTS = ["DC0_C0_H0", "DC0_C0_H1", "DC0_C0_H2", "DC0_H0"]


def test_a_port_group_of_several_hosts_is_one_network(estate: Estate) -> None:
    made = estate.make("lan", ON_SWITCH)
    assert ALL_HOSTS == estate.hosts_of("lan")
    found = [item for item in estate.session.discover({"Network"}) if item.name == "lan"]
    assert [made.external_id] == [item.observed.external_id for item in found]


def test_the_cluster_of_the_connection_says_on_which_hosts(
    vcsim_vcenter: Vcsim, tmp_path: Path
) -> None:
    estate = Estate(vcsim_vcenter, tmp_path, cluster="DC0_C0")
    estate.make("lan", ON_SWITCH)
    hosts = estate.hosts_of("lan")
    estate.close()
    assert ALL_HOSTS[:3] == hosts


def test_a_half_made_port_group_is_completed(estate: Estate) -> None:
    """The run died between two hosts."""
    with outside.connected(estate.vcsim) as there:
        host = min(there.every(vim.HostSystem), key=lambda item: str(item.name))
        host.configManager.networkSystem.AddPortGroup(
            vim.host.PortGroup.Specification(
                name="lan", vlanId=0, vswitchName="vSwitch0", policy=vim.host.NetworkPolicy()
            )
        )
    made = estate.make("lan", ON_SWITCH, begun=True)
    assert ALL_HOSTS == estate.hosts_of("lan")
    assert made.stamp == estate.present(replace(made, external_id=None)).owner


def test_hosts_are_added_and_taken_away(estate: Estate) -> None:
    with outside.connected(estate.vcsim) as there:
        ids = {str(host.name): str(host._GetMoId()) for host in there.every(vim.HostSystem)}
    related = {
        address: replace(estate.network(name, ISOLATED), address=address, external_id=moid)
        for name, moid in ids.items()
        for address in [Address("ClusterHost", name)]
    }
    first, second = ALL_HOSTS[:2]
    made = estate.make("lan", {**ON_SWITCH, "hosts": {first: {}}}, related=related)
    assert {first: {}} == estate.present(made).spec["hosts"]
    changes = [Change(("hosts", first), {}, None), Change(("hosts", second), None, {})]
    found = estate.update(made, {**ON_SWITCH, "hosts": {second: {}}}, *changes)
    assert ({second: {}}, made.external_id) == (found.spec["hosts"], found.external_id)


@pytest.mark.parametrize("sort", ["standard", "distributed"])
def test_a_network_is_moved_to_another_folder(tmp_path: Path, sort: str) -> None:
    address = Address("Folder", "networks")
    spec = {**ISOLATED, "virtualSwitch": sort}
    with simulated(Options(machines=0)) as vcsim:
        estate = Estate(vcsim, tmp_path)
        with outside.connected(vcsim) as there:
            moid = there.datacenter.networkFolder.CreateFolder("networks")._GetMoId()
        plain = estate.network("networks", ISOLATED)
        folder = replace(plain, address=address, external_id=str(moid))
        made = estate.make("lab", spec, related={address: folder})
        moved = {**spec, "folder": "networks"}
        found = estate.update(made, moved, Change(("folder",), None, "networks"))
        estate.close()
    assert "networks" == found.spec["folder"]


def test_a_difference_on_one_host_is_told_and_mended(estate: Estate) -> None:
    made = estate.make("lan", {**ON_SWITCH, "vlan": 5, "security": {"promiscuous": False}})
    with outside.connected(estate.vcsim) as there:
        [host] = there.called(vim.HostSystem, "DC0_C0_H1")
        group = next(g for g in host.config.network.portgroup if g.spec.name == "lan")
        group.spec.vlanId = 6
        group.spec.policy.security.allowPromiscuous = True
        host.configManager.networkSystem.UpdatePortGroup("lan", group.spec)
    before = estate.present(made).spec
    changes = [
        Change(("vlan",), 6, 5),
        Change(("security", "promiscuous"), before=True, after=False),
    ]
    after = estate.update(made, made.spec, *changes).spec
    assert [(6, True), (5, False)] == [
        (spec["vlan"], spec["security"]["promiscuous"]) for spec in (before, after)
    ]


@pytest.mark.parametrize("sort", ["standard", "distributed"])
def test_an_isolated_network_has_its_switch_to_itself(estate: Estate, sort: str) -> None:
    before = estate.switches()
    made = estate.make("lab", {**ISOLATED, "virtualSwitch": sort, "mtu": 9000})
    found = estate.present(made)
    assert {made.outputs["bridge"]} == estate.switches() - before
    assert ("isolated", 9000) == (found.spec["mode"], found.spec["mtu"])
    estate.session.delete(made, estate.deadline())
    assert before == estate.switches()


def test_a_switch_of_somebody_else_is_not_taken(estate: Estate) -> None:
    """It would go with the network."""
    wanted = estate.network("lab", {**ISOLATED, "bridge": "vSwitch0"})
    with pytest.raises(Terminal) as caught:
        estate.session.create(wanted, estate.deadline())
    assert ("PRV5318", ("bridge",)) == (caught.value.diagnostic.code, caught.value.diagnostic.path)


@pytest.mark.parametrize("sort", ["standard", "distributed"])
def test_a_switch_that_others_use_by_now_stays(estate: Estate, sort: str) -> None:
    made = estate.make("lab", {**ISOLATED, "virtualSwitch": sort})
    switch = str(made.outputs["bridge"])
    other = estate.make("guest", {"mode": "bridge", "bridge": switch, "virtualSwitch": sort})
    estate.session.delete(made, estate.deadline())
    assert switch in estate.switches()
    assert switch == estate.present(other).spec["bridge"]
    estate.session.delete(other, estate.deadline())
    estate.session.delete(replace(made, external_id=None), estate.deadline())
    assert switch not in estate.switches()


def test_a_switch_is_made_of_uplinks_where_there_is_none(estate: Estate) -> None:
    made = estate.make("lan", {"mode": "bridge", "bridge": "vSwitch9", "uplinks": ["vmnic1"]})
    assert ["vmnic1"] == estate.present(made).spec["uplinks"]
    estate.session.delete(made, estate.deadline())
    assert "vSwitch9" not in estate.switches()


def test_a_switch_with_other_uplinks_is_left_alone(estate: Estate) -> None:
    wanted = estate.network("lan", {**ON_SWITCH, "uplinks": ["vmnic1"]})
    with pytest.raises(Terminal) as caught:
        estate.session.create(wanted, estate.deadline())
    assert ("uplinks",) == caught.value.diagnostic.path


@pytest.mark.parametrize("spec", [ON_SWITCH, DISTRIBUTED])
def test_an_unknown_switch_is_told_with_its_neighbours(
    estate: Estate, spec: Mapping[str, Any]
) -> None:
    near = str(spec["bridge"])[:-1] + "9"
    with pytest.raises(Terminal) as caught:
        estate.session.create(estate.network("lan", {**spec, "bridge": near}), estate.deadline())
    assert "PRV5323" == caught.value.diagnostic.code
    assert f"Did you mean {spec['bridge']}?" == caught.value.diagnostic.hint


def test_machines_of_others_keep_a_network(tmp_path: Path) -> None:
    with simulated(Options(machines=1, hosts=0)) as vcsim:
        estate = Estate(vcsim, tmp_path)
        made = estate.make("lan", ON_SWITCH)
        estate.plug_in("lan")
        with pytest.raises(InUse) as caught:
            estate.session.delete(made, estate.deadline())
        assert "network lan is used by machine DC0_C0_RP0_VM0" == caught.value.diagnostic.summary
        assert "lan" == estate.present(made).name
        estate.session.close()


def test_a_read_costs_the_same_for_any_number_of_networks(estate: Estate) -> None:
    networks = [estate.make(f"lan{n}", ON_SWITCH) for n in range(5)]
    session = estate.open()

    def cost(targets: list[Resource]) -> int:
        before = sum(estate.vcsim.counts().values())
        session.observe(targets)
        return sum(estate.vcsim.counts().values()) - before

    costs = [cost(networks[:1]), cost(networks)]
    session.close()
    assert costs[0] == costs[1]


def test_names_of_several_datacenters_need_one(tmp_path: Path) -> None:
    with simulated(Options(machines=0, datacenters=2, hosts=0)) as vcsim:
        estate = Estate(vcsim, tmp_path)
        wanted = estate.network("VM Network", ON_SWITCH, exact=True)
        found = estate.session.observe([wanted])[wanted.address]
        path = "/DC1/network/VM Network"
        chosen = estate.network(path, ON_SWITCH, exact=True)
        there = estate.present(chosen)
        estate.session.close()
    assert isinstance(found, Undetermined)
    assert "PRV5324" == found.diagnostic.code
    assert path == there.name


def test_an_esxi_host_keeps_no_mark(lone_host: Estate) -> None:
    """What is recorded is ours, and what was begun; nothing else is."""
    made = lone_host.make("lan", ON_SWITCH)
    unknown = replace(made, external_id=None)
    owners = [
        lone_host.present(item).owner for item in (made, unknown, replace(unknown, begun=True))
    ]
    assert [made.stamp, None, made.stamp] == owners
