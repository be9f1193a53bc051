"""Network cards: ``<interface>``.

A card is known by its alias ``ua-<name>``. Cards of a domain that somebody else made have none:
they are matched to the wanted ones by MAC address, then by network. One whose MAC address stands in
the manifest needs no alias, and gets none.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from provisioner_plugins._libvirt.xml import Element, attribute, child, element, remove_all
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain.tree import devices as devices_of

ALIAS = "ua-"
USER = "user"


def write(
    domain: Element,
    nics: Mapping[str, Mapping[str, Any]],
    authored: Mapping[str, Mapping[str, Any]],
    bindings: Bindings,
    ignored: Collection[Element] = (),
) -> None:
    """Make the domain have exactly these cards; those that are there already are changed in
    place, those ``ignored`` are none of them. ``authored`` are the cards as the author wrote them.
    """
    present = find(domain, bindings, nics, ignored)
    devices = child(domain, "devices")
    for name in present.keys() - nics.keys():
        devices.remove(present[name])
    for name, nic in nics.items():
        node = present.get(name)
        if node is None:
            node = element("interface")
            devices.append(node)
        mac = mac_of(node)
        if mac is None or mac != authored.get(name, {}).get("mac"):
            child(node, "alias").set("name", ALIAS + name)
        _write_one(node, nic, bindings)


def _write_one(node: Element, nic: Mapping[str, Any], bindings: Bindings) -> None:
    network = nic["network"]
    if bindings.network_name(node, network) != network:
        _plug(node, network, bindings)
    if "mac" in nic:
        child(node, "mac").set("address", nic["mac"])
    # The rest of <model> and <link> is not ours.
    child(node, "model").set("type", nic.get("model", "virtio"))
    if nic.get("link", "up") == "down":
        child(node, "link").set("state", "down")
    else:
        remove_all(node, "link")


def _plug(node: Element, network: str, bindings: Bindings) -> None:
    for tag in ("source", "ip", "virtualport", "target"):
        remove_all(node, tag)
    libvirt_name = bindings.network(network)
    if libvirt_name is not None:
        node.set("type", "network")
        node.append(element("source", {"network": libvirt_name}))
        return
    node.set("type", USER)
    subnet = bindings.user_subnet(network)
    if subnet is not None:
        node.append(
            element(
                "ip",
                {
                    "family": "ipv4",
                    "address": subnet.network_address,
                    "prefix": subnet.prefixlen,
                },
            )
        )


def find(
    domain: Element,
    bindings: Bindings,
    wanted: Mapping[str, Mapping[str, Any]],
    ignored: Collection[Element] = (),
) -> dict[str, Element]:
    """The cards of a definition by name; one that is nobody's goes by its MAC address."""
    named: dict[str, Element] = {}
    nameless: list[Element] = []
    for node in devices_of(domain, "interface"):
        if node in ignored:
            continue
        name = alias_name(node)
        if name is not None:
            named[name] = node
        else:
            nameless.append(node)
    if nameless:
        _match(named, nameless, bindings, wanted)
    return named


def _match(
    named: dict[str, Element],
    nameless: list[Element],
    bindings: Bindings,
    wanted: Mapping[str, Mapping[str, Any]],
) -> None:
    def take(name: str, suits: Any) -> None:
        node = next((node for node in nameless if suits(node)), None)
        if node is not None:
            nameless.remove(node)
            named[name] = node

    open_names = [name for name in wanted if name not in named]
    for name in open_names:
        mac = wanted[name].get("mac")
        if mac is not None:
            take(name, lambda node, mac=mac: mac_of(node) == mac)
    for name in open_names:
        network = wanted[name].get("network")
        if name not in named:
            take(
                name,
                lambda node, network=network: bindings.network_name(node, network) == network,
            )
    for node in nameless:
        named[mac_of(node) or f"unnamed-{len(named)}"] = node


def alias_name(node: Element) -> str | None:
    """The name that we gave a card; None if it has none."""
    alias = attribute(node, "alias", "name") or ""
    return alias.removeprefix(ALIAS) if alias.startswith(ALIAS) else None


def mac_of(node: Element) -> str | None:
    """The MAC address of a card, lower case."""
    mac = attribute(node, "mac", "address")
    return mac.lower() if mac is not None else None


def read(
    domain: Element,
    bindings: Bindings,
    wanted: Mapping[str, Mapping[str, Any]],
    ignored: Collection[Element] = (),
) -> dict[str, dict[str, Any]]:
    """The cards of a definition by name."""
    return {
        name: read_one(node, bindings, wanted.get(name, {}))
        for name, node in find(domain, bindings, wanted, ignored).items()
    }


def read_one(node: Element, bindings: Bindings, wanted: Mapping[str, Any]) -> dict[str, Any]:
    """One card of a definition; ``wanted`` is what the author wants of it."""
    nic: dict[str, Any] = {
        "network": bindings.network_name(node, wanted.get("network")),
        "model": attribute(node, "model", "type") or "rtl8139",
        "link": attribute(node, "link", "state") or "up",
    }
    mac = mac_of(node)
    if mac is not None:
        nic["mac"] = mac
    order = attribute(node, "boot", "order")
    if order is not None:
        nic["bootOrder"] = int(order)
    return nic
