"""Has vSphere customise a Linux guest: when the machine starts next, VMware Tools in the guest set
its name, its time zone and the addresses of its cards.

Source: vSphere Web Services API, CustomizationSpec and VirtualMachine.CustomizeVM_Task.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Interface
from typing import Any

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.providers.api import Resource, Terminal
from provisioner_plugins.vmware.machine import properties
from provisioner_plugins.vmware.machine.customization import FIELD, obstacle
from provisioner_plugins.vmware.machine.reading import Machine
from provisioner_plugins.vmware.ownership import gone
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import look

_Words = vim.vm.customization
_READ = {vim.VirtualMachine: (*properties.OF_ONE, properties.TOOLS, properties.PENDING)}


def specification(resource: Resource, cards: Sequence[str]) -> Any:
    """What the guest is told. ``cards`` are the names of all cards of the machine in the order of
    their devices: vSphere wants to hear of each.
    """
    section: Mapping[str, Any] = resource.spec[FIELD]
    name = section.get("hostName")
    addresses = section.get("nics", {})
    return _Words.Specification(
        options=_Words.LinuxOptions(),
        identity=_Words.LinuxPrep(
            hostName=_Words.VirtualMachineNameGenerator()
            if name is None
            else _Words.FixedName(name=name),
            domain=section.get("domain", ""),
            timeZone=section.get("timeZone"),
        ),
        globalIPSettings=_Words.GlobalIPSettings(
            dnsServerList=list(section.get("dnsServers", ())),
            dnsSuffixList=list(section.get("dnsSuffixes", ())),
        ),
        nicSettingMap=[
            _Words.AdapterMapping(adapter=_adapter(addresses.get(card, {}))) for card in cards
        ],
    )


def _adapter(wanted: Mapping[str, Any]) -> Any:
    if "address" not in wanted:
        return _Words.IPSettings(ip=_Words.DhcpIpGenerator())
    interface = IPv4Interface(wanted["address"])
    return _Words.IPSettings(
        ip=_Words.FixedIp(ipAddress=str(interface.ip)),
        subnetMask=str(interface.netmask),
        gateway=[wanted["gateway"]] if "gateway" in wanted else [],
    )


def customize(
    site: Site, resource: Resource, entity: Any, deadline: Deadline, *, anew: bool
) -> None:
    """Have the guest of a machine that is switched off customised at its next start. ``anew``: also
    where that was asked for before, and it has not started since.

    Raises Terminal (PRV5342) for a guest that cannot be.
    """
    what = f"customise the guest of machine {resource.name}"
    rows = look(site.client, what, (entity,), _READ)
    if not rows:
        raise Terminal(gone(resource))
    machine, waits = Machine.fresh(rows[0], resource.spec), bool(rows[0].get(properties.PENDING))
    if not anew and (waits or machine.power != "stopped"):
        return  # it comes with the next start, or came with the first one
    problem = obstacle(resource, machine.record.guest, str(rows[0].get(properties.TOOLS, "")))
    if problem is not None:
        raise Terminal(problem)
    if waits:
        # Another one is refused as long as the first one waits.
        forgotten = vim.vm.ConfigSpec(tools=vim.vm.ToolsConfigInfo(pendingCustomization=""))
        site.run(what, lambda _: entity.ReconfigVM_Task(forgotten), deadline)
    cards = sorted(machine.cards, key=lambda name: machine.cards[name].key)
    spec = specification(resource, cards)
    site.run(what, lambda _: entity.CustomizeVM_Task(spec), deadline)
