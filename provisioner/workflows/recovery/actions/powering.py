"""Actions that stop, mark and start machines: what keeps one from running at both sites.

A machine is started at one site only after it was seen, or proven by fencing, not to run at the
other, and where that site can be reached it is marked there as not to start.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

from provisioner.core.address import Address
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.core.values import Json
from provisioner.providers.api import Absent, Present, Retryable, Session
from provisioner.providers.capabilities import POWER, STANDBY, Power, Standby
from provisioner.workflows.actions import Action, Done, NotDone, Work
from provisioner.workflows.recovery.actions.estate import (
    NOT_OURS,
    OFF,
    Acting,
    Estate,
    Placed,
    diagnostic_of,
    power_of,
    repeated,
)
from provisioner.workflows.recovery.actions.overtaking import overtaken
from provisioner.workflows.recovery.actions.sighting import check_gives_way, sight
from provisioner.workflows.recovery.actions.silence import PATIENCE, Silence, SilentError
from provisioner.workflows.recovery.drills import real_machine
from provisioner.workflows.recovery.model import PlannedMachine

RUNS_AT_BOTH = "PRV7075"


class Powering:
    """The actions of one run."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._silence = Silence()

    def actions(self) -> Mapping[str, Action]:
        """By their names."""
        return {
            "stop": Acting(self._is_off, self._stop),
            "stand-by": Acting(self._stands_by, self._stand_by),
            "all-off": repeated(self._all_off),
            "stay-off": repeated(self._stay_off),
            "disconnected": repeated(_disconnected),
            "off": repeated(self._off_if_seen),
            "former": repeated(self._former),
            "yield": repeated(self._yield),
            "start": Acting(self._runs, self._start),
            "start-again": Acting(self._runs, self._start_again),
            "suspend": Acting(self._has_state, self._bring_to_state),
        }

    # Off

    def _is_off(self, work: Work) -> Done | NotDone:
        power = self._estate.power_of(self._target(work))
        return Done({"power": power}) if power in OFF else NotDone()

    def _stop(self, work: Work) -> Done:
        """An orderly shutdown."""
        target = self._target(work)
        if self._estate.own(target) is not None:
            self._power(target, "stopped", work.deadline)
        return self._seen_off(target)

    def _seen_off(self, target: Placed) -> Done:
        power = self._estate.power_of(target)
        if power not in OFF:
            raise ProvisionerError(
                error(
                    "PRV7074",
                    f"{target.resource.address} on {target.record.name} is still {power}",
                    detail="It was told to shut down, and has to be off before it starts at the "
                    "other site.",
                    hint="Look at its console, shut it down, and resume.",
                    address=str(target.resource.address),
                )
            )
        return Done({"power": power})

    def _off_if_seen(self, work: Work) -> Done:
        """After the fencing: whatever can still be seen of the old site must not contradict it."""
        target = self._target(work)
        try:
            present = self._silence.ask(
                target.record.name,
                work.clock,
                lambda: self._estate.own(target, seconds=PATIENCE),
            )
        except SilentError as silent:
            return Done({"reachable": False, "host": target.record.name, "why": str(silent)})
        except ProvisionerError as problem:
            if diagnostic_of(problem).code == NOT_OURS:
                return Done({"reachable": True, "power": "absent"})
            # It answers, and cannot tell of the machine: that may still run.
            raise
        if present is not None and power_of(present) not in OFF:
            self._power(target, "stopped", work.deadline)
            self._seen_off(target)
        if present is not None:
            self._mark(work, target)
        return Done({"reachable": True, "power": "absent" if present is None else "stopped"})

    def _yield(self, work: Work) -> Done:
        """The former machine of one that is at the other site now, which is not taken for granted
        when it is off already.
        """
        target = self._target(work)
        former = check_gives_way(self._estate, self._estate.machine(work))
        if not former.runs:
            return self._seen_off(target)
        at = work.clock.now()
        self._power(target, "stopped", work.deadline)
        return Done({**self._seen_off(target).result, "on": _on(target.record.name, at)})

    def _former(self, work: Work) -> Done:
        """Notes which machines are on at the former site, before anything is done to them: whoever
        goes on with the run finds them off. What gives no answer is not noted; each machine is
        looked at again before it is stopped.
        """
        site, at = self._site(work), work.clock.now()
        machines = self._estate.machines(work)
        by_endpoint: dict[str, list[PlannedMachine]] = {}
        for machine in machines:
            record = self._estate.placed(machine.address, site).record
            by_endpoint.setdefault(record.name, []).append(machine)
        on: dict[str, Json] = {}
        silent: list[Json] = []
        for name, group in by_endpoint.items():
            try:
                seen = sight(self._estate, group, site)
            except (ProvisionerError, Retryable):
                silent.append(name)
                continue
            on |= {
                str(address): _on(name, at)
                for address, sighting in seen.items()
                if sighting.runs and not sighting.foreign
            }
        return Done({"on": on, "silent": silent})

    def _all_off(self, work: Work) -> Done:
        """One sweep over all machines of a site."""
        site = self._site(work)
        found = self._estate.see(self._all(work))
        self._require_off(site, found)
        return Done({"machines": len(found)})

    def _stay_off(self, work: Work) -> Done:
        """The same sweep again, after which what there is bears its mark. A host that gives no
        answer any more does not hold up the rest: its machines were seen to be off, and marked.

        Raises ProvisionerError (PRV7102) if a mark is missing that this run has set.
        """
        site = self._site(work)
        by_endpoint: dict[str, list[Placed]] = {}
        for target in self._all(work):
            by_endpoint.setdefault(target.record.name, []).append(target)
        found: dict[Address, Present | Absent] = {}
        silent: dict[str, Json] = {}
        for name, targets in by_endpoint.items():
            try:
                found |= self._silence.ask(name, work.clock, partial(self._estate.see, targets))
            except SilentError:
                silent[name] = len(targets)
        self._require_off(site, found)
        unmarked = []
        for targets in by_endpoint.values():
            own = [item for item in targets if self._is_own(found.get(item.resource.address))]
            standing = self._marked(own) if own else ()
            unmarked += [item for item in own if item.resource.address not in standing]
        self._require_not_taken(work, site, unmarked)
        for target in unmarked:
            self._mark(work, target)
        return Done({"marked": len(unmarked), "hosts": silent})

    def _require_not_taken(self, work: Work, site: str, unmarked: Sequence[Placed]) -> None:
        """Raise ProvisionerError (PRV7102) if one without a mark was marked by this run: somebody
        has taken it over since, to start it.
        """
        taken = sorted(
            item.resource.address
            for item in unmarked
            if work.results.get(f"stand-by/{item.resource.address.name}", {}).get("marked")
        )
        if taken:
            findings = [f"{item} at {site} lacks the mark that it has set" for item in taken]
            raise overtaken(f"this run of {self._estate.plan.name}", taken[0], findings)

    def _all(self, work: Work) -> list[Placed]:
        """The machines that a sweep is about, without those that are left out."""
        site = self._site(work)
        return [self._estate.placed(item.address, site) for item in self._estate.machines(work)]

    def _is_own(self, found: Present | Absent | None) -> bool:
        lineage = str(self._estate.plan.lineage)
        return isinstance(found, Present) and (
            found.owner is not None and found.owner.lineage == lineage
        )

    def _require_off(self, site: str, found: Mapping[Address, Present | Absent]) -> None:
        """Raise ProvisionerError (PRV7075) if a machine at a site is not off."""
        running = sorted(
            str(address) for address, item in found.items() if power_of(item) not in OFF
        )
        if running:
            raise ProvisionerError(
                error(
                    RUNS_AT_BOTH,
                    f"{', '.join(running)} at {site} {'is' if len(running) == 1 else 'are'} not "
                    "off",
                    detail="Nothing starts at one site while it may run at the other.",
                    hint="Find out who started it; shut it down there, or leave everything as it "
                    "is and cancel.",
                    address=running[0],
                )
            )

    # The mark

    def _stands_by(self, work: Work) -> Done | NotDone:
        target = self._target(work)
        if self._estate.own(target) is None:
            return Done({"marked": False})
        return Done({"marked": True}) if self._is_marked(target) else NotDone()

    def _stand_by(self, work: Work) -> Done:
        self._mark(work, self._target(work))
        return Done({"marked": True})

    def _mark(self, work: Work, target: Placed) -> None:
        session = self._standby(target)
        plan = self._estate.plan
        other = self._estate.other(plan.site_of[target.record.name])
        reason = f"recovery plan {plan.name}: it runs at {other}"
        session.stand_by(target.resource, reason, work.deadline)

    def _is_marked(self, target: Placed) -> bool:
        return target.resource.address in self._marked([target])

    def _marked(self, targets: Sequence[Placed]) -> Collection[Address]:
        """Which of these, of one endpoint, are marked."""
        record, machines = targets[0].record, [target.resource for target in targets]

        def question(session: Session) -> Collection[Address]:
            assert isinstance(session, Standby), "its provider says so"
            return session.standing_by(machines).keys()

        self._estate.require(record, STANDBY)
        return self._estate.ask(record, question, "looking for marked machines")

    def _standby(self, target: Placed) -> Standby:
        session = self._estate.capable(target.record, STANDBY)
        assert isinstance(session, Standby), "its provider says so"
        return session

    # On

    def _runs(self, work: Work) -> Done | NotDone:
        target = self._target(work)
        found = self._estate.own(target)
        if found is None or power_of(found) != "running" or self._is_marked(target):
            return NotDone()
        return _started(found, work)

    def _start(self, work: Work) -> Done:
        """Make the machine at its new site, running."""
        estate, site = self._estate, self._site(work)
        self._look_over_there(work)
        machine = estate.machine(work)
        target = estate.as_there(real_machine(estate.plan, machine, site), site)
        before = estate.own(target)
        if before is not None:
            # What stood by since an earlier migration, and starts again where it ran once.
            self._take_over(target, work.deadline)
        estate.session(target.record).create(target.resource, work.deadline)
        return self._seen_running(work, target)

    def _start_again(self, work: Work) -> Done:
        """Start the machine where it ran, as it was."""
        self._look_over_there(work)
        target = self._target(work)
        if self._estate.own(target) is None:
            raise ProvisionerError(
                error(
                    "PRV7077",
                    f"{target.resource.address} is not on {target.record.name} any more",
                    hint="Apply the stack to make it again; its disks are kept.",
                    address=str(target.resource.address),
                )
            )
        self._take_over(target, work.deadline)
        self._power(target, "running", work.deadline)
        return self._seen_running(work, target)

    def _take_over(self, target: Placed, deadline: Deadline) -> None:
        if self._is_marked(target):
            self._standby(target).take_over(target.resource, deadline)

    def _seen_running(self, work: Work, target: Placed) -> Done:
        found = self._estate.own(target)
        if found is not None and power_of(found) != "running":
            self._power(target, "running", work.deadline)
            found = self._estate.own(target)
        if found is None or power_of(found) != "running":
            raise ProvisionerError(
                error(
                    "PRV7078",
                    f"{target.resource.address} was started on {target.record.name} and does not "
                    "run",
                    hint="Look at its console there, and resume.",
                    address=str(target.resource.address),
                )
            )
        return _started(found, work)

    def _look_over_there(self, work: Work) -> None:
        """Raise ProvisionerError (PRV7075) if the machine runs at the other site. That was proven
        before; this is the last look, where there is something to look at. Where the site was
        fenced (``look`` is false), a host that gives no answer is not waited for again.
        """
        address = Address.of(str(work.task.arguments["machine"]))
        other = self._estate.placed(address, self._estate.other(self._site(work)))
        alive = bool(work.task.arguments.get("look"))
        ask = self._silence.ask if alive else self._silence.ask_unless_silent
        try:
            found = ask(
                other.record.name, work.clock, lambda: self._estate.own(other, seconds=PATIENCE)
            )
        except SilentError:
            return
        except ProvisionerError as problem:
            if diagnostic_of(problem).code == NOT_OURS:
                return
            raise
        power = "absent" if found is None else power_of(found)
        if power not in OFF:
            raise ProvisionerError(
                error(
                    RUNS_AT_BOTH,
                    f"{address} is {power} on {other.record.name}",
                    detail="It is not started at one site while it may run at the other.",
                    hint="Find out who started it there, shut it down, and resume.",
                    address=str(address),
                )
            )

    # Machines that make room

    def _has_state(self, work: Work) -> Done | NotDone:
        power = self._estate.power_of(self._target(work))
        wanted = str(work.task.arguments["state"])
        # One that did not run has no room to make, and none to be given back.
        skipped = power == "absent" or (wanted == "suspended" and power == "stopped")
        skipped |= wanted == "running" and power == "stopped"
        return Done({"power": power}) if skipped or power == wanted else NotDone()

    def _bring_to_state(self, work: Work) -> Done:
        target = self._target(work)
        self._estate.own(target)
        wanted = str(work.task.arguments["state"])
        self._power(target, wanted, work.deadline)
        return Done({"power": wanted})

    def _power(self, target: Placed, state: str, deadline: Deadline) -> None:
        session = self._estate.capable(target.record, POWER)
        assert isinstance(session, Power), "its provider says so"
        session.power(target.resource, state, deadline)

    def _target(self, work: Work) -> Placed:
        address = Address.of(str(work.task.arguments["machine"]))
        return self._estate.placed(address, self._site(work))

    def _site(self, work: Work) -> str:
        return self._estate.site(work)


def _started(found: Present, work: Work) -> Done:
    result: dict[str, Json] = {
        "externalId": found.external_id,
        "seenRunning": work.clock.now().isoformat(),
    }
    if "address" in found.outputs:
        result["address"] = found.outputs["address"]
    return Done(result)


def _on(host: str, at: datetime) -> dict[str, Json]:
    """That a machine was on there at that moment."""
    return {"host": host, "at": at.isoformat()}


def _disconnected(work: Work) -> Done:
    """The hosts of the old site that gave no answer, with how many of the plan's machines they have
    by the plan: nobody has seen those to be off.
    """
    silent: dict[str, int] = {}
    for task_id in work.task.needs:
        off = work.results.get(task_id, {})
        if off.get("reachable") is False:
            host = str(off["host"])
            silent[host] = silent.get(host, 0) + 1
    hosts: dict[str, Json] = {host: silent[host] for host in sorted(silent)}
    return Done({"hosts": hosts})
