"""Networks on an endpoint: read with the one sweep, made and changed on hosts or on a distributed
switch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pyVmomi import vim

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import (
    Change,
    Discovered,
    InUse,
    Observation,
    Outcome,
    Present,
    Resource,
    Terminal,
    Undetermined,
)
from provisioner.providers.capabilities import Undertaking, User
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.machine.properties import STAMP
from provisioner_plugins.vmware.marks import Marks
from provisioner_plugins.vmware.network.finding import Finder
from provisioner_plugins.vmware.network.making import Maker
from provisioner_plugins.vmware.network.on_hosts import OnHosts
from provisioner_plugins.vmware.network.on_switch import OnSwitch
from provisioner_plugins.vmware.network.reading import (
    ENTITIES,
    OWN_SWITCH,
    READS,
    Network,
    discovered_spec,
    notes_of,
    present,
    spec_of,
)
from provisioner_plugins.vmware.network.rules import DISTRIBUTED, ISOLATED, makes_switch
from provisioner_plugins.vmware.ownership import (
    gone,
    half_made,
    is_stamped_by,
    not_ours,
    owner_of,
    require_time,
    taken,
)
from provisioner_plugins.vmware.references import References
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.specs import touches
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row, Wanted

_AROUND = frozenset({"Datacenter", "Cluster", "ClusterHost"})
"""Kinds that may bring a switch with them."""
_OF_USERS: Wanted = {vim.VirtualMachine: ("network", "runtime.powerState", STAMP)}


class NetworkHandler:
    """Handler of the kind Network."""

    kind = "Network"
    reads: Wanted = READS

    def __init__(self, site: Site) -> None:
        self._site = site
        self._marks = Marks(site.client)

    # --- reading ---

    def observe(
        self, inventory: Inventory, targets: Sequence[Resource]
    ) -> Mapping[Address, Observation]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        finder = Finder(self._site, inventory)
        names = References(targets[0].related if targets else {})
        answers: dict[Address, Observation] = {}
        for target in targets:
            found = finder.find(target)
            if isinstance(found, Network):
                spec = spec_of(found, inventory, target.spec, names)
                answers[target.address] = present(found, self._owner(target, found), spec)
            else:
                answers[target.address] = found
        return answers

    def discover(self, inventory: Inventory) -> Iterator[Discovered]:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        every = [*Finder(self._site, inventory).networks.every()]
        names = [network.name for network in every]
        for network in every:
            stamp = None if network.mark is None else network.mark.stamp
            unique = names.count(network.name) == 1
            yield Discovered(
                self.kind,
                network.name if unique else inventory.path(network.row),
                present(network, stamp, discovered_spec(network, inventory)),
                notes=notes_of(network),
            )

    # --- looking ahead ---

    def preflight(
        self, inventory: Inventory, undertaking: Undertaking, deadline: Deadline, *, thorough: bool
    ) -> Iterator[Diagnostic]:
        """See :class:`~provisioner_plugins.vmware.handler.LooksAhead`: a port group on a switch of
        others needs one that is there. Raises Terminal.
        """
        del thorough
        resource = undertaking.resource
        if undertaking.creates and not _is_to_come(resource):
            self._maker(resource, Finder(self._site, inventory), deadline).require_switch()
        yield from ()

    # --- writing ---

    def create(self, resource: Resource, deadline: Deadline) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        finder = self._finder()
        found = finder.find(resource)
        if isinstance(found, Undetermined):
            raise Terminal(found.diagnostic)
        if isinstance(found, Network):
            if not self._is_ours(resource, found):
                raise Terminal(taken(resource, f"is {finder.networks.inventory.path(found.row)}"))
            if found.is_distributed != (resource.spec.get("virtualSwitch") == DISTRIBUTED):
                raise Terminal(taken(resource, "is a port group of another sort of switch"))
        maker = self._maker(resource, finder, deadline)
        network, own = maker.make(found if isinstance(found, Network) else None)
        own = own or bool(network.has_own_switch)
        with half_made():
            self._mark(resource, network, own_switch=own)
            network = maker.complete(network)
            maker.move(network, resource.spec)
        return _outcome(network)

    def update(
        self,
        resource: Resource,
        observed: Present,
        changes: Sequence[Change],
        restart: bool,
        deadline: Deadline,
    ) -> Outcome:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        del restart
        require_time(resource, deadline)
        finder = self._finder()
        network = self._own(resource, finder, observed.external_id)
        maker = self._maker(resource, finder, deadline)
        touched = touches(changes)
        maker.change(network, touched)
        if touched(("folder",)):
            maker.move(network, resource.spec)
        own = network.has_own_switch
        self._mark(resource, network, own_switch=_says_own(resource) if own is None else own)
        return _outcome(network)

    def adopt(self, resource: Resource, observed: Present, deadline: Deadline) -> Outcome:
        """Write the mark; where there is no room for one, that it is recorded is all."""
        require_time(resource, deadline)
        network = self._finder().networks.of_id(observed.external_id)
        if network is None:
            raise Terminal(gone(resource))
        mark = network.mark
        if mark is not None and not is_stamped_by(resource, mark.stamp, network.moid):
            raise Terminal(not_ours(resource, mark.stamp))
        own = network.has_own_switch
        if own is None:
            own = _says_own(resource) and not network.reaches_out
        self._mark(resource, network, own_switch=own)
        return _outcome(network)

    def delete(self, resource: Resource, deadline: Deadline) -> None:
        """See :class:`~provisioner_plugins.vmware.handler.KindHandler`."""
        require_time(resource, deadline)
        finder = self._finder()
        maker = self._maker(resource, finder, deadline)
        network = finder.known(resource)
        if network is None and resource.begun:
            named = finder.find(resource)
            network = named if isinstance(named, Network) else None
        if network is None:
            maker.clear_away()
            return
        if not self._is_ours(resource, network):
            raise Terminal(not_ours(resource, self._owner(resource, network)))
        users = self._users(resource, network)
        if users:
            raise InUse(_in_use(resource, users))
        own = network.has_own_switch
        maker.remove(network, own_switch=_says_own(resource) if own is None else own)

    def users(self, inventory: Inventory, resource: Resource) -> Sequence[User]:
        """See :class:`~provisioner_plugins.vmware.handler.UsedKind`."""
        network = Finder(self._site, inventory).known(resource)
        return () if network is None else self._users(resource, network)

    # --- parts ---

    def _finder(self) -> Finder:
        return Finder(self._site, Inventory(self._site.client, READS, ENTITIES))

    def _maker(self, resource: Resource, finder: Finder, deadline: Deadline) -> Maker:
        is_distributed = resource.spec.get("virtualSwitch") == DISTRIBUTED
        kind = OnSwitch if is_distributed else OnHosts
        return kind(self._site, self._marks, resource, finder, deadline)

    def _owner(self, resource: Resource, network: Network) -> Any:
        stamp = None if network.mark is None else network.mark.stamp
        have_room = self._marks.have_room
        return owner_of(resource, stamp, network.moid, have_room=have_room)

    def _is_ours(self, resource: Resource, network: Network) -> bool:
        return is_stamped_by(resource, self._owner(resource, network), network.moid)

    def _own(self, resource: Resource, finder: Finder, external_id: str) -> Network:
        network = finder.networks.of_id(external_id)
        if network is None:
            raise Terminal(gone(resource))
        if not self._is_ours(resource, network):
            raise Terminal(not_ours(resource, self._owner(resource, network)))
        return network

    def _mark(self, resource: Resource, network: Network, *, own_switch: bool) -> None:
        mark = Mark.of(resource, {OWN_SWITCH: True} if own_switch else {})
        if network.mark is None or network.mark.text() != mark.text():
            managed = self._site.client.managed(network.row.kind, network.moid)
            self._marks.write(f"network {resource.name}", managed, mark)

    def _users(self, resource: Resource, network: Network) -> Sequence[User]:
        """Running machines of others in the network. Machines of the stack do not keep it: they go
        before it, or are plugged into its successor afterwards.
        """
        inventory = Inventory(self._site.client, _OF_USERS, (vim.VirtualMachine,))
        rows = inventory.rows(vim.VirtualMachine)
        used = [row for row in rows if _is_in(row, network.moid) and not _is_of(row, resource)]
        return [User(row.moid, f"machine {name_of(row)}") for row in used]


def _outcome(network: Network) -> Outcome:
    return Outcome(network.moid, {"bridge": network.switch_name})


def _says_own(resource: Resource) -> bool:
    return bool(resource.spec.get("mode") == ISOLATED)


def _is_in(row: Row, network: str) -> bool:
    runs = row.get("runtime.powerState") == vim.VirtualMachine.PowerState.poweredOn
    return runs and any(item._GetMoId() == network for item in row.get("network", ()))


def _is_of(row: Row, resource: Resource) -> bool:
    value = row.get(STAMP)
    mark = None if value is None else Mark.parse(value.value)
    return mark is not None and mark.stamp.lineage == resource.stamp.lineage


def _in_use(resource: Resource, users: Sequence[User]) -> Any:
    return error(
        "PRV5320",
        f"network {resource.name} is used by {', '.join(user.text for user in users[:3])}"
        + (f" and {len(users) - 3} more" if len(users) > 3 else ""),
        hint="Plug them into another network, or shut them down; then apply again.",
        address=str(resource.address),
    )


def _is_to_come(resource: Resource) -> bool:
    """Whether something that the stack is still to make may bring the switch of a network."""
    return any(
        other.external_id is None
        and (address.kind in _AROUND or (address.kind == "Network" and makes_switch(other.spec)))
        for address, other in resource.related.items()
    )
