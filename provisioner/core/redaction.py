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
        self._forms: dict[str, str] = {}
        self._ordered: tuple[tuple[str, str], ...] = ()

    @property
    def is_idle(self) -> bool:
        """Whether no secret is known, so that nothing can hold one."""
        return not self._ordered

    def learn(self, secret: Secret) -> None:
        """Look for this secret from now on."""
        said = f"(secret {secret.reference})"
        with self._lock:
            for form in _forms_of(secret.reveal()):
                self._forms.setdefault(form, said)
            # A secret that holds another one goes first.
            self._ordered = tuple(sorted(self._forms.items(), key=lambda item: -len(item[0])))

    def text(self, text: str) -> str:
        """A text for people with references in the place of secrets."""
        return self._cleaned(text, SHORTEST)

    def data(self, text: str) -> str:
        """The same for a text that programs read: words that are short are left alone."""
        return self._cleaned(text, SHORTEST_IN_DATA)

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
        for form, said in self._ordered:
            if len(form) < shortest:
                break
            if form in text:
                text = text.replace(form, said)
        return text


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
