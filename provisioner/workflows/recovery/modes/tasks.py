"""Tasks that several modes have: their ids, titles and arguments. Pure; used by the builders beside
this module.

Ids are ``WHAT/MACHINE``, the same for every run of a mode: history is kept by them. What the
actions do is in :mod:`provisioner.workflows.recovery.actions`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.workflows.nouns import FAILBACK, noun
from provisioner.workflows.recovery.fingerprint import fingerprint
from provisioner.workflows.recovery.model import (
    Check,
    Mode,
    Moment,
    OwnStep,
    PlannedMachine,
    RecoveryPlan,
)
from provisioner.workflows.runbook import OnFailure, Runbook, Task
from provisioner.workflows.runs import Run

BEGIN = "begin"
TURN = "turn"
FOR = "for"
"""The argument of a gate that says which machine it counts for, if it counts for one alone."""
TOLD = "told"
"""The argument of the first task that says so: where the machines are was told by hosts or a
person, and not by a journal."""
SINCE = "since"
"""The argument of the first task of a reprotection that tells which run turned the plan, and when.
"""
FORMER = "former"
"""The task that notes what is still on at the former site, before anything is stopped."""
BACK = "back"
"""The argument of the first task that says so: a migration or failover brings the machines home."""
PREPARE, FINISH = "prepare", "finish"
"""Stages before and after the tiers."""
MAKE_ROOM, GIVE_BACK = "suspend/", "resume/"
"""Before the names of machines: the tasks that suspend them, and let them go on."""
STARTS = "starts"
SYNCS = "synchronise"
PARALLEL_SYNCS = 4
"""Machines of one receiving host that are synchronised at once, in a run."""
LONG = 24 * 3600.0
"""Seconds that moving data may take."""
CONNECTING = 60.0
"""Seconds for which hosts are connected to: what cannot be reached then shall not hold a run open
that stands in everybody's way."""


@dataclass
class Draft:
    """A runbook in the making. ``without``: machines of the plan that are knowingly left out; what
    is about each machine passes over them.
    """

    plan: RecoveryPlan
    mode: str
    tasks: list[Task] = field(default_factory=list)
    without: frozenset[Address] = frozenset()

    @property
    def machines(self) -> tuple[PlannedMachine, ...]:
        """The machines that it is about."""
        return tuple(item for item in self.plan.machines if item.address not in self.without)

    def of_all(self, task: Task) -> Task:
        """A task about all machines, which names those that are left out, if there are any."""
        named: list[Json] = list(map(str, sorted(self.without)))
        return replace(task, arguments={**task.arguments, "without": named}) if named else task

    def add(self, task: Task) -> str:
        """Append a task; returns its id."""
        self.tasks.append(task)
        return task.id

    def finished(self) -> Runbook:
        """The runbook, with a lane for the starts and one for the synchronisations of each
        endpoint.
        """
        used = {task.lane for task in self.tasks if task.lane}
        lanes = {
            lane: self.plan.starts.get(lane.partition("/")[2], 1)
            if lane.startswith(f"{STARTS}/")
            else PARALLEL_SYNCS
            for lane in sorted(used)
        }
        return Runbook.ordered(self.plan.name, self.mode, self.tasks, lanes)


def about(what: str, machine: PlannedMachine | Address) -> str:
    """The id of a task about a machine."""
    address = machine.address if isinstance(machine, PlannedMachine) else machine
    return f"{what}/{address.name}"


def _besides(after: Iterable[str], needs: Sequence[str]) -> tuple[str, ...]:
    needed = set(needs)
    return tuple(item for item in dict.fromkeys(after) if item not in needed)


def of_machine(
    what: str,
    machine: PlannedMachine,
    title: str,
    needs: Sequence[str],
    *,
    after: Iterable[str] = (),
    lane: str = "",
    seconds: float = 600.0,
    on_failure: OnFailure = OnFailure.STOP,
    stage: str = PREPARE,
    action: str | None = None,
    lasting: bool = True,
    **arguments: Json,
) -> Task:
    """A task about one machine; ``action`` is ``what``, unless given."""
    return Task(
        id=about(what, machine),
        title=title,
        action=action or what,
        arguments={"machine": str(machine.address), **arguments},
        needs=tuple(dict.fromkeys(needs)),
        after=_besides(after, needs),
        lane=lane,
        seconds=seconds,
        on_failure=on_failure,
        subject=str(machine.address),
        stage=stage,
        lasting=lasting,
    )


def of_plan(
    task_id: str,
    title: str,
    needs: Sequence[str] = (),
    *,
    action: str,
    after: Iterable[str] = (),
    seconds: float = 600.0,
    on_failure: OnFailure = OnFailure.STOP,
    stage: str = PREPARE,
    lasting: bool = True,
    **arguments: Json,
) -> Task:
    """A task about the plan as a whole."""
    return Task(
        id=task_id,
        title=title,
        action=action,
        arguments=arguments,
        needs=tuple(dict.fromkeys(needs)),
        after=_besides(after, needs),
        seconds=seconds,
        on_failure=on_failure,
        stage=stage,
        lasting=lasting,
    )


def milestone(
    task_id: str, title: str, needs: Sequence[str], *, after: Iterable[str] = (), stage: str
) -> Task:
    """A task that is done as soon as it may begin: many come before it, and many after."""
    return of_plan(
        task_id, title, needs, after=after, action="milestone", seconds=60.0, stage=stage
    )


def check(
    task_id: str,
    title: str,
    found: Check,
    needs: Sequence[str],
    *,
    after: Iterable[str] = (),
    machine: Address | None = None,
    dependent: Address | None = None,
    site: str = "",
    drill: bool = False,
    repeat: bool = False,
    on_failure: OnFailure | None = None,
    stage: str = PREPARE,
    lasting: bool = True,
) -> Task:
    """A task that a :class:`~provisioner.workflows.recovery.model.Check` is. ``repeat``: it is
    tried again until it succeeds or its time is over. ``dependent``: the machine that it counts
    for, if it counts for one alone.
    """
    arguments: dict[str, Json] = {
        "kind": found.kind,
        "arguments": dict(found.arguments),
        "repeat": repeat,
        "site": site,
        "drill": drill,
    }
    if machine is not None:
        arguments["machine"] = str(machine)
    if dependent is not None:
        arguments[FOR] = str(dependent)
    return Task(
        id=task_id,
        title=title,
        action="check",
        arguments=arguments,
        needs=tuple(dict.fromkeys(needs)),
        after=_besides(after, needs),
        seconds=found.seconds,
        on_failure=on_failure or found.on_failure,
        subject=str(machine) if machine is not None else "",
        stage=stage,
        lasting=lasting,
    )


def begin(draft: Draft, sites: Sequence[str], *, trusted: str = "") -> str:
    """The first task: ``sites`` have to be reachable, with all that the mode needs of them.
    ``trusted``: the site that is off, as somebody has said.
    """
    plan = draft.plan
    task = of_plan(
        BEGIN,
        f"connect to {' and '.join(sites)}",
        action="begin",
        seconds=CONNECTING,
        here=plan.here,
        there=plan.there,
        sites=list(sites),
        mode=draft.mode,
        plan=fingerprint(plan),
        timeObjective=plan.time_objective,
    )
    said: dict[str, Json] = {"trusted": trusted} if trusted else {}
    return draft.add(draft.of_all(replace(task, arguments={**task.arguments, **said})))


def as_told(runbook: Runbook) -> Runbook:
    """The same runbook, which notes that where its machines are was told."""
    return _noting(runbook, TOLD)


def as_homeward(runbook: Runbook) -> Runbook:
    """The same runbook, which notes that it brings the machines home."""
    return _noting(runbook, BACK)


def leads_home(runbook: Runbook) -> bool:
    """Whether a migration or failover brings the machines home."""
    begin = runbook.by_id.get(BEGIN)
    return begin is not None and bool(begin.arguments.get(BACK))


def noun_of(run: Run) -> str:
    """What a run is called: a migration that brings the machines home is a failback."""
    return name_of(run.runbook)


def name_of(runbook: Runbook) -> str:
    """What a run of a runbook is called."""
    is_failback = runbook.mode == Mode.MIGRATE and leads_home(runbook)
    return noun(FAILBACK if is_failback else runbook.mode)


def leads_to(run: Run) -> str:
    """The site that the plan led to when a run began; empty if it does not say."""
    begin = run.runbook.by_id.get(BEGIN)
    return "" if begin is None else str(begin.arguments.get("there", ""))


def _noting(runbook: Runbook, what: str) -> Runbook:
    return replace(
        runbook,
        tasks=tuple(
            replace(task, arguments={**task.arguments, what: True}) if task.id == BEGIN else task
            for task in runbook.tasks
        ),
    )


def approvals(draft: Draft, needs: Sequence[str]) -> list[str]:
    """A question for each person whose consent is needed."""
    before = tuple(needs)
    return [
        draft.add(
            check(
                f"approve/{role}/{number}",
                f"consent of {role} ({number} of {count})",
                Check(
                    "prompt",
                    {"text": f"{role}: do you consent to {draft.mode} {draft.plan.name}?"},
                    seconds=LONG,
                ),
                before,
                on_failure=OnFailure.STOP,
            )
        )
        for role, count in sorted(draft.plan.approvals.items())
        for number in range(1, count + 1)
    ]


def own_steps(
    plan: RecoveryPlan,
    mode: Mode,
    moment: Moment,
    *,
    tier: int | None = None,
    machine: Address | None = None,
) -> list[OwnStep]:
    """The author's steps of one place in a mode, in the order in which they were written."""
    return [
        step
        for step in plan.steps
        if mode in step.modes and (step.moment, step.tier, step.machine) == (moment, tier, machine)
    ]


def run_steps(
    draft: Draft,
    steps: Iterable[OwnStep],
    needs: Sequence[str],
    *,
    after: Iterable[str] = (),
    site: str,
    drill: bool,
    stage: str,
    serves: Sequence[str] = (),
) -> list[str]:
    """The author's steps one after another; returns their ids. ``serves``: the starts that they are
    about or that come behind them; when none of these can be any more, nobody is asked.
    """
    before, ended = list(needs), list(after)
    added: list[str] = []
    for step in steps:
        task = check(
            f"step/{step.name}",
            step.name,
            step.check,
            before,
            after=ended,
            machine=step.machine,
            site=site,
            drill=drill,
            stage=stage,
        )
        asks = step.check.kind == "prompt"
        task_id = draft.add(replace(task, serves=tuple(serves)) if asks else task)
        added.append(task_id)
        before, ended = [task_id], []
    return added


def stay_off(draft: Draft, site: str, needs: Sequence[str]) -> str:
    """The proof that every start relies on itself: nothing runs at the site that the machines have
    left. It comes after what turns the plan, so that whoever goes on with the run behind that looks
    again, without doing again what led there.
    """
    return draft.add(
        draft.of_all(
            of_plan(
                "stay-off",
                f"see that the machines at {site} stay off and are marked",
                needs,
                action="stay-off",
                stage=PREPARE,
                lasting=False,
                site=site,
            )
        )
    )


def make_room(draft: Draft, site: str, needs: Sequence[str], *, stage: str = PREPARE) -> list[str]:
    """Suspend machines of others at a site. One that cannot be holds what needs the room."""
    before = tuple(needs)
    return [
        draft.add(
            Task(
                f"{MAKE_ROOM}{known.address.name}",
                f"suspend {known.address}",
                "suspend",
                {"machine": str(known.address), "site": site, "state": "suspended"},
                before,
                on_failure=OnFailure.HOLD,
                subject=str(known.address),
                stage=stage,
            )
        )
        for known in draft.plan.suspend.get(site, ())
    ]


def give_back(draft: Draft, site: str, needs: Sequence[str], after: Iterable[str]) -> list[str]:
    """Let machines of others at a site go on."""
    before, ended = tuple(needs), tuple(after)
    return [
        draft.add(
            Task(
                f"{GIVE_BACK}{known.address.name}",
                f"resume {known.address}",
                "suspend",
                {"machine": str(known.address), "site": site, "state": "running"},
                before,
                on_failure=OnFailure.GO_ON,
                subject=str(known.address),
                stage=FINISH,
                after=ended,
            )
        )
        for known in draft.plan.suspend.get(site, ())
    ]
