"""A program that lives through the life of an estate in turns with others: see comparison.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench import estate, phases
from tests.bench.phases import Phase


@dataclass(frozen=True, slots=True)
class Contender:
    """A program. ``write`` makes a folder with an estate of so many resources, and whatever else
    has to be there and is not measured; ``phases`` are what it can do at a size, by the names of
    ``phases.LIFE`` and in their order; ``environment`` is what it is given besides our own.
    """

    name: str
    write: Callable[[Path, int], None]
    phases: Callable[[int], Sequence[Phase]]
    environment: Mapping[str, str] = field(default_factory=dict)

    def phase(self, name: str, size: int) -> Phase | None:
        """The phase of this name, None where it is not measured at this size."""
        return next((phase for phase in self.phases(size) if phase.name == name), None)

    def key(self, phase: str, size: int) -> tuple[str, int]:
        """What this program's figures for a phase are called among the samples."""
        return f"{self.name}: {phase}", size


PROVISIONER = Contender("provisioner", estate.write, lambda _: phases.LIFE)
COLD = Contender("without cache", estate.write, lambda _: phases.life("--no-cache"))
OURS = (PROVISIONER, COLD)
"""Everything that the other side is compared with, one after the other in each round."""
