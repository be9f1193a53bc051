"""Finds a recovery plan, its journal, and which way it counts now.

A plan is read from a signed file, or compiled from the stack. Where its machines run follows from
its journal: the last migration or failover that passed its turning point decides, and not the
state, which is that of the last apply and may be gone. What the hosts of both sites say of it is in
:mod:`.direction`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.service.model import EventSink, Noticed
from provisioner.service.recovery.commands import Commands
from provisioner.service.recovery.compiling import compiled_plan
from provisioner.service.recovery.direction import Told, direction
from provisioner.service.recovery.keys import names_trusted_keys, trusted_keys
from provisioner.service.recovery.owning import check_own, owner
from provisioner.service.workspace import Workspace
from provisioner.workflows.journal import Journal
from provisioner.workflows.nouns import noun
from provisioner.workflows.owners import Owner, owner_of
from provisioner.workflows.recovery import storing
from provisioner.workflows.recovery.actions.sighting import Sighting
from provisioner.workflows.recovery.model import Mode, RecoveryPlan
from provisioner.workflows.recovery.modes import ROLLBACK
from provisioner.workflows.recovery.modes.tasks import BEGIN, TOLD, TURN
from provisioner.workflows.recovery.signing import TrustedKeys
from provisioner.workflows.runs import Run

FOLDER = "recovery"
"""Beside the state: the journals of its plans."""
BESIDE_PLAN = ".runs.db"
"""Behind the name of a stored plan: the journal of its runs."""
TURNING = (Mode.MIGRATE, Mode.FAILOVER, ROLLBACK)
"""The modes that have such a task."""
PAUSING = (*TURNING, Mode.REPROTECT)
"""The modes during which nobody else does anything to the machines of the plan."""
LOOKED_BACK = 1000
"""Runs that are looked through for the last that turned the direction."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which plan is meant: by its ``name`` in the stack, or by the signed ``file`` that holds it,
    which a key in the file ``trusted`` has to have signed, and which may be older than its own
    limit with ``allow_age``. ``journal``: its file, if that is neither beside the state nor beside
    the ``file``. ``running_at``: the site where the machines run, as a person says.
    """

    name: str | None
    file: Path | None = None
    trusted: Path | None = None
    journal: Path | None = None
    allow_age: bool = False
    running_at: str | None = None


@dataclass(frozen=True, slots=True)
class Vouched:
    """The signed ``content`` of the ``file`` that a plan was read from, and whose signatures are
    ``trusted`` for whatever is carried out of it, however old it is with ``allow_age``.
    """

    file: Path
    content: bytes = field(repr=False)
    trusted: TrustedKeys = field(repr=False)
    allow_age: bool = False


@dataclass(frozen=True, slots=True)
class Opened:
    """A plan in the direction that counts now. ``home``: where its machines were when it was
    compiled. ``moved``: whether hosts, or a person, say that they have moved to where they are, of
    which the journal knows nothing. ``told``: the direction is theirs, and not what the journal
    knows. ``commands``: as which messages name what can be done. ``vouched``: how the plan is
    proven, if it was read from a file. ``seen``: what hosts that were asked have, by machine and
    site. ``folder``: the one that relative paths of the plan's programs count from.
    """

    plan: RecoveryPlan
    journal: Journal
    home: str
    moved: bool = False
    told: bool = False
    commands: Commands = field(default_factory=Commands)
    vouched: Vouched | None = None
    seen: Mapping[Address, Mapping[str, Sighting]] = field(default_factory=dict)
    folder: Path = field(default_factory=Path)

    @property
    def is_turned(self) -> bool:
        """Whether the machines run at the other site since."""
        return self.plan.here != self.home


def open_plan(
    workspace: Workspace, source: Source, sink: EventSink, *, asking: bool = False
) -> Opened:
    """The plan that is meant. ``asking``: the hosts at which site its machines run, unless a run
    has not ended. Raises ProvisionerError if there is no such plan, it is refused, the journal is
    that of another one, or of another estate (PRV7101), or where its machines run cannot be told
    (PRV7098).
    """
    plan, notices, vouched = meant(workspace, source, sink)
    path = journal_path(workspace, source, plan.name)
    journal = journal_of(workspace, source, plan.name)
    last = journal.last()
    check_own(path, last, owner(plan))
    _tell_of_others(workspace, source, plan, sink)
    found = direction(
        workspace,
        plan,
        Told(path, runs_at(journal), source.running_at),
        sink,
        asking=asking and not (last is not None and last.is_open),
    )
    notices += [found.notice] if found.notice else []
    for notice in notices:
        sink(Noticed(f"{plan.name}: {notice}"))
    return Opened(
        found.plan,
        journal_of(workspace, source, plan.name, notices),
        plan.here,
        found.moved,
        found.told,
        commands_for(workspace, source, plan.name),
        vouched,
        found.found.seen if found.found is not None else {},
        folder_of(workspace, source),
    )


def folder_of(workspace: Workspace, source: Source) -> Path:
    """The folder that relative paths of a plan's programs count from: that of the stored plan, or
    of the stack.
    """
    return workspace.root if source.file is None else source.file.parent


def reopened(opened: Opened) -> Opened:
    """The same plan in the direction that its journal knows now."""
    return replace(opened, plan=turned_to(opened.plan, runs_at(opened.journal)))


def journal_path(workspace: Workspace, source: Source, name: str) -> Path:
    """The file of the journal of the plan called ``name``: the one that is named, else
    ``FILE.runs.db`` beside the stored plan, else the one beside the state.
    """
    if source.journal is not None:
        return source.journal
    if source.file is not None:
        return source.file.with_name(source.file.name + BESIDE_PLAN)
    return workspace.state_path.parent / FOLDER / f"{name}.db"


def journal_of(
    workspace: Workspace, source: Source, name: str, notices: Sequence[str] = ()
) -> Journal:
    """The journal of the plan called ``name``; nothing is made before something is written.
    ``notices``: see :class:`Journal`.
    """
    return Journal(
        journal_path(workspace, source, name),
        ways=commands_for(workspace, source, name).ways,
        clock=workspace.clock,
        notices=notices,
    )


def named_journal(workspace: Workspace, source: Source) -> Journal:
    """The journal alone, for what needs no plan. Raises ProvisionerError: PRV7088 if neither a plan
    nor a journal is named, PRV7101 if the journal is that of another plan, or of another estate,
    than is named.
    """
    if source.name is None and source.journal is None and source.file is None:
        raise ProvisionerError(
            error(
                "PRV7088",
                "no recovery plan is named",
                hint="Give its name, the file that holds it with --from FILE, or its journal with "
                "--journal FILE.",
            )
        )
    journal = journal_of(workspace, source, source.name or "")
    wanted = _meant(workspace, source)
    if wanted is not None:
        check_own(journal.path, journal.last(), wanted)
    return journal


def _meant(workspace: Workspace, source: Source) -> Owner | str | None:
    """Whose journal is meant, as far as can be told without a plan, whose file and state may be
    gone; None if only the journal is named, which says itself whose it is.
    """
    if source.file is not None:
        claim = storing.claimed(source.file)
        if claim is None or source.name not in (None, claim.name):
            return source.name
        return claim
    if source.name is None:
        return None
    try:
        stack, state = workspace.applied()
    except ProvisionerError:
        return source.name
    return source.name if stack is None else Owner(source.name, stack, str(state.lineage))


def commands_for(workspace: Workspace, source: Source, name: str = "") -> Commands:
    """The commands about the plan called ``name``, with the options that the present one has."""
    options: list[str] = []
    reading: tuple[str, ...] = ()
    if source.file is not None and source.trusted is None and not _has_trusted_keys(workspace):
        reading = ("--trusted", "FILE")  # which one only the person knows
    for option, value in (
        ("--from", source.file),
        ("--trusted", source.trusted if source.file is not None else None),
        ("--journal", source.journal),
        ("--stack", None if workspace.root == Path() else workspace.root),
        ("--env", workspace.environment),
        *(("--var", f"{name}={text}") for name, text in sorted(workspace.variables.items())),
    ):
        options += [] if value is None else [option, str(value)]
    of_plan = ("--allow-age",) if source.allow_age else ()
    return Commands(source.name or name, tuple(options), of_plan, reading)


def _has_trusted_keys(workspace: Workspace) -> bool:
    try:
        return names_trusted_keys(workspace.configuration, workspace.root)
    except ProvisionerError:
        return False  # whoever reads the plan says what is wrong with it


def _tell_of_others(
    workspace: Workspace, source: Source, plan: RecoveryPlan, sink: EventSink
) -> None:
    """Say that the journal beside the state knows of an open run, where another one counts."""
    if source.file is None or source.journal is not None:
        return
    name = plan.name
    path = journal_path(workspace, Source(name), name)
    try:
        last = Journal(path).last()
        if owner_of(path) not in (None, owner(plan)):
            return
    except ProvisionerError as problem:
        sink(Noticed(problem.diagnostics[0].summary))
        return
    if last is not None and last.is_open:
        sink(
            Noticed(
                f"the journal beside the state knows of a {noun(last.mode)} of {name} that has not "
                f"ended, since {last.started:%Y-%m-%d %H:%M} UTC: --journal {path} goes on with it"
            )
        )


def runs_at(journal: Journal) -> str | None:
    """The site where the machines of a plan run, as its journal knows; None if it never turned and
    nobody has told.
    """
    turn = last_turn(journal)
    return None if turn is None else turn[0]


def last_turn(journal: Journal) -> tuple[str, Run] | None:
    """The site that the last turn led to, or that was told for a run since, and that run."""
    for record in journal.runs(LOOKED_BACK):
        if record.mode not in PAUSING:
            continue
        run = journal.run(record.id)
        site = site_known_by(run)
        if site is not None:
            return site, run
    return None


def site_known_by(run: Run) -> str | None:
    """The site where the machines run since a run: the one to which it has turned the plan, or at
    which hosts or a person had told that they are; None if it tells nothing.
    """
    if has_turned(run):
        return str(run.tasks[TURN].result["here"])
    begin = run.tasks.get(BEGIN)
    arguments = run.runbook.by_id[BEGIN].arguments if begin is not None else {}
    if begin is not None and begin.is_done and arguments.get(TOLD):
        return str(arguments["here"])
    return None


def has_turned(run: Run) -> bool:
    """Whether a run has passed its turn."""
    turn = run.tasks.get(TURN)
    return turn is not None and turn.is_done


def turned_to(plan: RecoveryPlan, site: str | None) -> RecoveryPlan:
    """The plan with ``site`` as the one where its machines are; as it is if that is not known."""
    return plan.turned() if site is not None and site == plan.there else plan


def meant(
    workspace: Workspace, source: Source, sink: EventSink
) -> tuple[RecoveryPlan, list[str], Vouched | None]:
    """The plan as it was compiled, what is to be known of it, and how it is proven if it was read
    from a file. Raises ProvisionerError if there is none, or it is refused.
    """
    if source.file is None:
        if source.name is None:
            raise ProvisionerError(
                error(
                    "PRV7088",
                    "no recovery plan is named",
                    hint="Give its name, or a signed file with --from FILE.",
                )
            )
        return compiled_plan(workspace, source.name, sink), [], None
    trusted = trusted_keys(source.trusted, workspace.configuration, workspace.root)
    stack, state = workspace.applied()
    expected = None if stack is None else storing.Estate(stack, str(state.lineage))
    now = workspace.clock.now()
    stored = storing.read(source.file, trusted, now, expected, allow_age=source.allow_age)
    plan = stored.plan
    if source.name is not None and source.name != plan.name:
        raise ProvisionerError(
            error(
                "PRV7088",
                f"{source.file} holds the recovery plan {plan.name}, not {source.name}",
                hint="Name the plan that is meant, or none: the file says which it is.",
            )
        )
    vouched = Vouched(source.file, stored.content, trusted, source.allow_age)
    return plan, [f"--allow-age: {stored.overdue}"] if stored.overdue else [], vouched
