"""Rules for sites, protection groups and recovery plans that a schema cannot express.

Called by :mod:`provisioner.manifest.loader` with linked drafts; what is wrong is added to the
drafts' problems. How plans order machines is checked by
:mod:`provisioner.manifest.recovery_order`. Of what has errors already only so much is checked as
does not follow from them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from provisioner.core.address import Address
from provisioner.core.units import format_duration
from provisioner.manifest import protection
from provisioner.manifest.problems import MISSING, Problem
from provisioner.manifest.protection import GROUP, HOST, MACHINE, PLAN, SECTIONS, SITE, SITE_PAIR
from provisioner.manifest.recovery_order import check_order
from provisioner.manifest.recovery_plans import check_plan
from provisioner.manifest.references import Draft, Names

_DEFAULT_INTERVAL = 5 * 60_000
_DEFAULT_OBJECTIVE = 15 * 60_000


def check_recovery(
    policies: Mapping[Address, Draft], drafts: Mapping[Address, Draft], names: Names
) -> None:
    """Check what the policies of a stack say about its resources, ``drafts``."""
    if policies:
        _Recovery(policies, drafts, names).check()


class _Recovery:
    """The policies of one stack, and what they are about."""

    def __init__(
        self, policies: Mapping[Address, Draft], drafts: Mapping[Address, Draft], names: Names
    ) -> None:
        self.policies, self.drafts, self.names = policies, drafts, names
        self.specs = {address: draft.spec for address, draft in drafts.items()}
        self.machines = {
            address: spec for address, spec in self.specs.items() if address.kind == MACHINE
        }
        self.site_of: dict[str, Address] = {}
        self.group_of: dict[Address, Address] = {}
        self.plan_of: dict[Address, Address] = {}
        self.members: dict[Address, list[Address]] = {}

    def check(self) -> None:
        for site in self._of_kind(SITE):
            site.problems += self._site(site)
        for pair in self._of_kind(SITE_PAIR):
            pair.problems += self._pair(pair)
        for group in self._of_kind(GROUP):
            self.members[group.address] = protection.members(group.spec, self.machines)
            group.problems += self._group(group)
        for pair in self._of_kind(SITE_PAIR):
            pair.problems += self._unmapped(pair)
        for plan in self._of_kind(PLAN):
            plan.problems += self._plan(plan)

    def _of_kind(self, kind: str) -> list[Draft]:
        return [draft for address, draft in self.policies.items() if address.kind == kind]

    def _named(self, kind: str, name: object) -> Draft | None:
        return self.policies.get(Address(kind, name)) if isinstance(name, str) else None

    def _pair_of(self, group: Draft | None) -> Draft | None:
        return None if group is None else self._named(SITE_PAIR, group.spec.get("sitePair"))

    def _sites_of(self, pair: Draft | None) -> list[Address]:
        """Both sites of a pair; none where one of them cannot be told."""
        names = [] if pair is None else [pair.spec.get(name) for name in ("first", "second")]
        found = [site for name in names if (site := self._named(SITE, name)) is not None]
        sound = len(found) == 2 and not any(site.failed for site in found)
        return [site.address for site in found] if sound else []

    def _at(self, host: str | None) -> Address | None:
        return None if host is None else self.site_of.get(host)

    def _site(self, site: Draft) -> Iterator[Problem]:
        for host in protection.section(site.spec, "hosts"):
            owner = self.site_of.setdefault(host, site.address)
            if owner != site.address:
                yield Problem(
                    ("spec", "hosts", host),
                    "PRV1434",
                    f"Host/{host} stands at {owner} already",
                    "Name each host at the one site where it stands.",
                )

    def _pair(self, pair: Draft) -> Iterator[Problem]:
        if isinstance(pair.spec.get("first"), str) and pair.spec["first"] == pair.spec.get(
            "second"
        ):
            yield Problem(
                ("spec", "second"),
                "PRV1434",
                f"Site/{pair.spec['first']} is both sites of the pair",
                "Name the other site: the one that machines are recovered at.",
            )
            return
        sites = self._sites_of(pair)
        for name, kind in SECTIONS.items():
            taken: dict[str, str] = {}
            for first, element in protection.section(pair.spec, name).items():
                second = element.get("second")
                if not isinstance(second, str):
                    continue
                path = ("spec", name, first)
                owner = taken.setdefault(second, first)
                if owner != first:
                    yield Problem(
                        (*path, "second"),
                        "PRV1435",
                        f"{kind}/{second} takes the place of {kind}/{owner} already",
                        "The way back has to be clear: name each of them once.",
                    )
                if sites:
                    yield from self._misplaced(Address(kind, first), sites[0], path)
                    yield from self._misplaced(Address(kind, second), sites[1], (*path, "second"))

    def _misplaced(
        self, address: Address, site: Address, path: tuple[str, ...]
    ) -> Iterator[Problem]:
        if not self.names.exists(address):
            return
        host = address.name if address.kind == HOST else self.drafts[address].host
        found = self._at(host)
        if host is None or found == site:
            return
        where = f"is at {found}" if found is not None else f"lives on {host}, which is at no site"
        yield Problem(
            path,
            "PRV1435",
            f"{address} {where}, expected {site}",
            "What stands under 'first' is at the first site, what stands under 'second' at the "
            "second.",
        )

    def _group(self, group: Draft) -> Iterator[Problem]:
        found = self.members[group.address]
        if not found and not group.failed and not self.names.unread.may_be_a(MACHINE):
            yield self._without_machines(group)
        sites = self._sites_of(self._pair_of(group))
        for machine in found:
            owner = self.group_of.setdefault(machine, group.address)
            path = self._place(group, machine)
            if owner != group.address:
                yield Problem(
                    path,
                    "PRV1436",
                    f"{machine} is in {owner} already",
                    "A machine is replicated once: take it out of one of the groups.",
                )
                continue
            yield from self._member(machine, path, sites)
        yield from self._excluded(group, found)
        yield from _interval(group)

    def _without_machines(self, group: Draft) -> Problem:
        if not {"machines", "selector"} & group.spec.keys():
            return Problem(
                ("spec",),
                MISSING,
                "the group has neither 'machines' nor 'selector'",
                "Add 'machines', a list of such as 'machine: NAME', or 'selector'.",
                at_key=True,
            )
        return Problem(
            ("spec", "selector" if "selector" in group.spec else "machines"),
            "PRV1436",
            f"{group.address} has no machine",
            "Correct the labels, or name machines.",
            "No VirtualMachine of the stack has all of these labels."
            if "selector" in group.spec
            else "",
            at_key=True,
        )

    def _place(self, group: Draft, machine: Address) -> tuple[str, ...]:
        named = machine.name in protection.section(group.spec, "machines")
        return ("spec", "machines", machine.name) if named else ("spec", "selector")

    def _member(
        self, machine: Address, path: tuple[str, ...], sites: list[Address]
    ) -> Iterator[Problem]:
        draft = self.drafts[machine]
        if sites and draft.host is not None and self._at(draft.host) not in sites:
            yield Problem(
                path,
                "PRV1435",
                f"{machine} lives on {draft.host}, which is at neither {sites[0]} nor {sites[1]}",
                "Add the host to its Site, or protect the machine by a group of its own pair.",
            )
        if draft.spec.get("autostart") is True:
            draft.problems.append(
                Problem(
                    ("spec", "autostart"),
                    "PRV1438",
                    "a protected machine may not start by itself when its host boots",
                    "Remove 'autostart', and have the plan or an apply start it.",
                    "After a failover its old host would bring it up beside its copy.",
                )
            )

    def _excluded(self, group: Draft, found: list[Address]) -> Iterator[Problem]:
        excluded = protection.excluded_disks(group.spec)
        owners = {
            disk: machine
            for machine in found
            for disk in protection.disks_of(self.machines[machine])
        }
        for disk in sorted(excluded & self.specs.keys()):
            if disk not in owners and not group.failed:
                yield Problem(
                    ("spec", "excludeDisks", disk.name),
                    "PRV1439",
                    f"{disk} is plugged into no machine of {group.address}",
                    "Name a disk of one of its machines, or remove it.",
                )
        for machine in sorted(set(owners.values())):
            if not protection.disks_of(self.machines[machine], excluded):
                yield Problem(
                    ("spec", "excludeDisks"),
                    "PRV1439",
                    f"nothing of {machine} is replicated: all of its disks are excluded",
                    "Leave it one disk, or take the machine out of the group.",
                    at_key=True,
                )

    def _unmapped(self, pair: Draft) -> Iterator[Problem]:
        sites = self._sites_of(pair)
        if pair.failed or not sites:
            return
        ways = [protection.counterparts(pair.spec, from_first=first) for first in (True, False)]
        missing: dict[Address, set[Address]] = {}
        for machine, group in self.group_of.items():
            draft = self.drafts[machine]
            own = self.policies[group]
            site = self._at(draft.host)
            if self._pair_of(own) is not pair or site not in sites:
                continue
            excluded = protection.excluded_disks(own.spec)
            way = ways[sites.index(site)]
            for use in protection.uses(machine, draft.spec, self.specs, excluded):
                if use.target not in way and use.target in self.drafts:
                    missing.setdefault(use.target, set()).add(machine)
        for target, users in sorted(missing.items()):
            name = next(name for name, kind in SECTIONS.items() if kind == target.kind)
            first, *others = sorted(users)
            beside = f" and {len(others)} more" if others else ""
            yield Problem(
                ("spec", name),
                "PRV1437",
                f"nothing takes the place of {target} at the other site",
                f"Add it to {name}: 'first: NAME' and 'second: NAME'.",
                f"{first}{beside} could not be recovered without it.",
                at_key=True,
            )

    def _plan(self, plan: Draft) -> Iterator[Problem]:
        groups = [
            group
            for address in protection.groups_of(plan.spec)
            if (group := self.policies.get(address)) is not None
        ]
        pairs = [pair for group in groups if (pair := self._pair_of(group)) is not None]
        for group in groups:
            own = self._pair_of(group)
            if own is not None and own is not pairs[0]:
                yield Problem(
                    ("spec", "groups", group.address.name),
                    "PRV1445",
                    f"{group.address} is between the sites of {own.address}, and the groups before "
                    f"it between those of {pairs[0].address}",
                    "Give each pair of sites plans of its own.",
                )
        yield from self._planned_once(plan, groups)
        machines = sorted({item for group in groups for item in self.members[group.address]})
        yield from self._one_site(groups)
        if len(pairs) == len(groups) and not any(group.failed for group in groups):
            yield from check_plan(plan, machines, self._sites_of(pairs[0]), self.drafts, self._at)
            yield from check_order(plan, machines, self.drafts)

    def _planned_once(self, plan: Draft, groups: list[Draft]) -> Iterator[Problem]:
        for group in groups:
            for machine in self.members[group.address]:
                owner = self.plan_of.setdefault(machine, plan.address)
                if owner != plan.address:
                    yield Problem(
                        ("spec", "groups", group.address.name),
                        "PRV1445",
                        f"{machine} is recovered by {owner} already",
                        "Two plans would start it twice: leave it to one of them.",
                    )
                    break

    def _one_site(self, groups: list[Draft]) -> Iterator[Problem]:
        """All machines of a plan are at one site: a plan has one direction."""
        first: tuple[Address, Address] | None = None
        for group in groups:
            for machine in self.members[group.address]:
                site = self._at(self.drafts[machine].host)
                if site is None:
                    continue
                first = first or (machine, site)
                if site != first[1]:
                    yield Problem(
                        ("spec", "groups", group.address.name),
                        "PRV1435",
                        f"{machine} is at {site}, and {first[0]} at {first[1]}",
                        "A plan goes from one site to the other: give the machines of each site a "
                        "plan of their own.",
                    )
                    return


def _interval(group: Draft) -> Iterator[Problem]:
    replication: Any = protection.section(group.spec, "replication")
    interval = replication.get("interval", _DEFAULT_INTERVAL)
    objective = group.spec.get("recoveryPointObjective", _DEFAULT_OBJECTIVE)
    if replication.get("type") == "continuous" or not isinstance(interval, int):
        return
    if isinstance(objective, int) and interval > objective:
        path = ("spec", "replication", "interval")
        yield Problem(
            path if "interval" in replication else ("spec", "recoveryPointObjective"),
            "PRV1448",
            f"a recovery point every {format_duration(interval)} cannot keep an objective of "
            f"{format_duration(objective)}",
            "Shorten the interval, or allow for more loss.",
        )
