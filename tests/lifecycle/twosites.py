"""Two sites of one memory provider with a recovery plan between them, and runs of it: what the
tests of whole drills, migrations and failovers share.

What is there is kept in files, so that a run that is killed leaves it behind.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from provisioner.core.address import Address
from provisioner.core.clock import Clock, Deadline, SystemClock
from provisioner.core.values import Secret
from provisioner.engine.plan import Known
from provisioner.engine.sessions import Sessions
from provisioner.engine.stop import StopSignal
from provisioner.providers.api import Endpoint
from provisioner.providers.registry import Registry
from provisioner.state.model import EndpointRecord
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.events import RunEvent
from provisioner.workflows.journal import Journal
from provisioner.workflows.limits import Limits
from provisioner.workflows.recovery.actions import Estate, recovery_actions, synchronise
from provisioner.workflows.recovery.actions.estate import Acting
from provisioner.workflows.recovery.model import Mode, PlannedMachine, RecoveryPlan
from provisioner.workflows.recovery.modes import rollback_runbook, runbook_of
from provisioner.workflows.runbook import Runbook
from provisioner.workflows.runner import Runner
from provisioner.workflows.runs import Run
from provisioner_plugins.memory import provider as memory_provider
from provisioner_plugins.memory.outside import Outside
from tests.unit.workflows.recovery.plans import A, B, plan_of

QUICK = Limits(poll_seconds=0.05, grace_seconds=1.0)
HOSTS = {A: "host-a", B: "host-b"}


class NoSecrets:
    """There are none."""

    def resolve(self, reference: str) -> Secret:
        raise LookupError(reference)


class TwoSites:
    """A plan of machines that run at A; ``folder`` holds both endpoints and the journal."""

    def __init__(
        self, folder: Path, machines: Sequence[PlannedMachine], *, new: bool = True, **rest: Any
    ) -> None:
        """``new``: nothing is there yet. ``rest``: other fields of the plan."""
        self.folder = folder
        self.provider = memory_provider()
        self.clock: Clock = SystemClock()
        self.events: list[RunEvent] = []
        self.stop = StopSignal()
        self.listener: Callable[[RunEvent], None] = lambda _: None
        self.before: dict[str, Callable[[], None]] = {}
        """By action, what somebody does just before it."""
        self.new_journal: Callable[[Path], Journal] = Journal
        records = {
            name: EndpointRecord(
                name, "memory", {"provider": "memory", "connection": {"path": f"{name}.jsonl"}}
            )
            for name in HOSTS.values()
        }
        self.plan: RecoveryPlan = plan_of(machines, **{"endpoints": records, **rest})
        if new:
            self._make()

    def _make(self) -> None:
        """What was applied: everything at A, and what the machines will need at B."""
        with self.sessions() as sessions:
            for site, wanted in ((A, None), (B, {"StoragePool", "Network"})):
                estate = Estate(self.plan, sessions)
                for address in self.plan.objects[site]:
                    if wanted is None or address.kind in wanted:
                        placed = estate.placed(address, site)
                        sessions.get(placed.record).create(placed.resource, self.deadline())
                for known in self.plan.suspend.get(site, ()):
                    placed = estate.placed(known.address, site)
                    sessions.get(placed.record).create(placed.resource, self.deadline())

    def deadline(self) -> Deadline:
        """Time enough."""
        return Deadline.after(20.0, self.clock)

    def sessions(self) -> Sessions:
        """Sessions to both endpoints."""
        return Sessions(
            Registry({"memory": self.provider}),
            root=self.folder,
            clock=self.clock,
            secrets=NoSecrets(),
            sink=lambda _: None,
        )

    def outside(self, site: str) -> Outside:
        """Somebody else at a site."""
        name = HOSTS[site]
        endpoint = Endpoint(name, "memory", {"path": f"{name}.jsonl"})
        return Outside(self.provider.inventory(endpoint, self.folder))

    def fault(self, site: str, rule: Mapping[str, Any]) -> None:
        """A call to a site's endpoint goes wrong from now on."""
        self.provider.faults(HOSTS[site]).add(rule)

    @property
    def journal(self) -> Journal:
        """The journal of the plan."""
        return self.new_journal(self.folder / "plan.db")

    def replicate(self) -> None:
        """One synchronisation of everything."""
        with self.sessions() as sessions:
            estate = Estate(self.plan, sessions)
            for machine in self.plan.machines:
                synchronise(estate, machine, self.deadline())

    def discard(self, name: str) -> None:
        """Somebody removes a replica."""
        with self.sessions() as sessions:
            estate = Estate(self.plan, sessions)
            machine = next(item for item in self.plan.machines if item.address.name == name)
            estate.replication(machine).discard(estate.replica(machine), self.deadline())

    def stop_at(self, task: str) -> None:
        """Somebody wants the next run to stop when this task is heard of."""

        def listen(event: RunEvent) -> None:
            if getattr(event, "task", "") == task:
                self.stop.request()

        self.listener = listen

    def begin_anew(self) -> None:
        """Nobody wants a run to stop any more."""
        self.stop = StopSignal()
        self.listener = lambda _: None

    def run(self, mode: Mode) -> Run:
        """Carry a mode out."""
        return self.carry_out(runbook_of(self.plan, mode))

    def roll_back(self, run: Run) -> Run:
        """Undo a run."""
        return self.carry_out(rollback_runbook(self.plan), undoes=run.record.id)

    def carry_out(self, runbook: Runbook, undoes: str | None = None) -> Run:
        """Carry a runbook out."""
        with self.sessions() as sessions:
            return self._runner(sessions, runbook.mode).start(runbook, "ann", undoes=undoes)

    def resume(self, mode: str) -> Run:
        """Go on with the last run."""
        with self.sessions() as sessions:
            return self._runner(sessions, mode).resume("ann")

    def _runner(self, sessions: Sessions, mode: str) -> Runner:
        actions = recovery_actions(self.plan, sessions, mode=mode, environ=dict(os.environ))
        actions = {**actions, **{name: self._preceded(actions[name], name) for name in self.before}}
        return Runner(
            self.journal,
            actions,
            sink=self._tell,
            stop=self.stop,
            clock=self.clock,
            limits=QUICK,
        )

    def _preceded(self, action: Action, name: str) -> Action:
        def look(work: Work) -> Done | NotDone:
            self.before[name]()
            return action.observe(work)

        return Acting(look, action.perform)

    def _tell(self, event: RunEvent) -> None:
        self.events.append(event)
        self.listener(event)

    def turn(self) -> None:
        """The plan as it counts after a migration or failover."""
        self.plan = self.plan.turned()

    def know(self, site: str, resource: Known) -> None:
        """Another resource of the author's at a site."""
        objects = {**self.plan.objects[site], resource.address: resource}
        self.plan = replace(self.plan, objects={**self.plan.objects, site: objects})

    def without_fencing(self) -> None:
        """The plan says nothing of how the old site is fenced."""
        self.plan = replace(self.plan, fencing=None)

    def running(self, site: str) -> list[str]:
        """The names of the machines that run at a site."""
        return sorted(item.name for item in self.outside(site).objects() if item.is_running)

    def objects(self, site: str) -> list[str]:
        """What is at a site: ``Kind/name``."""
        return sorted(f"{item.kind}/{item.name}" for item in self.outside(site).objects())

    def write(self, machine: str, what: str, site: str = A) -> None:
        """The guest writes."""
        self.outside(site).write(machine, what)

    def on_disk(self, machine: str, site: str) -> list[str]:
        """What stands on the machine's disk."""
        content = self.outside(site).content(f"{machine}-disk")
        return [content.blocks[key] for key in sorted(content.blocks)]


def trouble(run: Run) -> dict[str, str]:
    """By task, the code with which it failed."""
    return {
        state.task: state.diagnostic.code for state in run.failed if state.diagnostic is not None
    }


def named(*names: str) -> set[Address]:
    """Addresses of machines."""
    return {Address("VirtualMachine", name) for name in names}
