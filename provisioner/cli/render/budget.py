"""How much of a long list is told where there is not room for all of it. Called by
:mod:`provisioner.cli.render.markdown`.

What comes first is told first: names, which are short, before everything about the same items.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

_AROUND_NAMES = len(" more : and 1,000,000,000 more")
"""Characters of a line that counts items and names some, beyond the count, the names and the words
between them."""


class Item(NamedTuple):
    """One of a list: ``name`` among others, or ``whole`` in lines of its own. Those that are not
    told whole are counted, under their ``label``."""

    label: str
    name: str
    whole: Callable[[], Sequence[str]]


@dataclass
class Topic:
    """A list under a heading. The first ``whole`` items are told whole, and the names of the first
    ``named`` ones are told at least."""

    heading: str
    items: Sequence[Item]
    named: int = 0
    whole: int = 0

    def lines(self) -> Iterator[str]:
        """The list; what is not told whole, by label."""
        for item in self.items[: self.whole]:
            yield from item.whole()
        for label in dict.fromkeys(item.label for item in self.items[self.whole :]):
            yield self._counted(label)

    def _counted(self, label: str) -> str:
        rest = [place for place in range(self.whole, len(self.items)) if self._is(place, label)]
        also = " more" if any(self._is(place, label) for place in range(self.whole)) else ""
        names = [self.items[place].name for place in rest if place < self.named]
        more = len(rest) - len(names)
        text = f"- {len(rest):,}{also} {label}".rstrip()
        if names:
            text += f": {', '.join(names)}" + (f" and {more:,} more" if more else "")
        return text

    def _is(self, place: int, label: str) -> bool:
        return self.items[place].label == label

    def reserve(self) -> int:
        """Characters that counting may take beyond those of :meth:`lines` with nothing told."""
        return len({item.label for item in self.items}) * _AROUND_NAMES


class Part(Enum):
    """What of an item a tier is about."""

    NAME = auto()
    WHOLE = auto()


class Tier(NamedTuple):
    """What is told before anything of the next tier is."""

    part: Part
    topics: Sequence[Topic]


def fill(tiers: Iterable[Tier], room: int) -> None:
    """Have as much told as ``room`` has characters for, tier by tier; within one, in the order of
    its topics and their items, up to the first that does not fit.
    """
    for part, topics in tiers:
        for topic in topics:
            name = part is Part.NAME
            told, end = (topic.named, len(topic.items)) if name else (topic.whole, topic.named)
            while told < end:
                cost = _cost(topic.items[told], part)
                if cost > room:
                    break
                room -= cost
                told += 1
            if name:
                topic.named = told
            else:
                topic.whole = told
            if told < len(topic.items):
                break


def _cost(item: Item, part: Part) -> int:
    name = len(item.name) + len(", ")
    if part is Part.NAME:
        return name
    return sum(len(line) + 1 for line in item.whole()) - name
