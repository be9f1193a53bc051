"""Actions that only look or note: the beginning of a run, milestones, the fencing, and the site
that is the plan's own from now on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

from provisioner.core.clock import Deadline
from provisioner.providers.capabilities import POWER, REPLICATION, STANDBY
from provisioner.state.model import EndpointRecord
from provisioner.workflows.actions import Action, Done, Work
from provisioner.workflows.recovery.actions.estate import Acting, Estate, repeated

NEEDED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "test": {"there": (REPLICATION, POWER)},
    "cleanup": {"there": (REPLICATION,)},
    "migrate": {"here": (POWER, STANDBY, REPLICATION), "there": (POWER, STANDBY, REPLICATION)},
    "failover": {"there": (POWER, STANDBY, REPLICATION)},
    "reprotect": {"here": (REPLICATION,), "there": (POWER, STANDBY, REPLICATION)},
    "rollback": {"here": (POWER, STANDBY), "there": (STANDBY,)},
}
"""Capabilities that the endpoints of a site have to have, by mode."""


class Marking:
    """The actions of one run."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def actions(self) -> Mapping[str, Action]:
        """By their names."""
        return {
            "begin": repeated(self._begin),
            "milestone": Acting(lambda _: Done(), lambda _: Done()),
            "fenced": repeated(lambda work: Done({"at": work.clock.now().isoformat()})),
            "turn": repeated(_turn),
        }

    def _begin(self, work: Work) -> Done:
        """Connect to every endpoint that the mode needs, and see that it can do what it takes."""
        plan, given = self._estate.plan, work.task.arguments
        sites = {"here": plan.here, "there": plan.there}
        records: list[EndpointRecord] = []
        needed, asked = NEEDED[str(given["mode"])], given["sites"]
        assert isinstance(asked, list)
        for place, site in sites.items():
            if place not in needed or site not in asked:
                continue
            names = {plan.objects[site][item.address].endpoint for item in plan.machines}
            records += [plan.endpoints[name] for name in sorted(names)]
            for name in sorted(names):
                for capability in needed[place]:
                    self._estate.require(plan.endpoints[name], capability)
        self._connect(records, work.deadline)
        return Done({"here": plan.here, "there": plan.there})

    def _connect(self, records: Sequence[EndpointRecord], deadline: Deadline) -> None:
        """All at once: one that is slow leaves the others their time."""

        def connect(record: EndpointRecord) -> None:
            seconds = max(0.1, deadline.remaining())
            self._estate.ask(record, lambda session: session.observe([]), "connecting", seconds)

        with ThreadPoolExecutor(max(1, len(records)), thread_name_prefix="connect") as pool:
            for future in [pool.submit(connect, record) for record in records]:
                future.result()


def _turn(work: Work) -> Done:
    given = work.task.arguments
    return Done({"here": given["here"], "there": given["there"]})
