"""The sites of a recovery plan, what each of them is now, and what runs at the one that it has
left: for ``dr status``.

The plan is the one that the last run began with, as its journal has kept it, so that neither its
file nor the manifests are needed; before the first run it is read. Hosts are asked only where a
machine may run twice: once a run has led the machines elsewhere, and while none is under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from provisioner.service.model import EventSink, PhaseStarted
from provisioner.service.recovery.leftbehind import left_behind
from provisioner.service.recovery.model import Beside, RecoveryPlan, Run, unheard
from provisioner.service.recovery.opening import (
    Source,
    last_turn,
    meant,
    named_journal,
    turned_to,
)
from provisioner.service.workspace import Workspace
from provisioner.workflows import bases
from provisioner.workflows.journal import Journal
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.recovery.beside import all_beside
from provisioner.workflows.recovery.documents import plan_of
from provisioner.workflows.recovery.modes.tasks import BEGIN
from provisioner.workflows.recovery.whereabouts import look_everywhere

PRIMARY, RECOVERY = "primary", "recovery"


class HostNow(NamedTuple):
    """A host of a site. ``answers``: whether it was reached; None: it was not asked, and the last
    run says nothing of it. ``why`` it was not.
    """

    name: str
    answers: bool | None
    why: str = ""


class SiteNow(NamedTuple):
    """A site and its role now: :data:`PRIMARY` where the plan's machines are, else
    :data:`RECOVERY`.
    """

    name: str
    role: str
    hosts: tuple[HostNow, ...]


@dataclass(frozen=True, slots=True)
class Places:
    """``sites``: the primary first. ``asked``: whether hosts were asked, so that ``beside`` holds
    what runs at the other site.
    """

    plan: RecoveryPlan
    sites: tuple[SiteNow, SiteNow]
    asked: bool = False
    beside: tuple[Beside, ...] = ()


def places(workspace: Workspace, source: Source, run: Run | None, sink: EventSink) -> Places | None:
    """Where a plan is. ``run``: its last one; None if there was none. Returns None if no plan is
    named, or the journal has not kept it. Raises ProvisionerError if the plan or the journal
    cannot be read.
    """
    journal = named_journal(workspace, source)
    plan = _named(workspace, source, sink) if run is None else _kept(journal, run)
    if plan is None:
        return None
    turn = last_turn(journal)
    if run is None or turn is None or run.record.is_open:
        silent = {} if run is None else unheard(run)
        told = {name: HostNow(name, False if name in silent else None) for name in plan.endpoints}
        plan = turned_to(plan, turn[0] if turn is not None else None)
        return Places(plan, _sites(plan, told))
    plan = turned_to(plan, turn[0])
    sink(PhaseStarted("observe", len(plan.machines)))
    with workspace.sessions(sink) as sessions:
        found = look_everywhere(Estate(plan, sessions))
    asked = {
        plan.objects[site][item.address].endpoint for site in plan.sites for item in plan.machines
    }
    told = {
        name: HostNow(
            name, name not in found.silent if name in asked else None, found.silent.get(name, "")
        )
        for name in plan.endpoints
    }
    beside = all_beside(plan, found.seen, left_behind(journal))
    return Places(plan, _sites(plan, told), asked=True, beside=beside)


def _sites(plan: RecoveryPlan, told: Mapping[str, HostNow]) -> tuple[SiteNow, SiteNow]:
    here, there = (
        tuple(host for name, host in sorted(told.items()) if plan.site_of[name] == site)
        for site in plan.sites
    )
    return SiteNow(plan.here, PRIMARY, here), SiteNow(plan.there, RECOVERY, there)


def _kept(journal: Journal, run: Run) -> RecoveryPlan | None:
    begin = run.runbook.by_id.get(BEGIN)
    if begin is None or "plan" not in begin.arguments:
        return None
    document = bases.kept(journal.path, str(begin.arguments["plan"]))
    if document is None:
        return None
    plan = plan_of(document)
    return turned_to(plan, str(begin.arguments["here"]))


def _named(workspace: Workspace, source: Source, sink: EventSink) -> RecoveryPlan | None:
    if source.name is None and source.file is None:
        return None
    plan, _, _ = meant(workspace, source, sink)
    return plan
