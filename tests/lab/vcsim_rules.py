"""What a test asks of the running simulator beside vSphere's own interface: counts of its calls,
sessions, and rules by which calls go wrong. Called by ``vcsim``; its other end is
tests/vcsim_host/control.go.
"""

import enum
import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from tests.lab.launcher import LabError

_SECONDS = 30.0


class Act(enum.StrEnum):
    """What happens to a call."""

    REFUSE = enum.auto()
    """The connection is dropped and nothing is done."""
    LOSE = enum.auto()
    """It is done, and the connection dropped instead of an answer."""
    CUT = enum.auto()
    """It is done, and the connection dropped after half of the answer."""
    STATUS = enum.auto()
    """The HTTP ``status`` without a body; nothing is done."""
    SLEEP = enum.auto()
    """It is done after ``seconds``."""
    EXPIRE = enum.auto()
    """The session that it is made in has ended before it."""
    FAULT = enum.auto()
    """The vim ``fault`` of this name with ``details``; nothing is done."""
    FAIL = enum.auto()
    """It answers with a task that fails with that fault; nothing is done."""
    HOLD = enum.auto()
    """It answers with a task that runs until ``release`` and only then does something."""
    ASK = enum.auto()
    """It answers with a task that runs until the ``question`` that its machine asks meanwhile is
    answered, with yes (0) or no (1), and only then does something.
    """
    PANIC = enum.auto()
    """The connection is dropped, and the next call to the same object hangs for ever."""
    EXIT = enum.auto()
    """The simulator ends as if killed."""


class Rule:
    """A rule that is in force until ``remove`` or the end of the ``with`` block."""

    def __init__(self, control: str, document: Mapping[str, object]) -> None:
        self._control = control
        self._id = ask(control, "POST", "/rules", document)["id"]

    @property
    def hits(self) -> int:
        """How many calls it was applied to."""
        rules = ask(self._control, "GET", "/rules")
        return next(int(rule["hits"]) for rule in rules if rule["id"] == self._id)

    def remove(self) -> None:
        """Calls go well again; those that are asleep stay so."""
        ask(self._control, "DELETE", f"/rules/{self._id}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.remove()


def ask(control: str, verb: str, path: str, document: object = None) -> Any:
    """The decoded answer to one request. Raises LabError with what was wrong with it."""
    data = None if document is None else json.dumps(document).encode()
    request = Request(control + quote(path), data, method=verb)
    try:
        with urlopen(request, timeout=_SECONDS) as answer:
            return json.load(answer)
    except HTTPError as error:
        with error:
            raise LabError(f"{verb} {path}: {error.read().decode().strip()}") from None
