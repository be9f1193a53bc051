"""What a run of the benchmarks measured, and what it is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from statistics import median
from typing import NamedTuple

from tests.bench.process import Cost


class Spread(NamedTuple):
    """Least, median and greatest of several figures."""

    least: float
    median: float
    greatest: float

    @classmethod
    def of(cls, values: list[float]) -> Spread:
        """The spread of at least one figure."""
        return cls(min(values), median(values), max(values))


@dataclass(slots=True)
class Samples:
    """Costs by phase and size, in the order of the rounds: the n-th figures of all phases were
    taken one after the other.
    """

    _costs: dict[tuple[str, int], list[Cost]] = field(default_factory=dict)

    def add(self, phase: str, size: int, cost: Cost) -> None:
        """Note what a phase cost in this round."""
        self._costs.setdefault((phase, size), []).append(cost)

    def __iter__(self) -> Iterator[tuple[str, int]]:
        """Phases and sizes, in the order in which they were first measured."""
        return iter(self._costs)

    def __contains__(self, key: tuple[str, int]) -> bool:
        return key in self._costs

    def figure(self, key: tuple[str, int], figure: Callable[[Cost], float]) -> Spread:
        """One of the figures of a phase."""
        return Spread.of([figure(cost) for cost in self._costs[key]])

    def cpu(self, phase: str, size: int) -> Spread:
        """CPU seconds of a phase."""
        return self.figure((phase, size), lambda cost: cost.cpu)

    def wall(self, phase: str, size: int) -> Spread:
        """Seconds from start to end of a phase."""
        return self.figure((phase, size), lambda cost: cost.wall)

    def seconds(self, phase: str, size: int) -> list[float]:
        """Seconds of a phase, round by round."""
        return [cost.wall for cost in self._costs[phase, size]]

    def peak(self, phase: str, size: int) -> Spread:
        """Peak memory of a phase in MiB."""
        return self.figure((phase, size), lambda cost: cost.peak)

    def ratio(
        self,
        above: tuple[str, int],
        below: tuple[str, int],
        figure: Callable[[Cost], float],
    ) -> Spread:
        """How many times what ``below`` cost ``above`` cost, round by round."""
        pairs = zip(self._costs[above], self._costs[below], strict=True)
        return Spread.of([figure(one) / figure(other) for one, other in pairs])


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure and what it may be at most, or has to be at least. ``needs`` are the phases that it
    is made of.
    """

    text: str
    limit: float
    unit: str
    needs: tuple[tuple[str, int], ...]
    figure: Callable[[Samples], Spread]
    at_least: bool = False

    @property
    def bound(self) -> str:
        """The limit in words."""
        return f"at {'least' if self.at_least else 'most'} {self.limit:g} {self.unit}"

    def met(self, found: Spread) -> bool:
        """Whether the figure is within the limit. The median is what counts."""
        return found.median >= self.limit if self.at_least else found.median <= self.limit

    def measured(self, samples: Samples) -> Spread | None:
        """The figure, or None where a phase that it needs was not measured."""
        if not all(key in samples for key in self.needs):
            return None
        return self.figure(samples)


def cpu_goal(text: str, phase: str, size: int, seconds: float) -> Goal:
    """A phase may take this many CPU seconds at most."""
    return Goal(text, seconds, "s CPU", ((phase, size),), lambda found: found.cpu(phase, size))


def memory_goal(text: str, phase: str, size: int, mebibytes: float) -> Goal:
    """A phase may have this much memory at most."""
    return Goal(text, mebibytes, "MiB", ((phase, size),), lambda found: found.peak(phase, size))


def ratio_goal(
    text: str,
    above: tuple[str, int],
    below: tuple[str, int],
    limit: float,
    figure: Callable[[Cost], float],
) -> Goal:
    """One phase may cost this many times what another one costs."""
    return Goal(
        text, limit, "times", (above, below), lambda found: found.ratio(above, below, figure)
    )


def lead_goal(
    text: str,
    above: tuple[str, int],
    below: tuple[str, int],
    limit: float,
    figure: Callable[[Cost], float],
) -> Goal:
    """One phase has to cost this many times what another one costs."""
    return replace(ratio_goal(text, above, below, limit, figure), at_least=True)
