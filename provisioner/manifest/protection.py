"""What the kinds of recovery say, read from canonical specs: who is in a group, what takes whose
place, what a machine uses.

Called by :mod:`provisioner.manifest.recovery`, which checks them, by what compiles recovery plans,
and by :mod:`provisioner.engine.protected`. Specs of other resources are looked up by their
addresses; what is not there is left out.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from provisioner.core.address import Address
from provisioner.core.values import Path

SITE, SITE_PAIR = "Site", "SitePair"
GROUP, PLAN = "ProtectionGroup", "RecoveryPlan"
MACHINE, DISK, POOL, HOST = "VirtualMachine", "Disk", "StoragePool", "Host"
EXTERNAL = "external"
"""How a group is replicated whose copies another tool makes."""

Spec: TypeAlias = Mapping[str, Any]

SECTIONS: Mapping[str, str] = {
    "networks": "Network",
    "pools": "StoragePool",
    "hosts": HOST,
    "clusters": "Cluster",
    "folders": "Folder",
    "resourcePools": "ResourcePool",
}
"""The mappings of a pair of sites, and the kind that each is about."""
PLACES = {
    "cluster": "Cluster",
    "folder": "Folder",
    "resourcePool": "ResourcePool",
    "storagePool": "StoragePool",
}
"""Fields of a machine's ``placement`` that have to be mapped, and the kinds that they name. The
others pin it to a host of its site, which means nothing at another one.
"""
DEFAULT_TIER = 3


class OtherSite(NamedTuple):
    """Where the copy of a machine may run: the site, its hosts, and the disks that are replicated
    to it. ``pools``: the pool there of each disk that is a Disk there only once its replica was
    promoted; what another tool copies is there all the time.
    """

    name: str
    hosts: tuple[str, ...]
    disks: frozenset[Address]
    pools: Mapping[Address, Address]


class Use(NamedTuple):
    """Something that a machine uses and that another site has to have, too: the field, of the
    machine or of one of its disks, and what it names.
    """

    holder: Address
    path: Path
    target: Address


def section(spec: Spec, name: str) -> Mapping[str, Any]:
    """A mapping within a spec; empty where there is none."""
    found = spec.get(name)
    # The first question is quick, and most often answers it.
    return found if isinstance(found, dict) or isinstance(found, Mapping) else {}  # noqa: SIM101


def members(group: Spec, machines: Mapping[Address, Spec]) -> list[Address]:
    """The machines of a group, those that its selector finds included, in order of their names."""
    named = {Address(MACHINE, name) for name in section(group, "machines")}
    wanted = section(section(group, "selector"), "matchLabels")
    found = {
        address
        for address, spec in machines.items()
        if address.kind == MACHINE and wanted and wanted.items() <= section(spec, "labels").items()
    }
    return sorted((named | found) & machines.keys())


def counterparts(pair: Spec, *, from_first: bool) -> dict[Address, Address]:
    """What takes the place of what, seen from the first or from the second site of a pair."""
    found = {}
    for name, kind in SECTIONS.items():
        for first, element in section(pair, name).items():
            here, there = Address(kind, first), Address(kind, str(element.get("second")))
            found.update({here: there} if from_first else {there: here})
    return found


def hosts_of(site: Spec) -> frozenset[str]:
    """The names of a site's hosts."""
    return frozenset(section(site, "hosts"))


def other_sites(
    policies: Mapping[Address, Spec],
    machines: Mapping[Address, Spec],
    host_of: Mapping[Address, str],
    pool_of: Mapping[Address, str],
) -> dict[Address, tuple[OtherSite, ...]]:
    """By machine that a group protects, the sites that are paired with the one of its host; those
    on a host of neither site are left out. ``pool_of`` names the pools of Disks.
    """
    found: dict[Address, list[OtherSite]] = {}
    for group in (spec for address, spec in policies.items() if address.kind == GROUP):
        pair = policies.get(Address(SITE_PAIR, str(group.get("sitePair"))), {})
        names = [str(pair.get(side)) for side in ("first", "second")]
        hosts = [hosts_of(policies.get(Address(SITE, name), {})) for name in names]
        mapped = [counterparts(pair, from_first=from_first) for from_first in (True, False)]
        is_external = section(group, "replication").get("type") == EXTERNAL
        for machine in members(group, machines):
            for own, other in ((0, 1), (1, 0)):
                if host_of.get(machine) in hosts[own]:
                    disks = frozenset(disks_of(machines[machine], excluded_disks(group)))
                    pools = {
                        disk: mapped[own][pool]
                        for disk in (() if is_external else disks)
                        if (pool := Address(POOL, pool_of.get(disk, ""))) in mapped[own]
                    }
                    site = OtherSite(names[other], tuple(sorted(hosts[other])), disks, pools)
                    found.setdefault(machine, []).append(site)
    return {machine: tuple(sites) for machine, sites in found.items()}


def disks_of(machine: Spec, excluded: Collection[Address] = ()) -> tuple[Address, ...]:
    """A machine's disks in the order of their names, without those that are not replicated."""
    disks = (Address(DISK, name) for name in sorted(section(machine, "disks")))
    return tuple(disk for disk in disks if disk not in excluded)


def excluded_disks(group: Spec) -> frozenset[Address]:
    """The disks that a group leaves out."""
    return frozenset(Address(DISK, name) for name in section(group, "excludeDisks"))


def uses(
    address: Address, machine: Spec, specs: Mapping[Address, Spec], excluded: Collection[Address]
) -> Iterator[Use]:
    """What a machine, with the disks that are replicated, uses of its site."""
    for name, card in section(machine, "nics").items():
        if isinstance(card.get("network"), str):
            yield Use(address, ("nics", name, "network"), Address("Network", card["network"]))
    for disk in disks_of(machine, excluded):
        pool = specs.get(disk, {}).get("pool")
        if isinstance(pool, str):
            yield Use(disk, ("pool",), Address("StoragePool", pool))
    pool = section(machine, "cloudInit").get("pool")
    if isinstance(pool, str):
        yield Use(address, ("cloudInit", "pool"), Address("StoragePool", pool))
    placement = section(machine, "placement")
    for name, kind in PLACES.items():
        if isinstance(placement.get(name), str):
            yield Use(address, ("placement", name), Address(kind, placement[name]))


def groups_of(plan: Spec) -> tuple[Address, ...]:
    """The groups of a plan."""
    return tuple(Address(GROUP, name) for name in section(plan, "groups"))


def tier_of(plan: Spec, machine: Address) -> int:
    """The tier in which a machine of a plan starts."""
    own = section(plan, "machines").get(machine.name, {})
    found = own.get("tier", plan.get("defaultTier", DEFAULT_TIER))
    return found if isinstance(found, int) else DEFAULT_TIER


def waits_for(plan: Spec, machine: Address) -> tuple[Address, ...]:
    """The machines that have to be up before one, as its plan says."""
    own = section(plan, "machines").get(machine.name, {})
    return tuple(Address(MACHINE, name) for name in section(own, "after"))


def machines_behind(
    address: Address,
    references: Mapping[Address, Collection[Address]],
    wanted: Collection[Address],
) -> list[Address]:
    """The ``wanted`` machines that a resource refers to, directly or through others that are no
    machines themselves, in order of their names.
    """
    found: set[Address] = set()
    seen = {address}
    waiting = [address]
    while waiting:
        for target in references.get(waiting.pop(), ()):
            if target in seen:
                continue
            seen.add(target)
            if target in wanted:
                found.add(target)
            else:
                waiting.append(target)
    return sorted(found)
