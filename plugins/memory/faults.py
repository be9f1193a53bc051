"""Faults on demand: rules in a Host's connection that make calls fail, for tests of what happens
then.

A rule names a call, the addresses it is about, what happens and how many times. The session asks
before and after each call.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

from provisioner.core.address import Address, AddressPattern
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Retryable, Terminal

CALLS = (
    "open",
    "observe",
    "discover",
    "users",
    "create",
    "update",
    "adopt",
    "delete",
    "revert",
    "power",
    "replicas",
    "synchronise",
    "read",
    "suspend",
    "stage",
    "unstage",
    "promote",
    "discard",
    "stand_by",
    "take_over",
    "standing_by",
)
"""``read`` is what the endpoint of the replica asks of that of the machine."""

EFFECTS = {
    "retryable": "fails before anything is done; the same call may work later",
    "terminal": "fails before anything is done, for good",
    "lost-answer": "is carried out, but its answer is lost",
    "hang": "gives no answer until the deadline (or `seconds`) has passed; nothing is done",
    "delay": "is carried out after `seconds`",
    "undetermined": "observe cannot tell whether the object is there",
    "defect": "fails with an error that no provider may raise",
    "noted": "is carried out, and there is something to say about it: with `tells`, the secrets",
    "kill-before": "the process dies (SIGKILL) before anything is done",
    "kill-after": "the process dies (SIGKILL) after the call was carried out",
}

SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "description": "Calls that go wrong, for tests.",
    "items": {
        "type": "object",
        "description": "One rule; the first that fits a call is the one that counts.",
        "required": ["call", "effect"],
        "additionalProperties": False,
        "properties": {
            "call": {
                "type": "string",
                "description": "The call it is about.",
                "enum": list(CALLS),
                "examples": ["create"],
            },
            "address": {
                "type": "string",
                "description": "The resources it is about, with * as wildcard.",
                "default": "*/*",
                "examples": ["VirtualMachine/web*"],
            },
            "effect": {
                "type": "string",
                "description": "What happens: "
                + "; ".join(f"`{name}`: the call {text}" for name, text in EFFECTS.items()),
                "enum": list(EFFECTS),
                "examples": ["lost-answer"],
            },
            "times": {
                "type": "integer",
                "description": "How many times; 0: every time.",
                "minimum": 0,
                "default": 1,
                "examples": [2],
            },
            "seconds": {
                "type": "number",
                "description": "How long a delay or a hang lasts, or when to try again.",
                "minimum": 0,
                "default": 0.05,
                "examples": [1],
            },
            "tells": {
                "type": "boolean",
                "description": "Whether every secret that the endpoint knows stands in what it "
                "says then.",
                "default": False,
                "examples": [True],
            },
        },
        "examples": [{"call": "create", "effect": "lost-answer"}],
    },
    "examples": [[{"call": "create", "effect": "lost-answer"}]],
}


class Later(NamedTuple):
    """An effect that is still to come, and what is said then."""

    effect: str
    said: str


@dataclass(slots=True)
class _Rule:
    call: str
    address: AddressPattern
    effect: str
    left: int | None
    seconds: float
    tells: bool


def _nothing() -> str:
    return ""


class Faults:
    """The rules of one endpoint with what is left of them. Safe to use from several threads."""

    def __init__(self, rules: Iterable[Mapping[str, Any]] = ()) -> None:
        self._mutex = threading.Lock()
        self._never = threading.Event()
        self._rules = [_read(rule) for rule in rules]

    def __bool__(self) -> bool:
        return bool(self._rules)

    def add(self, rule: Mapping[str, Any]) -> None:
        """One rule more, as it would stand in the connection."""
        with self._mutex:
            self._rules.append(_read(rule))

    @contextmanager
    def always(self, calls: Iterable[str], effect: str) -> Iterator[None]:
        """Have every one of these calls end like this meanwhile, whatever the rules say."""
        rules = [_read({"call": call, "effect": effect, "times": 0}) for call in calls]
        with self._mutex:
            before, self._rules = self._rules, [*rules, *self._rules]
        try:
            yield
        finally:
            with self._mutex:
                self._rules = before

    def before(
        self,
        call: str,
        address: Address,
        deadline: Deadline | None = None,
        secrets: Callable[[], str] = _nothing,
    ) -> Later | None:
        """Let the first rule that fits take effect; returns the effect that is still to come after
        the call. Raises Retryable or Terminal. ``secrets`` gives what a rule that tells says.
        """
        rule = self._next(call, address)
        if rule is None:
            return None
        said = secrets() if rule.tells else ""
        if rule.effect == "kill-before":
            os.kill(os.getpid(), signal.SIGKILL)
        if rule.effect == "terminal":
            raise Terminal(_diagnostic("PRV5902", call, address, "refuses", said))
        if rule.effect == "retryable":
            busy = _diagnostic("PRV5903", call, address, "is too busy for", said)
            raise Retryable(busy, rule.seconds)
        if rule.effect == "hang":
            self._never.wait(rule.seconds if deadline is None else deadline.remaining())
            silent = _diagnostic("PRV5904", call, address, "did not answer", said)
            raise Retryable(silent, rule.seconds)
        if rule.effect == "defect":
            raise RuntimeError(f"cannot {call} {address}: {said}")
        if rule.effect == "delay":
            self._never.wait(rule.seconds)
            return None
        return Later(rule.effect, said)

    def after(self, call: str, address: Address, later: Later | None) -> None:
        """Let the rest of an effect happen. Raises Retryable if the answer is lost."""
        if later is None:
            return
        if later.effect == "kill-after":
            os.kill(os.getpid(), signal.SIGKILL)
        if later.effect == "lost-answer":
            lost = _diagnostic("PRV5905", call, address, "was lost in the middle of", later.said)
            raise Retryable(lost, 0.0)

    def _next(self, call: str, address: Address) -> _Rule | None:
        with self._mutex:
            for rule in self._rules:
                if rule.call == call and rule.left != -1 and rule.address.matches(address):
                    if rule.left is not None:
                        # -1: used up. 0 would read like "every time", as in the manifest.
                        rule.left = rule.left - 1 or -1
                    return rule
        return None


def _read(rule: Mapping[str, Any]) -> _Rule:
    return _Rule(
        call=rule["call"],
        address=AddressPattern.parse(rule.get("address", "*/*")),
        effect=rule["effect"],
        left=rule.get("times", 1) or None,
        seconds=rule.get("seconds", 0.05),
        tells=rule.get("tells", False),
    )


def _diagnostic(code: str, call: str, address: Address, does: str, said: str) -> Diagnostic:
    return error(
        code,
        f"the endpoint {does} the call to {call} {address}" + (f": {said}" if said else ""),
        detail=f"A rule in the Host's connection.faults says so. {said}".rstrip(),
        hint=said,
        address=str(address),
    )


def undetermined(address: Address, said: str) -> Diagnostic:
    """What observe answers where a rule keeps it from finding out."""
    return _diagnostic("PRV5906", "observe", address, "gave half an answer to", said)
