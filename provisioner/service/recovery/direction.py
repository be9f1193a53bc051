"""Which way a recovery plan leads: as its journal knows, as the hosts tell, or as a person says.

Called by :mod:`.opening`. The journal is believed, unless all hosts that answer contradict it.
Where it knows nothing the hosts decide; where they do not tell, a person does.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.model import EventSink
from provisioner.service.workspace import Workspace
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.recovery.model import RecoveryPlan
from provisioner.workflows.recovery.whereabouts import Whereabouts, look, site_told


@dataclass(frozen=True, slots=True)
class Told:
    """What is known besides the plan: by the ``journal`` that ``known`` comes from, the site to
    which its last turn led (None: it knows of none), and by a person, ``said``.
    """

    journal: Path
    known: str | None
    said: str | None


@dataclass(frozen=True, slots=True)
class Direction:
    """The plan as it leads. ``moved``: its machines have moved there, as hosts or a person say, of
    which the journal knows nothing. ``notice``: what is to be noted of that, else it is empty.
    ``told``: they say what the journal does not. ``found``: what hosts were seen to have; None if
    none was asked.
    """

    plan: RecoveryPlan
    moved: bool = False
    notice: str = ""
    told: bool = False
    found: Whereabouts | None = None


def direction(
    workspace: Workspace, plan: RecoveryPlan, told: Told, sink: EventSink, *, asking: bool
) -> Direction:
    """The direction in which a plan counts now. ``asking``: the hosts, too.

    Raises ProvisionerError (PRV7098) if what is known is contradicted by all that the hosts tell,
    or if nothing is known and they contradict one another.
    """
    if told.said is not None and told.said not in plan.sites:
        raise ProvisionerError(
            error(
                "PRV7098",
                f"--running-at {told.said}: {plan.name} has the sites {' and '.join(plan.sites)}",
                hint="Name the one where its machines run.",
            )
        )
    expected = told.said or told.known
    leading = plan.turned() if expected == plan.there else plan
    found = None
    if asking:
        with workspace.sessions(sink) as sessions:
            found = look(Estate(leading, sessions))
    if expected is None:
        return Direction(plan) if found is None else _as_told(found)
    if found is not None:
        _check(found, told)
    if told.said is None:
        return Direction(leading, found=found)
    return Direction(
        leading,
        moved=told.known is None,
        notice=f"--running-at: somebody said that the machines run at {told.said}"
        + ("" if told.known in (None, told.said) else f"; the journal said {told.known}"),
        told=told.said != told.known,
        found=found,
    )


def _as_told(found: Whereabouts) -> Direction:
    plan = found.plan
    ways = (
        "Name the journal of the last migration or failover with --journal FILE; or see to it that "
        "they run at one site; or, if you know which site the plan is to lead away from, say so: "
        f"{' or '.join(f'--running-at {site}' for site in sorted(plan.sites))}."
    )
    site = site_told(found, ways)
    if site is None:
        return Direction(plan, found=found)
    turned = plan.turned() if site == plan.there else plan
    notice = ""
    if turned is not plan:
        notice = f"the journal knew of no turn; the hosts said that the machines run at {site}"
    return Direction(turned, found.remains_at(turned.there), notice, told=bool(notice), found=found)


def _check(found: Whereabouts, told: Told) -> None:
    """Raise ProvisionerError (PRV7098) if all machines are at the other site than is believed."""
    plan = found.plan
    there = found.at(plan.there)
    if told.said is not None:
        # A person may know better than what follows from marks about a site that tells nothing.
        there = tuple(machine for machine in there if plan.there in found.seen[machine])
    if found.at(plan.here) or len(there) < len(plan.machines):
        return
    if told.said is not None:
        who, hint = f"--running-at {told.said}", "Leave the option out."
    else:
        who = f"the journal {told.journal}"
        hint = (
            "A later migration or failover stands in another journal: name that with --journal "
            f"FILE, or say what you see: --running-at {plan.there}."
        )
    raise ProvisionerError(
        error(
            "PRV7098",
            f"{who} says that the machines of {plan.name} run at {plan.here}, and the hosts say "
            f"that they run at {plan.there}",
            detail=found.told(),
            hint=hint,
        )
    )
