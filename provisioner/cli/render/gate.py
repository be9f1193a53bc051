"""What the gate refuses, and the command that would let it pass. Shared by every form in which a
plan is shown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from provisioner.cli.render.text import natural
from provisioner.core.actions import Impact
from provisioner.service.model import Plan, Step

MAX_IMPACT = "--max-impact"
ALLOW_DATA_LOSS = "--allow-data-loss"
TRUST_SITE = "--trust-site"

MOST_OPTIONS = 20
"""In a command that is shown to be copied."""


class Consents(NamedTuple):
    """What lets every refused step pass: the impact that the gate has to allow (None: it need not
    be moved), and the addresses whose data is lost, as people count."""

    impact: Impact | None
    losing: tuple[str, ...]

    @property
    def are_many(self) -> bool:
        """Whether a command with all of them is longer than anybody reads."""
        return len(self.losing) + (self.impact is not None) > MOST_OPTIONS

    def added_to(self, command: Sequence[str]) -> list[str]:
        """The command with them: another impact takes the place of the one that stands in it."""
        words = list(command)
        end = words.index("--") if "--" in words else len(words)
        options, rest = words[:end], words[end:]
        if self.impact is not None:
            options = [*_without(options, MAX_IMPACT), MAX_IMPACT, self.impact.value]
        options += [word for address in self.losing for word in (ALLOW_DATA_LOSS, address)]
        return [*options, *rest]


def consents(plan: Plan) -> Consents:
    """What would let every refused step of the plan pass."""
    refused = plan.refused
    losing = {step.consent_address for step in refused if step.impact is Impact.DATA_LOSS}
    return Consents(
        max(
            (step.impact for step in refused if step.impact is not Impact.DATA_LOSS),
            key=lambda impact: impact.rank,
            default=None,
        ),
        tuple(map(str, sorted(losing, key=lambda item: (item.kind, natural(item.name))))),
    )


def trust(plan: Plan) -> str | None:
    """What a reviewer has to know of sites that were said to be off; None if none was."""
    if not plan.trusted_sites:
        return None
    sites = ", ".join(f"Site/{name}" for name in plan.trusted_sites)
    return (
        f"{sites} was said to be off ({TRUST_SITE}): what is protected starts without its answer."
    )


def consent(step: Step) -> str:
    """The option that lets a refused step pass."""
    if step.impact is Impact.DATA_LOSS:
        return f"{ALLOW_DATA_LOSS} {step.consent_address}"
    return f"{MAX_IMPACT} {step.impact.value}"


def _without(words: Sequence[str], option: str) -> list[str]:
    """The words of a command without an option that takes a value."""
    found: list[str] = []
    value = False
    for word in words:
        if not (value or word == option or word.startswith(f"{option}=")):
            found.append(word)
        value = word == option and not value
    return found
