"""The runbooks after which the machines run at the other site: migration, and failover.

In both, every start at the other site comes after tasks that prove the machine to be off where it
ran: it is stopped and seen to be, or the old site is fenced. ``turn`` stands between the two: from
then on the other site is the plan's own. Those proofs do not last: whoever goes on with a run has
them done anew, up to ``turn`` with all that leads there, and behind it only what a start needs
itself. Machines of others make room behind ``turn``, too: what was refused before has suspended
nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.capabilities import Way
from provisioner.workflows.recovery.model import Mode, Moment, PlannedMachine, RecoveryPlan
from provisioner.workflows.recovery.modes.drill import clear_drill
from provisioner.workflows.recovery.modes.order import needing, tiers
from provisioner.workflows.recovery.modes.rising import Rise, rise
from provisioner.workflows.recovery.modes.tasks import (
    CONNECTING,
    LONG,
    PREPARE,
    SYNCS,
    TURN,
    Draft,
    about,
    approvals,
    begin,
    check,
    give_back,
    make_room,
    milestone,
    of_machine,
    of_plan,
    own_steps,
    run_steps,
    stay_off,
)
from provisioner.workflows.runbook import OnFailure, Runbook, Task

LAST = "last"
"""The stage in which machines go down for the last synchronisation."""
ROOM = "room"
"""The stage in which others make room."""


def migrate_runbook(plan: RecoveryPlan, without: Collection[Address] = ()) -> Runbook:
    """Bring the machines to the other site in order, with nothing lost; those that had to make room
    at the site that is left go on. ``without``: machines that stay as and where they are.
    """
    draft = Draft(plan, str(Mode.MIGRATE), without=frozenset(without))
    prepared = _prepared(draft, Mode.MIGRATE, [plan.here, plan.there])
    cleared = clear_drill(draft, prepared)
    for machine in draft.machines:
        draft.add(
            of_machine(
                "synchronise",
                machine,
                f"synchronise {machine.address.name} while it runs",
                prepared,
                # One at a time works on a replica, and this may take long.
                after=[cleared[machine.address]],
                lane=_lane(plan, machine),
                seconds=LONG,
            )
        )
    current = [about("synchronise", machine) for machine in draft.machines]
    go_down = draft.add(milestone("down", "begin to shut down", current, stage=LAST))
    _shut_down(draft, go_down)
    marked = []
    for machine in draft.machines:
        name = machine.address.name
        last = draft.add(
            of_machine(
                "last-synchronise",
                machine,
                f"last synchronisation of {name}",
                [about("stop", machine)],
                lane=_lane(plan, machine),
                seconds=LONG,
                stage=LAST,
                lasting=False,
            )
        )
        marked.append(
            draft.add(
                of_machine(
                    "stand-by",
                    machine,
                    f"mark {name} at {plan.here} as not to start",
                    [last],
                    stage=LAST,
                    lasting=False,
                    site=plan.here,
                )
            )
        )
    proof = draft.add(
        draft.of_all(
            of_plan(
                "all-off",
                f"prove that no machine runs at {plan.here}",
                marked,
                action="all-off",
                stage=LAST,
                lasting=False,
                site=plan.here,
            )
        )
    )
    turned = _turn(draft, [proof])
    off = stay_off(draft, plan.here, [turned])
    room = _room(draft, turned)
    ready = {}
    for machine in draft.machines:
        # Before the turn the last synchronisation, to be done anew if the run is gone on with;
        # behind it, it must not be: the replica is about to become the disks.
        last = about("last-synchronise", machine)
        promote = draft.add(_promote(machine, [turned], last, plan, cleared))
        ready[machine.address] = [promote]
    how = Rise(Mode.MIGRATE, plan.there, [off, turned, *room], ready, "start", look=True)
    ended = rise(draft, how)
    give_back(draft, plan.here, [turned], ended)
    return draft.finished()


def failover_runbook(plan: RecoveryPlan, without: Collection[Address] = ()) -> Runbook:
    """Start the machines at the other site from what is there of them, once the old site is proven
    dead or cut off; nothing is fenced before each has a recovery point. ``without``: machines that
    are knowingly left out, for instance because they have none; the others go on as if they were
    not in the plan. Raises ProvisionerError (PRV7071) if the plan does not say how.
    """
    if plan.fencing is None or not plan.fencing.checks:
        raise ProvisionerError(
            error(
                "PRV7071",
                f"{plan.name}: nothing says how {plan.here} is fenced",
                detail="Machines that start at one site while they may still run at the other "
                "destroy their data.",
                hint="Write fencing into the RecoveryPlan: commands that cut the old site off, or "
                "a prompt that somebody answers who has seen to it. Compile the plan again.",
            )
        )
    draft = Draft(plan, str(Mode.FAILOVER), without=frozenset(without))
    prepared = _prepared(draft, Mode.FAILOVER, [plan.there])
    points = draft.add(
        of_plan(
            "points",
            f"every machine has a recovery point at {plan.there}",
            prepared,
            action="points",
            stage="fencing",
            without=sorted(map(str, draft.without)),
        )
    )
    seen = _mirrors(draft, points)
    # While the old site is fenced; but whoever works on a replica elsewhere is put out first.
    cleared = clear_drill(draft, prepared, behind="release")
    fences = [
        draft.add(
            check(
                f"fence/{number}",
                f"fence {plan.here} ({number} of {len(plan.fencing.checks)})",
                found,
                [seen],
                site=plan.here,
                # Whatever the author wrote: nothing starts beside a site that may be alive.
                on_failure=OnFailure.STOP,
                stage="fencing",
                lasting=False,
            )
        )
        for number, found in enumerate(plan.fencing.checks, 1)
    ]
    fenced = draft.add(
        of_plan(
            "fenced",
            f"{plan.here} is fenced",
            fences,
            action="fenced",
            stage="fencing",
            lasting=False,
        )
    )
    off = [
        draft.add(
            of_machine(
                "off",
                machine,
                f"look whether {machine.address.name} still runs at {plan.here}",
                [fenced],
                stage="fencing",
                lasting=False,
                site=plan.here,
            )
        )
        for machine in draft.machines
    ]
    heard = draft.add(
        of_plan(
            "disconnected",
            f"list the hosts of {plan.here} that gave no answer",
            off,
            action="disconnected",
            stage="fencing",
            lasting=False,
        )
    )
    turned = _turn(draft, [fenced, heard, *off])
    # While the disks are made: only the starts wait for the room.
    room = _room(draft, turned)
    ready = {}
    for machine in draft.machines:
        name = machine.address.name
        release = draft.add(
            of_machine(
                "release",
                machine,
                f"end the replication of {name}",
                [turned],
                on_failure=OnFailure.HOLD,
                stage="points",
            )
        )
        chosen = draft.add(
            of_machine(
                "choose",
                machine,
                f"choose the newest recovery point of {name}",
                [release, fenced],
                on_failure=OnFailure.HOLD,
                stage="points",
            )
        )
        promote = draft.add(_promote(machine, [chosen], chosen, plan, cleared))
        ready[machine.address] = [promote, about("off", machine)]
    how = Rise(Mode.FAILOVER, plan.there, [fenced, heard, turned, *room], ready, "start")
    rise(draft, how)
    return draft.finished()


def _mirrors(draft: Draft, points: str) -> str:
    """What the fencing waits for: it ends all mirrors, so that only a look before it tells whether
    they got every write. Whoever goes on with the run looks anew, as the old site may have written
    on; and nothing that is only evidence keeps anybody from going on.
    """
    if not any(machine.way is Way.CONTINUOUS for machine in draft.machines):
        return points
    return draft.add(
        draft.of_all(
            of_plan(
                "mirrors",
                f"note which mirrors at {draft.plan.there} are in step",
                [points],
                action="mirrors",
                seconds=CONNECTING,
                on_failure=OnFailure.GO_ON,
                stage="fencing",
                lasting=False,
            )
        )
    )


def rollback_runbook(
    plan: RecoveryPlan, without: Collection[Address] = (), *, trusted: bool = False
) -> Runbook:
    """Start the machines where they ran again, after a run that ended before anything ran at the
    other site; the machines that had to make room there go on. ``without``: those that the run left
    out. ``trusted``: somebody has made sure that the other site is off, hosts of which give no
    answer; those that do are looked at.
    """
    draft = Draft(plan, "rollback", without=frozenset(without))
    if trusted:
        _start_again(draft, _seen_as_far_as_it_answers(draft))
        return draft.finished()
    began = begin(draft, [plan.here, plan.there])
    proof = draft.add(
        draft.of_all(
            of_plan(
                "all-off",
                f"prove that no machine runs at {plan.there}",
                [began],
                action="all-off",
                lasting=False,
                site=plan.there,
            )
        )
    )
    marked = [
        draft.add(
            of_machine(
                "stand-by",
                machine,
                f"mark what there is of {machine.address.name} at {plan.there} as not to start",
                [proof],
                lasting=False,
                site=plan.there,
            )
        )
        for machine in draft.machines
    ]
    turned, ended = _start_again(draft, [proof, *marked], look=True)
    give_back(draft, plan.there, [turned], ended)
    return draft.finished()


def _seen_as_far_as_it_answers(draft: Draft) -> list[str]:
    plan = draft.plan
    began = begin(draft, [plan.here], trusted=plan.there)
    return [
        draft.add(
            draft.of_all(
                of_plan(
                    "all-off",
                    f"see, as far as {plan.there} answers, that no machine runs there",
                    [began],
                    action="stay-off",
                    lasting=False,
                    site=plan.there,
                )
            )
        )
    ]


def _start_again(draft: Draft, proofs: list[str], *, look: bool = False) -> tuple[str, list[str]]:
    """Turn the plan back and start its machines; the id of the turn, and of what ends the last."""
    plan = draft.plan
    turned = draft.add(
        of_plan(
            TURN,
            f"{plan.here} is the plan's site again",
            proofs,
            action=TURN,
            here=plan.here,
            there=plan.there,
        )
    )
    off = stay_off(draft, plan.there, [turned])
    how = Rise(None, plan.here, [off, turned], {}, "start-again", look=look)
    return turned, rise(draft, how)


def _prepared(draft: Draft, mode: Mode, sites: list[str]) -> list[str]:
    plan = draft.plan
    began = begin(draft, sites)
    consents = approvals(draft, [began])
    needs = [began, *consents]
    before = own_steps(plan, mode, Moment.BEFORE)
    steps = run_steps(draft, before, needs, site=plan.there, drill=False, stage=PREPARE)
    return [*needs, *steps[-1:]]


def _room(draft: Draft, turned: str) -> list[str]:
    """What every start waits for as well, where machines make room in one of the directions: one
    task in both of them, so that the starts of the way back need the same.
    """
    made = make_room(draft, draft.plan.there, [turned], stage=ROOM)
    if not any(draft.plan.suspend.values()):
        return []
    return [draft.add(milestone("room", "there is room", [turned, *made], stage=ROOM))]


def _lane(plan: RecoveryPlan, machine: PlannedMachine) -> str:
    return f"{SYNCS}/{plan.objects[plan.there][machine.address].endpoint}"


def _turn(draft: Draft, needs: list[str]) -> str:
    plan = draft.plan
    return draft.add(
        of_plan(
            TURN,
            f"{plan.there} is the plan's site from now on",
            needs,
            action=TURN,
            stage=LAST,
            here=plan.there,
            there=plan.here,
        )
    )


def _promote(
    machine: PlannedMachine,
    needs: list[str],
    point: str,
    plan: RecoveryPlan,
    cleared: Mapping[Address, str],
) -> Task:
    return of_machine(
        "promote",
        machine,
        f"disks of {machine.address.name} at {plan.there}",
        needs,
        after=[point, cleared[machine.address]],
        on_failure=OnFailure.HOLD,
        stage="disks",
        seconds=LONG,
        point=point,
    )


def _shut_down(draft: Draft, go_down: str) -> None:
    """The stops, in the opposite order of the starts."""
    plan = draft.plan
    users = needing(plan)

    def before(machine: Address) -> list[str]:
        """What goes down before it; those who need one that is left out, too."""
        return [
            item
            for user in users[machine]
            for item in (before(user) if user in draft.without else [about("stop", user)])
        ]

    opening = go_down
    for number, machines in reversed(tiers(plan).items()):
        stops = [
            draft.add(
                of_machine(
                    "stop",
                    machine,
                    f"shut down {machine.address.name} at {plan.here}",
                    [opening, *before(machine.address)],
                    stage=LAST,
                    lasting=False,
                    site=plan.here,
                )
            )
            for machine in machines
            if machine.address not in draft.without
        ]
        opening = draft.add(
            milestone(f"down/{number}", f"tier {number} is down", [opening, *stops], stage=LAST)
        )
