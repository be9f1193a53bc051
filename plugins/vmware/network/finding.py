"""Finds the networks of resources among those of an inventory."""

from __future__ import annotations

from collections.abc import Sequence

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.identity import Stamp
from provisioner.providers.api import Absent, Resource, Terminal, Undetermined
from provisioner_plugins.vmware.inventory import Inventory
from provisioner_plugins.vmware.network.reading import Network, Networks
from provisioner_plugins.vmware.network.rules import DISTRIBUTED, STANDARD
from provisioner_plugins.vmware.site import Site


class Finder:
    """Made for one look at an inventory."""

    def __init__(self, site: Site, inventory: Inventory) -> None:
        self._site = site
        self.networks = Networks(inventory)
        self._by_id: dict[str, Network] = {}
        self._by_stamp: dict[Stamp, Network] = {}
        self._by_name: dict[str, list[Network]] = {}
        for network in self.networks.every():
            self._by_id[network.moid] = network
            if network.mark is not None:
                self._by_stamp[network.mark.stamp] = network
            self._by_name.setdefault(network.name, []).append(network)

    def known(self, target: Resource) -> Network | None:
        """The network of a resource by its recorded id, else by its mark."""
        return self._by_id.get(target.external_id or "") or self._by_stamp.get(target.stamp)

    def find(self, target: Resource) -> Network | Absent | Undetermined:
        """The network of a resource: as :meth:`known`, else by its name."""
        found = self.known(target) or self._named(target)
        if isinstance(found, Network) and self._is_dark(found):
            return Undetermined(_unseen(target, self._path(found)))
        return found

    def _named(self, target: Resource) -> Network | Absent | Undetermined:
        found = self._by_name.get(target.name, [])
        if target.name.startswith("/"):
            found = [item for item in self._by_id.values() if self._path(item) == target.name]
        if found and (len(found) > 1 or not target.exact):
            try:
                datacenter = self._datacenter(target)
            except Terminal as problem:
                if target.exact:
                    paths = [self._path(item) for item in found]
                    return Undetermined(_ambiguous(target, paths))
                return Undetermined(problem.diagnostic)
            found = [item for item in found if self._place(item) == datacenter]
        if len(found) > 1:
            # A host that joins may bring a port group that is called like a distributed one.
            wanted = target.spec.get("virtualSwitch", STANDARD) == DISTRIBUTED
            found = [item for item in found if item.is_distributed == wanted] or found
        if len(found) > 1:
            return Undetermined(_ambiguous(target, [self._path(item) for item in found]))
        return found[0] if found else Absent()

    def _datacenter(self, target: Resource) -> str | None:
        """The id of the datacenter in which a name counts; None while it is still to be made."""
        name = target.spec.get("datacenter")
        if name is not None:
            resource = target.related.get(Address("Datacenter", name))
            return None if resource is None else resource.external_id
        return self._site.datacenter(target).moid

    def _place(self, network: Network) -> str | None:
        found = self.networks.inventory.above(network.row, vim.Datacenter)
        return None if found is None else found.moid

    def _path(self, network: Network) -> str:
        return self.networks.inventory.path(network.row)

    def _is_dark(self, network: Network) -> bool:
        """Whether none of its hosts lets this user see how it is configured."""
        hosts = network.hosts
        return (
            not network.is_distributed
            and not network.groups
            and any(host in self.networks.unread for host in hosts)
        )


def _ambiguous(target: Resource, paths: Sequence[str]) -> Diagnostic:
    return error(
        "PRV5324",
        f"{len(paths)} networks are called {target.name!r}",
        detail=f"Their paths: {', '.join(paths)}.",
        hint="Write the whole path into metadata.externalName.",
        address=str(target.address),
        path=("externalName",),
    )


def _unseen(target: Resource, path: str) -> Diagnostic:
    return error(
        "PRV5304",
        f"{path}: permission denied",
        detail="The user may not read config.network of its hosts.",
        hint="Give the user of the connection the privilege System.Read on them.",
        address=str(target.address),
    )
