"""Network cards, as vSphere takes them: made and edited."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyVmomi import vim

from provisioner.core.values import Json
from provisioner_plugins.vmware.machine.addresses import GENERATED, type_of
from provisioner_plugins.vmware.machine.models import MODELS
from provisioner_plugins.vmware.machine.record import Device
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.sweep import Row

_Card = vim.vm.device.VirtualEthernetCard


def describe(card: Device, network: str) -> dict[str, Json]:
    """A card as an element of ``nics``; ``network`` is what its network is called."""
    return {
        "network": network,
        "mac": card.mac,
        "model": card.model,
        "link": "up" if card.plugged else "down",
    }


def make(wanted: Mapping[str, Any], backing: Any, key: int, instead_of: Any = None) -> Any:
    """A new card; ``backing`` is what it is plugged into, ``instead_of`` the one that it replaces,
    whose address it has if that is to stay.
    """
    card = MODELS[str(wanted.get("model", "vmxnet3"))](key=key)
    if instead_of is not None:
        card.addressType, card.macAddress = instead_of.addressType, instead_of.macAddress
    edit(card, wanted, backing)
    return card


def edit(card: Any, wanted: Mapping[str, Any], backing: Any) -> None:
    """Bring a card to what is wanted, but for its model. An address that it has already stays what
    it is: one that vSphere gave is refused as somebody's own.
    """
    card.backing = backing
    mac = wanted.get("mac")
    if mac is not None and mac != str(card.macAddress or "").lower():
        card.addressType, card.macAddress = type_of(mac), mac
    elif not card.macAddress:
        card.addressType = GENERATED
    up = wanted.get("link", "up") == "up"
    card.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=up, connected=up, allowGuestControl=True
    )


def backing_of(site: Site, network: Row) -> Any:
    """What a card of this network is plugged into."""
    moref = site.client.managed(network.kind, network.moid)
    if not issubclass(network.kind, vim.dvs.DistributedVirtualPortgroup):
        return _Card.NetworkBackingInfo(deviceName=network.get("name"), network=moref)
    switch = site.client.read(
        f"read the switch of network {network.get('name')}",
        lambda _: moref.config.distributedVirtualSwitch.uuid,
    )
    port = vim.dvs.PortConnection(portgroupKey=network.moid, switchUuid=switch)
    return _Card.DistributedVirtualPortBackingInfo(port=port)
