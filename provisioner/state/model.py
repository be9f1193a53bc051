"""What state consists of: entries, endpoints, the journal and the lock.

The engine reads and writes these values through :class:`provisioner.state.store.Store`. No secret
is ever among them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from provisioner.core.actions import EVERYTHING, Permission
from provisioner.core.address import Address
from provisioner.core.values import Json


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource as the last apply left it: what was recorded.

    ``spec`` is the canonical spec that was applied (plain data, no unknowns, no secrets, only
    references to them). ``name`` is the object's name on the endpoint, ``endpoint`` the Host it
    lives on. ``dependencies`` are direct ones only. ``serial`` is the state serial of the write.
    ``pending`` are the paths (as text) that wait for a restart. ``manage``: what may be done to it.
    """

    address: Address
    provider: str
    endpoint: str
    name: str
    uid: UUID
    external_id: str
    spec: Mapping[str, Any]
    outputs: Mapping[str, Json] = field(default_factory=dict)
    dependencies: tuple[Address, ...] = ()
    generation: int = 0
    protect: bool = False
    manage: frozenset[Permission] = EVERYTHING
    pending: tuple[str, ...] = ()
    applied_at: str = ""
    """RFC 3339, UTC."""
    serial: int = 0


@dataclass(frozen=True, slots=True)
class EndpointRecord:
    """A Host as it was when something was last applied to it, so that what it holds can be removed
    without its manifest.
    """

    name: str
    provider: str
    spec: Mapping[str, Any]


class JournalPhase(StrEnum):
    """What a journal record says."""

    INTENT = "intent"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class JournalRecord:
    """One line of the journal: an intent before a provider call, or its outcome after it."""

    sequence: int
    operation: str
    """Identifies one run of apply."""
    step: str
    """The step's id in its plan."""
    phase: JournalPhase
    action: str
    address: Address
    at: str
    """RFC 3339, UTC."""
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """A step that did not succeed when it was last tried. ``failure`` None: it was interrupted, or
    is under way. ``earlier`` are the intents of the attempts before it that did not succeed either.
    """

    intent: JournalRecord
    failure: JournalRecord | None = None
    earlier: tuple[JournalRecord, ...] = ()

    @property
    def intents(self) -> tuple[JournalRecord, ...]:
        """What was tried since the step succeeded last."""
        return (*self.earlier, self.intent)


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One finished or running operation, for ``state history``."""

    operation: str
    kind: str
    """``apply``, ``destroy``, ``forget``, ``restore``..."""
    actor: str
    started_at: str
    ended_at: str | None
    outcome: str | None
    """``done``, ``partial``, ``failed``, ``interrupted``; None while it runs or after it died."""
    summary: Mapping[str, Any] = field(default_factory=dict)
    plan_digest: str | None = None


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Who holds the lock of a stack, for what and since when."""

    owner: str
    """``user@machine (process 4711)``"""
    purpose: str
    since: datetime
    expires: datetime
    token: str
    has_ended: bool = False
    """Whether that process is known to have ended: who comes next takes the lock over."""


@dataclass(frozen=True, slots=True)
class State:
    """All that was recorded, read in one transaction."""

    lineage: UUID
    serial: int
    entries: Mapping[Address, Entry]
    endpoints: Mapping[str, EndpointRecord] = field(default_factory=dict)
    open_intents: tuple[JournalRecord, ...] = ()
    """Intents without an outcome: what the run before did not live to finish."""
