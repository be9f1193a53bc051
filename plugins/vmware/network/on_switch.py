"""Port groups of distributed switches, and such switches of their own."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from pyVmomi import vim

from provisioner.providers.api import InUse, ProviderError, Terminal
from provisioner_plugins.vmware.inventory import Inventory, name_of
from provisioner_plugins.vmware.network import distributed
from provisioner_plugins.vmware.network.finding import Finder
from provisioner_plugins.vmware.network.making import Making
from provisioner_plugins.vmware.network.reading import ENTITIES, READS, Network
from provisioner_plugins.vmware.network.rules import BRIDGE, DEFAULT_MTU, ISOLATED
from provisioner_plugins.vmware.network.standard import Touched
from provisioner_plugins.vmware.ownership import is_stamped_by
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.errors import EXISTS, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row

_OF_GROUP = (("vlan",), ("trunk",), ("security",), ("teaming",))


class OnSwitch(Making):
    """Implements :class:`~provisioner_plugins.vmware.network.making.Maker`."""

    def require_switch(self) -> None:
        """In its datacenter."""
        if self._resource.spec["mode"] == BRIDGE:
            self._existing_switch()

    def make(self, found: Network | None) -> tuple[Network, bool]:
        """The port group, before it its own switch."""
        own = self._resource.spec["mode"] == ISOLATED
        switch = self._own_switch() if own else self._existing_switch()
        if found is None:
            self._add_group(switch)
            return self._seen(), own
        return found, own

    def complete(self, network: Network) -> Network:
        """Nothing is left."""
        return network

    def change(self, network: Network, touched: Touched) -> None:
        """The port group, and what is the switch's if it is the network's own."""
        if any(map(touched, _OF_GROUP)):
            spec = distributed.edited(network.row, self._resource.spec, touched)
            managed = self._site.client.managed(network.row.kind, network.moid)
            self._run("change", lambda _: managed.ReconfigureDVPortgroup_Task(spec))
        switch = network.switch
        if switch is not None and self._resource.spec["mode"] == ISOLATED:
            if touched(("mtu",)):
                mtu = self._resource.spec.get("mtu", DEFAULT_MTU)
                self._reconfigure(switch, distributed.edited_switch(switch, (), (), mtu))
            if touched(("hosts",)) and "hosts" in self._resource.spec:
                self._bring_members(self._read_again(switch))

    def remove(self, network: Network, *, own_switch: bool) -> None:
        """The port group, after it its own switch."""
        managed = self._site.client.managed(network.row.kind, network.moid)
        self._destroy(managed, "remove")
        if own_switch and network.switch is not None:
            self._remove_switch(network.switch, network.moid)

    def clear_away(self) -> None:
        """Remove an isolated network's switch that was left empty."""
        if self._resource.spec.get("mode") != ISOLATED:
            return
        try:
            switch = self._switch()
        except Terminal:
            return  # the place itself is gone
        if switch is not None and self._is_ours(switch):
            self._remove_switch(switch, "")

    # --- the switch ---

    def _switch(self) -> Row | None:
        datacenter = self._datacenter()
        return next(
            (
                row
                for row in self._inventory.rows(vim.DistributedVirtualSwitch)
                if name_of(row) == self._switch_name
                and (above := self._inventory.above(row, vim.Datacenter)) is not None
                and above.moid == datacenter.moid
            ),
            None,
        )

    def _existing_switch(self) -> Row:
        found = self._switch()
        if found is None:
            every = self._inventory.rows(vim.DistributedVirtualSwitch)
            datacenter = name_of(self._datacenter())
            where = f"among the distributed ones of {datacenter}"
            raise Terminal(self._missing_switch([name_of(row) for row in every], where))
        return found

    def _own_switch(self) -> Row:
        found = self._switch()
        if found is None:
            found = self._make_switch()
        elif not self._is_ours(found):
            raise self._foreign_switch(f"is in datacenter {name_of(self._datacenter())}")
        if self._inventory.mark(found) is None:
            self._mark(found)
        self._bring_members(found)
        return found

    def _mark(self, switch: Row) -> None:
        """Refused, the switch is taken back: the journal tells of the port group alone."""
        managed = self._site.client.managed(switch.kind, switch.moid)
        try:
            self._marks.write(f"switch {name_of(switch)}", managed, Mark.of(self._resource))
        except Terminal:
            with suppress(ProviderError):
                self._remove_switch(switch, "")
            raise

    def _is_ours(self, switch: Row) -> bool:
        if self._proves_itself:
            return True
        mark = self._inventory.mark(switch)
        if mark is None:
            return self._resource.begun
        return is_stamped_by(self._resource, mark.stamp, switch.moid)

    def _make_switch(self) -> Row:
        spec, name = self._resource.spec, self._switch_name
        if "folder" in spec:
            folder = self._site.referred(self._resource, "Folder", ("folder",), spec["folder"]).moid
        else:
            folder = self._site.datacenter(self._resource).get("networkFolder")._GetMoId()
        managed = self._site.client.managed(vim.Folder, folder)
        config = distributed.new_switch(name, spec)
        self._run("make the switch of", lambda _: managed.CreateDVS_Task(config), EXISTS.code)
        self._look_again()
        return self._existing_switch()

    def _bring_members(self, switch: Row) -> None:
        """The hosts that shall be in the switch, and no others if they were named."""
        wanted = {row.moid for row in self._hosts()}
        members = {str(host._GetMoId()) for host in switch.get("summary.hostMember", ())}
        named = "hosts" in self._resource.spec
        managed = self._site.client.managed
        add = [managed(vim.HostSystem, moid) for moid in sorted(wanted - members)]
        remove = [managed(vim.HostSystem, moid) for moid in sorted(members - wanted) if named]
        if add or remove:
            self._reconfigure(switch, distributed.edited_switch(switch, add, remove))

    def _reconfigure(self, switch: Row, spec: Any) -> None:
        managed = self._site.client.managed(switch.kind, switch.moid)
        self._run("change the switch of", lambda _: managed.ReconfigureDvs_Task(spec))

    def _remove_switch(self, switch: Row, group: str) -> None:
        """Unless somebody else has begun to use it."""
        others = [
            row
            for row in self._inventory.rows(vim.dvs.DistributedVirtualPortgroup)
            if row.moid != group
            and row.get("config") is not None
            and distributed.switch_of(row) == switch.moid
            and not distributed.is_uplinks(row)
        ]
        if others:
            return
        members = [*switch.get("summary.hostMember", ())]
        try:
            if members:
                switch = self._read_again(switch)
                self._reconfigure(switch, distributed.edited_switch(switch, (), members))
            managed = self._site.client.managed(switch.kind, switch.moid)
            self._destroy(managed, "remove the switch of")
        except InUse:
            return

    # --- the port group ---

    def _add_group(self, switch: Row) -> None:
        managed = self._site.client.managed(switch.kind, switch.moid)
        spec = distributed.new(self._resource.name, self._resource.spec)
        self._run("make", lambda _: managed.AddDVPortgroup_Task([spec]), EXISTS.code)

    # --- parts ---

    def _destroy(self, managed: Any, verb: str) -> None:
        self._run(verb, lambda _: managed.Destroy_Task(), VANISHED.code)

    def _run(self, verb: str, start: Any, fine: str = "") -> None:
        """One task; the error ``fine`` says that it is done already."""
        what = f"{verb} network {self._resource.name}"
        try:
            self._site.run(what, start, self._deadline)
        except Terminal as problem:
            is_fine = problem.diagnostic.code == fine
            if not is_fine or (fine == EXISTS.code and not self._resource.begun):
                raise

    def _look_again(self) -> None:
        self._finder = Finder(self._site, Inventory(self._site.client, READS, ENTITIES))

    def _read_again(self, switch: Row) -> Row:
        """With the version that a change has given it."""
        self._look_again()
        return self._inventory.row(switch.moid) or switch
