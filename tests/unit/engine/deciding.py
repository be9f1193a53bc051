"""One subject, and what is decided about it: shared by the tests of decisions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.values import Path
from provisioner.engine.decide import Decision, Policy, decide
from provisioner.manifest.model import Declaration
from provisioner.providers.api import Observation
from provisioner.state.model import Entry, JournalRecord
from tests.unit.engine.made import MadeProvider, MadeRules, Situation

LIVE = Policy(Impact.LIVE)


def about(
    observation: Observation,
    *,
    want: Declaration | None = None,
    entry: Entry | None = None,
    left: tuple[JournalRecord, ...] = (),
    policy: Policy = LIVE,
    impacts: Mapping[Path, Impact] | None = None,
    address: str | None = None,
    defaults: Mapping[str, Mapping[str, Any]] | None = None,
) -> Decision:
    """The decision about the one subject that there is, or the one with ``address``."""
    situation = Situation(
        (want,) if want is not None else (), (entry,) if entry is not None else (), intents=left
    )
    subjects = {str(a): s for a, s in situation.subjects().items()}
    subject = subjects[address] if address is not None else next(iter(subjects.values()))
    return decide(
        subject,
        subject.resource.spec,
        observation,
        MadeProvider(impacts=impacts, defaults=defaults),
        rules=MadeRules().kind(subject.address.kind),
        policy=policy,
    )
