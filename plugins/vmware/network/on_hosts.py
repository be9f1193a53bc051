"""Port groups of standard switches: made on each of their hosts, which share one name and with it
one object of the vCenter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from provisioner.core.diagnostics import error
from provisioner.providers.api import InUse, Terminal
from provisioner_plugins.vmware.inventory import name_of
from provisioner_plugins.vmware.network.making import Making
from provisioner_plugins.vmware.network.reading import Network
from provisioner_plugins.vmware.network.rules import ISOLATED, makes_switch
from provisioner_plugins.vmware.network.standard import (
    HostGroup,
    Touched,
    edited_group,
    edited_switch,
    group_spec,
    groups_of,
    switch_spec,
    uplinks_of,
)
from provisioner_plugins.vmware.wire.errors import EXISTS, VANISHED
from provisioner_plugins.vmware.wire.sweep import Row

_OF_GROUP = (("vlan",), ("trunk",), ("security",), ("teaming",))
_OF_SWITCH = (("mtu",), ("uplinks",))


class OnHosts(Making):
    """Implements :class:`~provisioner_plugins.vmware.network.making.Maker`."""

    def require_switch(self) -> None:
        """On each host that is named; else on any."""
        if not makes_switch(self._resource.spec):
            self._chosen()

    def make(self, found: Network | None) -> tuple[Network, bool]:
        """On the first host: with that the endpoint knows it, and it can be marked."""
        hosts = self._chosen()
        spec = self._resource.spec
        own = spec["mode"] == ISOLATED or (
            makes_switch(spec) and all(self._switch(host) is None for host in hosts)
        )
        self._make_on(hosts[0], found)
        return self._seen(), own

    def complete(self, network: Network) -> Network:
        """On the other hosts."""
        before = network.hosts
        for host in self._chosen():
            self._make_on(host, network)
        return network if set(before) >= {host.moid for host in self._chosen()} else self._seen()

    def change(self, network: Network, touched: Touched) -> None:
        """On every host that has it."""
        spec = self._resource.spec
        if any(map(touched, _OF_SWITCH)) and makes_switch(spec):
            for group in network.groups:
                self._update_switch(group, touched)
        if any(map(touched, _OF_GROUP)):
            for group in network.groups:
                self._update_group(group, touched)
        if touched(("hosts",)) and "hosts" in spec:
            wanted = {host.moid for host in self._chosen()}
            self.complete(network)
            own = bool(network.has_own_switch or spec["mode"] == ISOLATED)
            for group in network.groups:
                if group.host not in wanted:
                    self._remove_from(group, own_switch=own)

    def remove(self, network: Network, *, own_switch: bool) -> None:
        """From every host; the name is gone with the last one."""
        for group in network.groups:
            self._remove_from(group, own_switch=own_switch)

    def clear_away(self) -> None:
        """Remove an isolated network's switch that was left empty."""
        resource = self._resource
        is_known = self._proves_itself or resource.begun or resource.external_id is not None
        if resource.spec.get("mode") != ISOLATED or not is_known:
            return
        try:
            hosts = self._hosts()
        except Terminal:
            return  # the place itself is gone
        for host in hosts:
            switch = self._switch(host)
            if switch is not None and not uplinks_of(switch) and not self._others(host, switch):
                self._remove_switch(host)

    # --- one host ---

    def _chosen(self) -> Sequence[Row]:
        """The hosts on which the port group shall be; at least one."""
        hosts = self._hosts()
        if not makes_switch(self._resource.spec):
            having = [host for host in hosts if self._switch(host) is not None]
            lacking = [host for host in hosts if self._switch(host) is None]
            if not having or (lacking and "hosts" in self._resource.spec):
                where = f"on {', '.join(name_of(host) for host in lacking) or 'any host'}"
                raise Terminal(self._missing_switch([*self._switch_names(hosts)], where))
            return having
        if not hosts:
            raise Terminal(self._missing_switch((), "and no host"))
        return hosts

    def _make_on(self, host: Row, found: Network | None) -> None:
        if found is not None and host.moid in found.hosts:
            return
        spec = self._resource.spec
        if makes_switch(spec):
            self._make_switch(host, found)
        name = self._resource.name if found is None else found.name
        group = group_spec(name, self._switch_name, spec)
        self._on(host, "add", "port group", lambda system: system.AddPortGroup(group), EXISTS.code)

    def _make_switch(self, host: Row, found: Network | None) -> None:
        spec, name = self._resource.spec, self._switch_name
        switch = self._switch(host)
        if switch is None:
            self._on(
                host,
                "add",
                "switch",
                lambda system: system.AddVirtualSwitch(name, switch_spec(spec)),
                EXISTS.code,
            )
        elif spec["mode"] == ISOLATED:
            is_ours = self._proves_itself or self._resource.begun or found is not None
            if not is_ours or uplinks_of(switch):
                raise self._foreign_switch(f"is on host {name_of(host)}")
        elif uplinks_of(switch) != spec["uplinks"]:
            raise Terminal(self._other_uplinks(host, switch))

    def _update_switch(self, group: HostGroup, touched: Touched) -> None:
        spec = edited_switch(group.switch, self._resource.spec, touched)
        name = group.switch.name
        host = self._row(group)
        self._on(host, "change", "switch", lambda system: system.UpdateVirtualSwitch(name, spec))

    def _update_group(self, group: HostGroup, touched: Touched) -> None:
        now = group.group
        spec = edited_group(now.spec, self._resource.spec, now.computedPolicy, touched)
        host = self._row(group)
        self._on(
            host, "change", "port group", lambda system: system.UpdatePortGroup(spec.name, spec)
        )

    def _remove_from(self, group: HostGroup, *, own_switch: bool) -> None:
        host, name = self._row(group), group.group.spec.name
        self._on(
            host,
            "remove",
            "port group",
            lambda system: system.RemovePortGroup(name),
            VANISHED.code,
        )
        if own_switch and not self._others(host, group.switch, name):
            self._remove_switch(host, group.switch.name)

    def _remove_switch(self, host: Row, name: str | None = None) -> None:
        called = name or self._switch_name
        try:
            self._on(
                host,
                "remove",
                "switch",
                lambda system: system.RemoveVirtualSwitch(called),
                VANISHED.code,
            )
        except InUse:
            return  # somebody else has begun to use it

    def _on(
        self, host: Row, verb: str, what: str, call: Callable[[Any], Any], fine: str = ""
    ) -> None:
        """One call to a host's network system; the error ``fine`` says that it is done already."""
        name = f"{verb} {what} of network {self._resource.name} on host {name_of(host)}"
        system = host.get("configManager.networkSystem")
        try:
            self._site.client.call(name, lambda _: call(system))
        except Terminal as problem:
            if problem.diagnostic.code != fine:
                raise
            if fine == EXISTS.code and not self._expects_it():
                raise

    def _expects_it(self) -> bool:
        """Whether what is there already can be ours: of another attempt at the same network."""
        return self._resource.begun or self._finder.known(self._resource) is not None

    def _row(self, group: HostGroup) -> Row:
        found = self._inventory.row(group.host)
        assert found is not None
        return found

    def _switch(self, host: Row) -> Any:
        return self._finder.networks.switch(host, self._switch_name)

    def _switch_names(self, hosts: Sequence[Row]) -> Iterator[str]:
        for host in hosts:
            yield from (str(item.name) for item in host.get("config.network.vswitch", ()))

    def _others(self, host: Row, switch: Any, name: str | None = None) -> list[HostGroup]:
        """Port groups on a switch beside the one of this name."""
        groups = groups_of(
            host.moid,
            host.get("config.network.vswitch", ()),
            host.get("config.network.portgroup", ()),
        )
        return [
            item
            for item in groups
            if item.switch.name == switch.name and item.group.spec.name != name
        ]

    def _other_uplinks(self, host: Row, switch: Any) -> Any:
        found, wanted = uplinks_of(switch), self._resource.spec["uplinks"]
        return error(
            "PRV5318",
            f"switch {switch.name} on host {name_of(host)} has other uplinks",
            detail=f"It has {', '.join(found) or 'none'}; expected {', '.join(wanted)}.",
            hint="Leave out uplinks to use the switch as it is, or name another one in bridge.",
            path=("uplinks",),
            address=str(self._resource.address),
        )
