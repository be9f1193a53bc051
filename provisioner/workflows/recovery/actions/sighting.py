"""A machine as the hosts of a site have it, and what follows for which of its two selves is the
real one: the one that holds what was written last.

Called by the actions that give a former machine up, by rollback, and by
:mod:`provisioner.workflows.recovery.whereabouts`. Power and mark together decide, never power
alone: a machine that is off may be the only one that has the newest data.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Absent, Present, Resource, Session
from provisioner.providers.capabilities import STANDBY, Standby, Way
from provisioner.state.model import EndpointRecord
from provisioner.workflows.recovery.actions.estate import OFF, Estate, power_of
from provisioner.workflows.recovery.model import PlannedMachine


class Sighting(NamedTuple):
    """A machine of the plan as a host has it. ``power``: as the host says, ``absent`` where there
    is none. ``marked``: it stands by. ``foreign``: it is there without our stamp. ``disks``: the
    site has disks of its own for it, which some run has made or left there.
    """

    power: str
    marked: bool
    foreign: bool = False
    disks: bool = False

    @property
    def runs(self) -> bool:
        """Whether it is not off."""
        return self.power not in OFF

    @property
    def stands_by(self) -> bool:
        """Whether it is off, and some run has left it behind."""
        return self.marked and not self.runs

    @property
    def is_away(self) -> bool:
        """Whether the machine is not at this site, whatever the other one says."""
        return self.power == "absent" or self.stands_by

    @property
    def is_unmarked(self) -> bool:
        """Whether it is ours, and nothing says that it was left behind: it may have run last."""
        return self.power != "absent" and not self.marked and not self.foreign

    def __str__(self) -> str:
        if self.power == "absent":
            return "absent, but its disks are there" if self.disks else "absent"
        mark = "marked as standing by" if self.marked else "not marked as standing by"
        return f"{self.power}, {mark}"


def is_at(site: Sighting | None, other: Sighting | None) -> bool:
    """Whether the real machine is at a site: it runs there; or it runs nowhere, stands by at the
    other one, and this one has it or (None) does not tell.
    """
    if site is not None and site.runs:
        return True
    if other is None or not other.stands_by:
        return False
    return site is None or site.is_unmarked


def gives_way(former: Sighting, now: Sighting) -> bool:
    """Whether what is left of a machine at its former site may be stopped, and its disks be
    overwritten: there is nothing; or the one that took its place runs; or that one is off, and the
    former one alone stands by.
    """
    if former.power == "absent" and not former.disks:
        return True
    return now.power == "running" or (former.stands_by and now.is_unmarked)


def may_have_run(there: Sighting, here: Sighting | None) -> bool:
    """Whether a machine runs at the site that a run was to lead to, or may have run there last.
    ``here``: where the run began; None if that site does not tell.
    """
    if there.runs:
        return True
    return there.is_unmarked and not (here is not None and here.runs)


def sight(
    estate: Estate,
    machines: Iterable[PlannedMachine],
    site: str,
    seconds: float | None = None,
    *,
    disks: bool = False,
) -> Mapping[Address, Sighting]:
    """What a site has of machines, and with ``disks`` of those, too: at most three calls for each
    endpoint, ``seconds`` as in :meth:`Estate.ask`. Raises like :meth:`Estate.see`.
    """
    machines = list(machines)
    targets = [estate.placed(item.address, site) for item in machines]
    found = estate.see(targets, seconds)
    # Disks of external replication lie at both sites all the time, and tell nothing.
    telling = [item for item in machines if disks and item.way is not Way.EXTERNAL]
    targeted = [estate.placed(disk, site) for item in telling for disk in item.disks]
    disks_found = estate.see(targeted, seconds)
    own: dict[str, tuple[EndpointRecord, list[Resource]]] = {}
    for record, resource in targets:
        if not _is_foreign(estate, found[resource.address]):
            own.setdefault(record.name, (record, []))[1].append(resource)
    marked: set[Address] = set()
    for record, resources in own.values():
        marked.update(marks(estate, record, resources, "looking for marked machines", seconds))
    return {
        item.address: Sighting(
            power_of(found[item.address]),
            item.address in marked,
            foreign=_is_foreign(estate, found[item.address]),
            disks=any(isinstance(disks_found.get(disk), Present) for disk in item.disks),
        )
        for item in machines
    }


def marks(
    estate: Estate,
    record: EndpointRecord,
    machines: list[Resource],
    doing: str,
    seconds: float | None = None,
) -> Mapping[Address, str]:
    """Which of these, of one endpoint, stand by, and why; none where its provider knows no such
    mark. Raises like :meth:`Estate.ask`.
    """
    if not estate.has(record, STANDBY):
        return {}

    def question(session: Session) -> Mapping[Address, str]:
        assert isinstance(session, Standby), "its provider says so"
        return session.standing_by(machines)

    return estate.ask(record, question, doing, seconds)


def check_gives_way(estate: Estate, machine: PlannedMachine) -> Sighting:
    """What there is at the site ``plan.there`` of a machine whose place was taken by the one at
    ``plan.here``. Raises ProvisionerError: PRV7076 if which of the two holds the newest data cannot
    be told, PRV7072 if either is somebody else's; and like :meth:`Estate.see`.
    """
    plan, address = estate.plan, machine.address
    for site in (plan.there, plan.here):
        estate.own(estate.placed(address, site))
    former = sight(estate, [machine], plan.there, disks=True)[address]
    now = sight(estate, [machine], plan.here)[address]
    if gives_way(former, now):
        return former
    at_former = estate.placed(address, plan.there).record.name
    at_now = estate.placed(address, plan.here).record.name
    raise ProvisionerError(
        error(
            "PRV7076",
            f"{address}: which of the two holds the newest data cannot be told: {former.power} on "
            f"{at_former}, {now.power} on {at_now}",
            detail=f"On {at_former} at {plan.there} it is {former}; on {at_now} at {plan.here}, "
            f"where it should be by now, it is {now}. The former one is stopped or overwritten "
            "only while the one that took its place runs, or while it alone is marked as standing "
            "by. Nothing was written to either.",
            hint=f"Look at the disks of both. If the newest data is at {plan.here}: start it there "
            f"on its host, and go on with 'provisioner dr resume'. If it is at {plan.there}: start "
            "it there on its host, and turn the plan: "
            f"'provisioner dr reprotect --running-at {plan.there}'.",
            address=str(address),
        )
    )


def _is_foreign(estate: Estate, found: Present | Absent) -> bool:
    if isinstance(found, Absent):
        return False
    return found.owner is None or found.owner.lineage != str(estate.plan.lineage)
