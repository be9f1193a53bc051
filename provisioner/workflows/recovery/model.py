"""A recovery plan with everything that carrying it out needs: plain values, resolved and mapped.

Compiled from manifests and state by :mod:`provisioner.workflows.recovery.compiling`, stored and
signed by :mod:`provisioner.workflows.recovery.storing`, turned into runbooks by
:mod:`provisioner.workflows.recovery.modes`. Nothing in it refers to a manifest or to a state: the
site where those are may be gone. Either site may be the one that the machines run at.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.engine.plan import Known
from provisioner.providers.capabilities import Way
from provisioner.state.model import EndpointRecord
from provisioner.workflows.runbook import OnFailure


class Mode(StrEnum):
    """What is done with a plan."""

    TEST = "test"
    CLEANUP = "cleanup"
    MIGRATE = "migrate"
    FAILOVER = "failover"
    REPROTECT = "reprotect"


class Moment(StrEnum):
    """When a step of the author's runs."""

    BEFORE = "before"
    AFTER = "after"


@dataclass(frozen=True, slots=True)
class Check:
    """How something proves that it is well, or a command that is run.

    ``kind`` and what ``arguments`` it has:

    - ``serial``: ``text`` appears on the machine's serial console after its start;
    - ``tcp``: ``host`` (None: the machine's address) accepts connections at ``port``;
    - ``agent``: the guest agent answers;
    - ``command``: ``argv`` exits with 0 on the machine of the orchestrator, with the names of plan,
      mode, site and machine in the environment;
    - ``guest-command``: ``argv`` exits with 0 in the guest;
    - ``prompt``: somebody answers ``yes`` to ``text``.

    ``seconds``: how long it may take, or until when it is tried again. ``on_failure``: what
    follows.
    """

    kind: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    seconds: float = 300.0
    on_failure: OnFailure = OnFailure.HOLD


@dataclass(frozen=True, slots=True)
class OwnStep:
    """A step of the author's, before or after the plan (``tier`` and ``machine`` None), a tier or a
    machine, in some modes.
    """

    name: str
    moment: Moment
    check: Check
    modes: frozenset[Mode]
    tier: int | None = None
    machine: Address | None = None


@dataclass(frozen=True, slots=True)
class PlannedMachine:
    """One machine of a plan. What it is at each site stands in :attr:`RecoveryPlan.objects` under
    its address.

    ``disks`` are the replicated ones. ``tier`` 1 comes first. ``needs``: machines that have to be
    up, and whose ``gates`` have to be passed, before this one starts, of whatever tier. ``way`` to
    ``quiesce`` say how it is replicated, with ``interval`` in seconds; ``point_objective`` is the
    recovery point objective in seconds. ``test`` and ``real`` are changes to the machine's spec in
    a drill, and in earnest, by site: ``{"site-b": {"cloudInit": {...}}}``, laid over its fields.
    ``edges``: by machine of ``needs``, the gates that that one has to pass besides before this one
    starts, and that nobody else waits for.
    """

    address: Address
    group: str
    disks: tuple[Address, ...]
    tier: int = 3
    needs: tuple[Address, ...] = ()
    gates: tuple[Check, ...] = ()
    way: Way = Way.INCREMENTAL
    interval: float = 300.0
    keep: int = 3
    quiesce: bool = False
    point_objective: float = 900.0
    test: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    real: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    edges: Mapping[Address, tuple[Check, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fencing:
    """How the old site is proven dead, or cut off, before a failover: all ``checks`` have to
    succeed; there is at least one.
    """

    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class RecoveryPlan:
    """A whole plan. ``sites``: their names, where the machines are now first.

    ``endpoints`` are the hosts of both sites by name, ``site_of`` the site of each. ``objects``
    holds, by site, whatever machines are made of there, in the canonical form of its endpoint:
    the machines themselves, their disks, and the pools, networks and the like that they refer to.
    Identities are the same at both sites.

    ``bubble``: by the address of a network at a site, the isolated network that takes its place in
    a drill there; the machines of a drill are connected to nothing else. ``starts``: how many
    machines start at once, by endpoint. ``suspend``: machines of other stacks that make room, by
    site. ``time_objective``: the recovery time objective in seconds. ``approvals``: how many people
    of each role have to consent to a failover or migration. ``drill_every``: seconds within which
    the last successful drill has to lie. ``max_age``: seconds after ``compiled`` until which a
    stored plan may be used. ``programs``: of a stored plan, the contents of those programs of its
    commands that lay in its stack, by the names that the commands have for them.
    """

    name: str
    stack: str
    lineage: UUID
    sites: tuple[str, str]
    endpoints: Mapping[str, EndpointRecord]
    site_of: Mapping[str, str]
    objects: Mapping[str, Mapping[Address, Known]]
    machines: tuple[PlannedMachine, ...]
    compiled: datetime
    compiled_by: str = ""
    steps: tuple[OwnStep, ...] = ()
    bubble: Mapping[str, Mapping[Address, Known]] = field(default_factory=dict)
    starts: Mapping[str, int] = field(default_factory=dict)
    suspend: Mapping[str, tuple[Known, ...]] = field(default_factory=dict)
    fencing: Fencing | None = None
    time_objective: float | None = None
    approvals: Mapping[str, int] = field(default_factory=dict)
    drill_every: float | None = None
    max_age: float = 30 * 86400.0
    programs: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def here(self) -> str:
        """The site where the machines are now."""
        return self.sites[0]

    @property
    def there(self) -> str:
        """The site that they are recovered at."""
        return self.sites[1]

    def turned(self) -> RecoveryPlan:
        """The plan in the other direction, as it counts after a migration or failover."""
        return replace(self, sites=(self.there, self.here))
