"""Network cards: read, made, edited."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.values import Json
from provisioner_plugins.vmware.machine.naming import named

_Card = vim.vm.device.VirtualEthernetCard
MODELS: Mapping[str, type] = {
    "vmxnet3": vim.vm.device.VirtualVmxnet3,
    "e1000": vim.vm.device.VirtualE1000,
    "e1000e": vim.vm.device.VirtualE1000e,
}
_MANUAL = "manual"


def cards_of(
    devices: Sequence[Any], known: Mapping[str, str], wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """The machine's cards by name. ``known`` are names with MAC addresses from its mark,
    ``wanted`` the section ``nics`` of a spec.
    """
    found = sorted((item for item in devices if isinstance(item, _Card)), key=lambda d: d.key)
    by_mac = [(mac_of(card), card) for card in found]
    hoped = {name: str(card.get("mac", "")) for name, card in wanted.items()}
    return named(by_mac, known, hoped, otherwise="nic")


def mac_of(card: Any) -> str:
    """The MAC address in canonical form; "" as long as the card has none."""
    return str(card.macAddress or "").lower()


def model_of(card: Any) -> str:
    """The model; for one that no field can name, vSphere's name of its type."""
    for name, kind in MODELS.items():
        if isinstance(card, kind):
            return name
    return type(card).__name__.rsplit(".", 1)[-1]


def network_of(card: Any) -> str | None:
    """The managed object id of the network of a card; None for one that has none."""
    backing = card.backing
    if isinstance(backing, _Card.DistributedVirtualPortBackingInfo):
        return str(backing.port.portgroupKey)
    network = getattr(backing, "network", None)
    return None if network is None else str(network._GetMoId())


def describe(card: Any, network: str) -> dict[str, Json]:
    """A card as an element of ``nics``; ``network`` is what its network is called."""
    plugged = card.connectable is None or bool(card.connectable.startConnected)
    return {
        "network": network,
        "mac": mac_of(card),
        "model": model_of(card),
        "link": "up" if plugged else "down",
    }


def make(wanted: Mapping[str, Any], backing: Any, key: int) -> Any:
    """A new card; ``backing`` is what it is plugged into."""
    card = MODELS[str(wanted.get("model", "vmxnet3"))](key=key)
    edit(card, wanted, backing)
    return card


def edit(card: Any, wanted: Mapping[str, Any], backing: Any) -> None:
    """Bring a card to what is wanted, but for its model."""
    card.backing = backing
    if "mac" in wanted:
        card.addressType, card.macAddress = _MANUAL, wanted["mac"]
    elif not card.macAddress:
        card.addressType = "generated"
    up = wanted.get("link", "up") == "up"
    card.connectable = vim.vm.device.VirtualDevice.ConnectInfo(
        startConnected=up, connected=up, allowGuestControl=True
    )


def backing_of(site: Any, network: Any) -> Any:
    """What a card of this network (a row of the inventory) is plugged into."""
    moref = site.client.managed(network.kind, network.moid)
    if not issubclass(network.kind, vim.dvs.DistributedVirtualPortgroup):
        return _Card.NetworkBackingInfo(deviceName=network.get("name"), network=moref)
    switch = site.client.read(
        f"read the switch of network {network.get('name')}",
        lambda _: moref.config.distributedVirtualSwitch.uuid,
    )
    port = vim.dvs.PortConnection(portgroupKey=network.moid, switchUuid=switch)
    return _Card.DistributedVirtualPortBackingInfo(port=port)
