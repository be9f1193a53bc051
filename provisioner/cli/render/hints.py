"""Hints, and the commands that they name: each on a line of its own that is never broken, so that
it can be pasted. Called by the renderer of diagnostics.

A hint names a command in single quotes, 'provisioner dr test shop', quoted for a shell within.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from provisioner.cli.render.text import Paint, plain, printable, wrap

_BEGINNING = re.compile(r"'(?=(?:provisioner|chgrp|chmod) )")
_PUNCTUATION = re.compile(r"[.,;:]*\s*")
_QUOTED_QUOTE = "\"'\"'"
"""How :func:`shlex.quote` goes on behind a single quote within a word."""
_SHORT = 2
"""Words of a command that may stand within a sentence: ``provisioner plan`` is its name."""
_LABEL = "hint:"


class Part(NamedTuple):
    """A piece of a hint, without the quotes of a command."""

    text: str
    is_command: bool


def commands_of(hint: str) -> list[str]:
    """The commands that a hint names."""
    return [part.text for part in _parts(hint) if part.is_command]


def render_hint(hint: str, width: int = 80, paint: Paint = plain) -> list[str]:
    """A hint in lines of at most ``width`` columns, but for those of commands."""
    texts: list[Part] = []
    for part in _parts(hint):
        if part.is_command and len(part.text.split()) > _SHORT:
            texts.append(part)
            continue
        text = f"'{part.text}'" if part.is_command else part.text
        if texts and not texts[-1].is_command:
            texts[-1] = Part(texts[-1].text + text, is_command=False)
        else:
            texts.append(Part(text, is_command=False))
    lines: list[str] = []
    beside = " " * (len(_LABEL) + 3)
    for number, (text, is_command) in enumerate(texts):
        if is_command:
            lines += [] if lines else [f"  {_LABEL}"]
            lines.append(f"{beside}  {printable(text)}")
            continue
        follows = number > 0
        rest = _PUNCTUATION.sub("", text, count=1) if follows else text
        if rest.strip():
            first = beside if follows else f"  {_LABEL} "
            lines += wrap(rest.strip(), width, first, beside)
    if lines:
        lines[0] = lines[0].replace(_LABEL, paint("hint", _LABEL), 1)
    return lines


def _parts(hint: str) -> Iterator[Part]:
    at = 0
    while (found := _BEGINNING.search(hint, at)) is not None:
        end = _end(hint, found.end())
        if end is None:
            break
        if found.start() > at:
            yield Part(hint[at : found.start()], is_command=False)
        yield Part(hint[found.end() : end], is_command=True)
        at = end + 1
    if at < len(hint):
        yield Part(hint[at:], is_command=False)


def _end(hint: str, begin: int) -> int | None:
    """Where the quote stands that ends the command: the first that begins no word of it."""
    at = begin
    while (at := hint.find("'", at)) >= 0:
        if hint[at - 1] != " ":
            return at
        at = hint.find("'", at + 1) + 1
        while at and hint.startswith(_QUOTED_QUOTE, at):
            at = hint.find("'", at + len(_QUOTED_QUOTE)) + 1
        if not at:
            return None
    return None
