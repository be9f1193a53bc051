"""Actions that only look or note: the beginning of a run, milestones, the fencing, and the site
that is the plan's own from now on.
"""

from __future__ import annotations

from collections.abc import Mapping

from provisioner.providers.capabilities import POWER, REPLICATION, STANDBY
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
        needed, asked = NEEDED[str(given["mode"])], given["sites"]
        assert isinstance(asked, list)
        for place, site in sites.items():
            if place not in needed or site not in asked:
                continue
            names = {plan.objects[site][item.address].endpoint for item in plan.machines}
            for name in sorted(names):
                record = plan.endpoints[name]
                for capability in needed[place]:
                    self._estate.require(record, capability)
                self._estate.ask(record, lambda session: session.observe([]), "connecting")
        return Done({"here": plan.here, "there": plan.there})


def _turn(work: Work) -> Done:
    given = work.task.arguments
    return Done({"here": given["here"], "there": given["there"]})
