"""Patterns over the fields of a spec, as a Stack's rules about drift write them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from provisioner.core.values import Path

_PART = re.compile(r"([^.\[\]\s]+)|\[([^\[\]]+)\]")
_PATTERN = re.compile(rf"(?:{_PART.pattern})(?:\.[^.\[\]\s]+|\[[^\[\]]+\])*")
_REST = "**"


@dataclass(frozen=True, slots=True)
class FieldPattern:
    """``nics.*.model``: a ``*`` stands for any text within one part of a path, ``**`` at the end
    for the field itself and everything below it.

    Parts are written as :func:`provisioner.core.values.path_text` shows them: those that are no
    plain words may stand in brackets (``disks[web-root].bus``). ``**`` alone is the resource as a
    whole.
    """

    parts: tuple[str, ...]
    is_open: bool = False
    """Whether it ends with ``**``."""

    text: str = field(default="", compare=False)
    """As it was written."""

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> FieldPattern:
        """Read a pattern; raises ValueError if it is none."""
        parts: tuple[str, ...] = ()
        if _PATTERN.fullmatch(text):
            parts = tuple(word or key for word, key in _PART.findall(text))
        is_open = parts[-1:] == (_REST,)
        kept = parts[:-1] if is_open else parts
        if not parts or any(_REST in part for part in kept):
            raise ValueError(
                f"{text!r} is not a pattern of fields: expected a path such as memory.size or "
                "nics.*.model, with ** at its end for all that is below"
            )
        return cls(kept, is_open, text)

    @property
    def is_whole(self) -> bool:
        """Whether it stands for the resource as a whole, its existence included."""
        return self.is_open and not self.parts

    def matches(self, path: Path) -> bool:
        """Whether the field at ``path`` is meant; the empty path is the resource as a whole."""
        if len(path) != len(self.parts) and not (self.is_open and len(path) > len(self.parts)):
            return False
        return all(
            fnmatchcase(part, pattern) for part, pattern in zip(path, self.parts, strict=False)
        )
