"""Somebody else at the networks of a vSphere endpoint."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pyVmomi import vim

from provisioner.core.values import Path as FieldPath

if TYPE_CHECKING:
    from tests.conformance.provider.vmware_outside import Connected

BRIDGES = ("vSwitch0", "vSwitch1")
"""Switches of every host; the simulator has the first."""


def give_switches(there: Connected) -> None:
    """Give every host the second switch."""
    for host in there.every(vim.HostSystem):
        switch = vim.host.VirtualSwitch.Specification(numPorts=8)
        host.configManager.networkSystem.AddVirtualSwitch(BRIDGES[1], switch)


class Networks:
    """Port groups, each on a standard switch of its own on every host of the cluster."""

    def add(self, there: Connected, name: str) -> str:
        for host in there.compute.host:
            system = host.configManager.networkSystem
            system.AddVirtualSwitch(f"of-{name}", vim.host.VirtualSwitch.Specification(numPorts=8))
            system.AddPortGroup(
                vim.host.PortGroup.Specification(
                    name=name, vlanId=0, vswitchName=f"of-{name}", policy=vim.host.NetworkPolicy()
                )
            )
        [network] = there.called(vim.Network, name)
        return str(network._GetMoId())

    def change(self, there: Connected, name: str) -> FieldPath:
        for host, _, switch in self._parts(there, name):
            wider = vim.host.VirtualSwitch.Specification(numPorts=8, mtu=9000)
            host.configManager.networkSystem.UpdateVirtualSwitch(switch.name, wider)
        return ("mtu",)

    def remove(self, there: Connected, name: str) -> None:
        for host, group, switch in self._parts(there, name):
            host.configManager.networkSystem.RemovePortGroup(group.spec.name)
            host.configManager.networkSystem.RemoveVirtualSwitch(switch.name)

    def picture(self, there: Connected, name: str) -> object:
        found = there.called(vim.Network, name)
        marks = [str(item.customValue) for item in found]
        parts = [(str(group), str(switch)) for _, group, switch in self._parts(there, name)]
        return (marks, parts) if found else None

    def _parts(self, there: Connected, name: str) -> list[tuple[Any, Any, Any]]:
        return [
            (host, group, switch)
            for network in there.called(vim.Network, name)
            for host in network.host
            # One question: each look at a property is a call that brings the whole of it.
            for found in [host.configManager.networkSystem.networkInfo]
            for group in found.portgroup
            for switch in found.vswitch
            if group.spec.name == name and switch.name == group.spec.vswitchName
        ]
