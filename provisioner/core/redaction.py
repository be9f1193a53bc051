"""Takes the values of known secrets out of texts: :class:`Redactor`.

Whoever resolves a secret has it learned; the engine has everything cleaned that comes back from a
provider, and the command line the report of a crash. Our own messages hold no secrets: this is for
what others say.
"""

from __future__ import annotations

import base64
import html
import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote, quote_plus

from provisioner.core.diagnostics import Diagnostic, shortened
from provisioner.core.values import Secret

SHORTEST = 4
"""Characters of a secret that is looked for in what people read: what is shorter stands everywhere
by chance.
"""
SHORTEST_IN_DATA = 8
"""The same for data, where a replacement that is none would break what is made of it."""


class Redactor:
    """What is known of secrets in one run. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._said: dict[str, str] = {}
        """What stands for a form of a secret."""
        self._by_start: dict[str, tuple[str, ...]] = {}
        """The forms by their first characters, longer ones first: thousands of lines of user data
        make no text take longer. A tuple is replaced, never changed, for others may be reading it.
        """

    @property
    def is_idle(self) -> bool:
        """Whether no secret is known, so that nothing can hold one."""
        return not self._by_start

    def learn(self, secret: Secret) -> None:
        """Look for this secret from now on."""
        said = f"(secret {secret.reference})"
        with self._lock:
            new: dict[str, list[str]] = {}
            for form in {*_forms_of(secret.reveal())} - self._said.keys():
                self._said[form] = said
                new.setdefault(form[:SHORTEST], []).append(form)
            for start, forms in new.items():
                known = self._by_start.get(start, ())
                self._by_start[start] = tuple(sorted((*known, *forms), key=len, reverse=True))

    def text(self, text: str) -> str:
        """A text for people with references in the place of secrets."""
        return self._cleaned(text, SHORTEST)

    def data(self, text: str) -> str:
        """The same for a text that programs read: words that are short are left alone."""
        return self._cleaned(text, SHORTEST_IN_DATA)

    def is_in(self, data: bytes) -> bool:
        """Whether a known secret stands in data, in a form that :meth:`data` finds in a text."""
        if self.is_idle:
            return False
        text = data.decode("utf-8", "replace")
        with self._lock:
            return any(
                len(form) >= SHORTEST_IN_DATA and form in text
                for start, forms in self._by_start.items()
                if start in text  # there are few starts, and thousands of forms
                for form in forms
            )

    def diagnostic(self, item: Diagnostic) -> Diagnostic:
        """A diagnostic whose words hold no secret."""
        if self.is_idle:
            return item
        return replace(
            item,
            summary=self.text(item.summary),
            detail=self.text(item.detail),
            hint=self.text(item.hint),
        )

    def _cleaned(self, text: str, shortest: int) -> str:
        if self.is_idle:
            return text
        parts: list[str] = []
        done = place = 0
        while place <= len(text) - SHORTEST:
            form = self._form_at(text, place, shortest)
            if form is None:
                place += 1
                continue
            parts += (text[done:place], self._said[form])
            done = place = place + len(form)
        return "".join((*parts, text[done:]))

    def _form_at(self, text: str, place: int, shortest: int) -> str | None:
        for form in self._by_start.get(text[place : place + SHORTEST], ()):
            if len(form) >= shortest and text.startswith(form, place):
                return form
        return None


def _forms_of(value: str) -> Iterator[str]:
    """In what forms a secret may stand in a text: whole, by lines, in the quotes of other
    languages, encoded, and as messages cut it.
    """
    lines = [line.strip() for line in value.splitlines()]
    for part in (value, value.strip(), *(line for line in lines if len(line) >= SHORTEST_IN_DATA)):
        if len(part) >= SHORTEST:
            yield from _quoted(part)
            yield from _quoted(shortened(part))
    if len(value) >= SHORTEST:
        yield from _encoded(value)


def _quoted(text: str) -> Iterator[str]:
    yield text
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    yield repr(text)[1:-1]
    yield repr(text.encode())[2:-1]
    yield html.escape(text)
    yield html.escape(text, quote=False)
    yield text.replace("'", "'\"'\"'")
    yield text.replace("'", "'\\''")
    yield text.replace("'", "''")


def _encoded(text: str) -> Iterator[str]:
    data = text.encode()
    yield quote(text)
    yield quote(text, safe="")
    yield quote_plus(text)
    yield data.hex()
    for before in range(3):
        # The characters that hold nothing but the secret, wherever it begins in what was encoded.
        whole = base64.b64encode(bytes(before) + data).decode()
        part = whole[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
        yield part
        yield part.replace("+", "-").replace("/", "_")
