"""The plan as a value: everything that apply needs and that a reader sees, with no endpoint at
hand.

:mod:`provisioner.engine.planner` makes plans, :mod:`provisioner.engine.planfile` reads and writes
them, and :mod:`provisioner.engine.apply` executes exactly their steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from provisioner.core.actions import EVERYTHING, Action, Impact, Permission
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic
from provisioner.core.values import Json, Path
from provisioner.providers.api import Change, Observation, Present
from provisioner.state.model import EndpointRecord, Entry, JournalRecord

ABSENT_FINGERPRINT = "absent"

OLD_SUFFIX = "#old"
"""Ends the id of the step that deletes the predecessor in a replacement that creates first."""


BEGUN = "begun"
"""Key in what the journal says of a creation: without an outcome, it may have made an object that
was not there before.
"""


def fingerprint_of(observation: Observation) -> str:
    """What a step's object is recognised by when the plan is applied."""
    return observation.fingerprint if isinstance(observation, Present) else ABSENT_FINGERPRINT


def stamp_address(address: Address) -> Address:
    """The address that stands in an object's stamp: without the mark of a retired generation."""
    return Address(address.kind, address.name.partition("#")[0])


@dataclass(frozen=True, slots=True)
class Known:
    """A resource as a plan knows it: what a provider call about it, or about one that refers to it,
    needs.
    """

    address: Address
    endpoint: str
    name: str
    uid: str
    generation: int
    spec: Mapping[str, Any]
    external_id: str | None = None
    outputs: Mapping[str, Json] = field(default_factory=dict)
    dependencies: tuple[Address, ...] = ()
    protect: bool = False
    manage: frozenset[Permission] = EVERYTHING


def intent_detail(about: Known | Entry, successor: Address | None = None) -> dict[str, Any]:
    """What the journal has to say of an intent, so that a later run can look for the object that it
    was about. ``successor``: the resource whose address that object had once.
    """
    detail = {"successor": str(successor)} if successor is not None else {}
    return {
        **detail,
        "endpoint": about.endpoint,
        "name": about.name,
        "uid": str(about.uid),
        "generation": about.generation,
        "spec": about.spec,
        "external_id": about.external_id,
        "dependencies": [str(address) for address in about.dependencies],
    }


Begun: TypeAlias = frozenset[tuple[str, str, str]]
"""Endpoint, identity and name of objects of which :attr:`Resource.begun` is true."""


def begun_in(intents: Iterable[JournalRecord]) -> Begun:
    """The objects whose creation was begun and has no outcome, after absence had been proven. Of
    several intents about one object the last one counts: it was written with the others in view.
    """
    last = {
        (record.detail["endpoint"], record.detail["uid"]): record.detail
        for record in intents
        if record.action == Action.CREATE and record.detail
    }
    return frozenset(
        (*place, detail["name"]) for place, detail in last.items() if detail.get(BEGUN)
    )


@dataclass(frozen=True, slots=True)
class Step:
    """One action on one resource.

    ``id`` is the address, or ``address#old`` for the second half of a replacement that creates
    first. ``known.spec`` is the desired spec (for delete and forget the recorded one), ``previous``
    the object as it was recorded (in a replacement of what was not recorded: as it was found).
    ``fingerprint`` is that of the object when the plan was made (``absent`` if there was none) and
    ``prior_serial`` the serial of its state entry (0 if there was none): apply refuses the plan if
    either moved. ``restart`` allows the provider to restart a guest; the changes in ``deferred``
    are written but wait for a restart. ``held`` says why protection forbids the step: it is shown
    and never carried out.
    """

    id: str
    action: Action
    known: Known
    fingerprint: str
    changes: tuple[Change, ...] = ()
    impact: Impact = Impact.NONE
    reason: str = ""
    depends_on: tuple[str, ...] = ()
    restart: bool = False
    deferred: tuple[Path, ...] = ()
    prior_serial: int = 0
    previous: Known | None = None
    replace_order: str | None = None
    held: str | None = None

    @property
    def address(self) -> Address:
        """The resource it acts on."""
        return self.known.address

    @property
    def renamed_from(self) -> Address | None:
        """The address that the resource was recorded with, if it has another one now."""
        before = self.previous.address if self.previous is not None else self.address
        return before if before != self.address else None

    @property
    def consent_address(self) -> Address:
        """The address under which consent to the loss of its data is given: that of the resource,
        whichever of its generations the step is about.
        """
        return stamp_address(Address.of(self.id))

    @property
    def is_of_predecessor(self) -> bool:
        """Whether it is about an object whose successor has its address: in this plan or since an
        earlier one.
        """
        return "#" in self.id

    @property
    def old_id(self) -> str:
        """The id of the step that deletes the predecessor when this one creates first."""
        return f"{self.id}{OLD_SUFFIX}"

    @property
    def removes_predecessor(self) -> bool:
        """Whether it is the second half of a replacement that creates first."""
        return self.id.endswith(OLD_SUFFIX)


@dataclass(frozen=True, slots=True)
class RestartPending:
    """A field whose configured value is right but not in force until the guest is restarted."""

    address: Address
    path: Path
    running: Json
    configured: Json
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Kept:
    """The predecessor of something that was replaced: it stays as long as others need it."""

    address: Address
    """With the mark of its generation: ``Image/base#0``."""
    reason: str


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A protected machine that a plan makes or starts, or whose replicated disks it makes or
    removes, and a site where it may be instead: nothing starts beside itself, so apply asks there
    once more. ``known`` is as it was recorded, ``hosts`` are those of that site, ``is_new`` says
    that it has never been anywhere as far as is known. ``copies`` are its replicated disks as
    they would be there if they were promoted, and the pools that they would be in. ``plan``: the
    recovery plan that it is in; empty if it is in none.
    """

    address: Address
    known: Known
    site: str
    hosts: tuple[str, ...]
    is_new: bool = False
    runs_here: bool = False
    copies: tuple[Known, ...] = ()
    plan: str = ""

    def command(self, verb: str) -> str:
        """The command of recovery that a message names, quoted."""
        return f"'provisioner dr {verb}{f' {self.plan}' if self.plan else ''}'"


@dataclass(frozen=True, slots=True)
class Plan:
    """Ordered steps (a step stands after all that it depends on) and what they were derived from.

    ``steps`` are carried out; ``held`` are not. ``refresh`` are resources that are as they should
    be but recorded with other words, ``observed`` such as are only looked at and not recorded yet:
    apply writes their entries and calls no provider. ``kept`` are
    predecessors without a step; apply leaves their intents open, so that later plans know of them.
    ``undetermined`` are about resources that could not be observed: nothing is planned for them
    until what they stand on was changed. ``context``
    are resources without a step that steps refer to. ``consents`` are the addresses whose loss of
    data was allowed on the command line. ``id`` is the plan's identity, a digest over what it was
    made from and what it does; ``digest`` is over everything else and finds an altered plan.
    """

    stack: str
    environment: str | None
    lineage: str
    serial: int
    destroy: bool
    created_at: str
    tool_version: str
    providers: Mapping[str, str]
    schemas: str
    max_impact: Impact
    steps: tuple[Step, ...]
    held: tuple[Step, ...] = ()
    pending: tuple[RestartPending, ...] = ()
    kept: tuple[Kept, ...] = ()
    undetermined: tuple[Diagnostic, ...] = ()
    refresh: tuple[Known, ...] = ()
    observed: tuple[Known, ...] = ()
    context: tuple[Known, ...] = ()
    endpoints: Mapping[str, EndpointRecord] = field(default_factory=dict)
    consents: tuple[Address, ...] = ()
    selection: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """``target``, ``exclude`` and ``adopt`` patterns as given."""
    only_adopt: bool = False
    """Whether nothing was planned but to take over what ``adopt`` names."""
    interrupted: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Intents that earlier runs left without an outcome, by the step that deals with them, or by
    the resource that turned out to need none: apply closes them, and no others.
    """
    unchanged: int = 0
    warnings: tuple[Diagnostic, ...] = ()
    counterparts: tuple[Counterpart, ...] = ()
    """Where machines that it makes or starts must not be."""
    trusted_sites: tuple[str, ...] = ()
    """Sites that were said to be off where they cannot be asked."""
    id: str = ""
    digest: str = ""

    @property
    def short_id(self) -> str:
        """The beginning of the id, as people compare it."""
        return self.id[:12]

    @property
    def refused(self) -> tuple[Step, ...]:
        """Steps that the gate forbids: beyond ``max_impact``, or data loss without consent."""
        return tuple(step for step in self.steps if not self.allows(step))

    @property
    def is_partial(self) -> bool:
        """Whether resources were left out that another plan of the stack would look at."""
        left_out = any(self.selection.get(option) for option in ("target", "exclude"))
        return left_out or self.only_adopt

    def allows(self, step: Step) -> bool:
        """Whether the gate lets this step pass."""
        if step.impact is Impact.DATA_LOSS:
            return step.consent_address in self.consents
        return not step.impact.exceeds(self.max_impact)

    def counts(self) -> dict[str, int]:
        """Number of steps by action, for summaries; only actions that occur."""
        counts: dict[str, int] = {}
        for step in self.steps:
            counts[step.action.value] = counts.get(step.action.value, 0) + 1
        return counts
