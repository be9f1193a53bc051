"""What a plan is made of: the request that the planner is handed, and the options in it.

Made by :mod:`provisioner.engine.prepare`; read by the planner's stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.core.diagnostics import Diagnostic
from provisioner.engine.plan import Counterpart
from provisioner.engine.rules import Rules
from provisioner.engine.selection import Selection
from provisioner.engine.subjects import Subject
from provisioner.manifest.model import Stack
from provisioner.providers.api import Observation, Provider
from provisioner.providers.capabilities import User
from provisioner.state.model import EndpointRecord, State


@dataclass(frozen=True, slots=True)
class PlanOptions:
    """What the caller of ``plan`` chose. ``max_impact`` None: the stack's default. ``only_adopt``:
    nothing but what ``adopt`` names is looked at for a step. ``trusted_sites`` are off, as somebody
    says, where they cannot be asked.
    """

    destroy: bool = False
    selection: Selection = field(default_factory=Selection)
    max_impact: Impact | None = None
    consents: tuple[Address, ...] = ()
    adopt: tuple[AddressPattern, ...] = ()
    only_adopt: bool = False
    trusted_sites: tuple[str, ...] = ()
    now: str = ""
    tool_version: str = ""


class Moved(NamedTuple):
    """A subject that has what will be replaced, and how it was found when asked with the successor
    in its place: what it still has of the predecessor differs from what it shall have.
    """

    subject: Subject
    observation: Observation
    replaced: frozenset[Address]


@dataclass(frozen=True, slots=True)
class PlanRequest:
    """Everything a plan is made of.

    ``subjects`` are the selected ones, with specs as the provider normalised them. ``users`` are
    those of predecessors that earlier runs have left. ``moved`` is known only once a first plan has
    shown what is replaced, and likewise ``away``, the machines that are at another site, with their
    disks, and why; ``counterparts`` are those that were asked about. ``warnings``: what was found
    besides, which no step is about.
    """

    name: str
    environment: str | None
    stack: Stack | None
    state: State
    subjects: Mapping[Address, Subject]
    observations: Mapping[Address, Observation]
    endpoints: Mapping[str, EndpointRecord]
    providers: Mapping[str, Provider]
    rules: Rules
    options: PlanOptions
    unselected: Mapping[Address, Subject] = field(default_factory=dict)
    users: Mapping[Address, Sequence[User]] = field(default_factory=dict)
    moved: Mapping[Address, Moved] = field(default_factory=dict)
    away: Mapping[Address, str] = field(default_factory=dict)
    counterparts: tuple[Counterpart, ...] = ()
    warnings: tuple[Diagnostic, ...] = ()
