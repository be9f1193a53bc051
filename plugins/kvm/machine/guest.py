"""Asking the guest agent of a machine, and running programs in its guest; the capability
``guest-agent``.

Sources: https://qemu-project.gitlab.io/qemu/interop/qemu-ga-ref.html (guest-ping, guest-exec,
guest-exec-status), virDomainQemuAgentCommand in <libvirt/libvirt-qemu.h>.
"""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any

import libvirt
import libvirt_qemu

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner.providers.capabilities import GuestResult
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls

LONGEST_OUTPUT = 4096
"""Characters of a program's output that are kept: its end."""
_PING_SECONDS = 2
_ANSWER_SECONDS = 5
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_SILENT = frozenset({libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED})
_NOT_RUNNING = libvirt.VIR_ERR_OPERATION_INVALID
_NO_AGENT = libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED
_NOBODY = frozenset({*_SILENT, _NOT_RUNNING, _NO_AGENT, libvirt.VIR_ERR_OPERATION_TIMEOUT})
"""libvirt's numbers where nobody answers now; the last: somebody else has asked, and waits."""


class GuestAgentCalls:
    """The agent in the guest of one domain."""

    def __init__(self, domain: DomainCalls) -> None:
        self._domain = domain

    def ready(self) -> bool:
        """See :class:`provisioner.providers.capabilities.GuestAgent`."""
        try:
            self._ask("guest-ping", {}, _PING_SECONDS)
        except ProviderError as problem:
            if code_of(problem) in _NOBODY:
                return False
            raise
        return True

    def run(self, argv: Sequence[str], deadline: Deadline) -> GuestResult:
        """See :class:`provisioner.providers.capabilities.GuestAgent`. Raises Retryable (PRV5381) or
        Terminal (PRV5382 no agent, PRV5383 not begun, PRV5384 not known how it ended).
        """
        self._require_answer()
        number = self._begin(argv)
        pause, seconds = threading.Event(), _FIRST_PAUSE_SECONDS
        said = ""
        while not deadline.passed:
            try:
                state = self._ask("guest-exec-status", {"pid": number}, _ANSWER_SECONDS)
            except (Retryable, Terminal) as problem:
                said = f"{problem.diagnostic.summary}. {problem.diagnostic.detail}"
                # An agent that is silent for a moment goes on; one that was started anew knows
                # nothing of the program.
                if code_of(problem) not in _SILENT and not isinstance(problem, Retryable):
                    raise Terminal(self._unknown(argv, said)) from problem
            else:
                if state.get("exited"):
                    return _result(state)
                said = "It runs still when its time is up."
            pause.wait(min(seconds, deadline.remaining()))
            seconds = min(2 * seconds, _LONGEST_PAUSE_SECONDS)
        raise Terminal(self._unknown(argv, said or "There was no time left to look at it."))

    def _require_answer(self) -> None:
        """Raise unless the agent answers: what follows must not be begun twice."""
        try:
            self._ask("guest-ping", {}, _PING_SECONDS)
        except (Retryable, Terminal) as problem:
            number = code_of(problem)
            if number in _SILENT:
                raise Retryable(self._silent(problem), 1.0) from problem
            if number in (_NOT_RUNNING, _NO_AGENT):
                raise Terminal(self._missing(runs=number == _NO_AGENT)) from problem
            raise

    def _begin(self, argv: Sequence[str]) -> int:
        """Start the program; returns the number that the guest gave it."""
        program, *arguments = argv
        request = {"path": program, "arg": arguments, "capture-output": True}
        try:
            return int(self._ask("guest-exec", request, _ANSWER_SECONDS)["pid"])
        except (Retryable, Terminal) as problem:
            said = problem.diagnostic.detail
            if code_of(problem) in _SILENT or isinstance(problem, Retryable):
                # It may run: to say that it can be tried again would start it twice.
                raise Terminal(self._unknown(argv, said)) from problem
            raise Terminal(
                error(
                    "PRV5383",
                    f"machine {self._domain.name}: the guest cannot run {program}",
                    detail=said,
                    hint="Name a program of the guest by its whole path, and see that its agent "
                    "may run programs (guest-exec is not among its blocked commands).",
                    address=str(self._domain.address),
                )
            ) from problem

    def _ask(self, command: str, arguments: Mapping[str, Any], seconds: int) -> Any:
        """What the agent answers to one command."""
        request = json.dumps({"execute": command, "arguments": arguments})
        answer = self._domain.call(
            "ask the guest agent of",
            lambda domain: libvirt_qemu.qemuAgentCommand(domain, request, seconds, 0),
        )
        return json.loads(answer)["return"]

    def _silent(self, problem: Retryable | Terminal) -> Diagnostic:
        return error(
            "PRV5381",
            f"machine {self._domain.name}: the guest agent does not answer",
            detail=problem.diagnostic.detail,
            hint="Wait until the guest has started, and see that qemu-guest-agent runs in it.",
            address=str(self._domain.address),
        )

    def _missing(self, *, runs: bool) -> Diagnostic:
        return error(
            "PRV5382",
            f"machine {self._domain.name}: there is no guest agent to ask",
            detail="It has no channel to one." if runs else "The machine does not run.",
            hint="Set guestAgent: true, restart it, and install qemu-guest-agent in the guest."
            if runs
            else "Start it.",
            address=str(self._domain.address),
        )

    def _unknown(self, argv: Sequence[str], said: str) -> Diagnostic:
        return error(
            "PRV5384",
            f"machine {self._domain.name}: it is not known how {argv[0]} ended in the guest",
            detail=said,
            hint="Look into the guest: the program may run still, or have done its work. Give it "
            "more time if it needs that.",
            address=str(self._domain.address),
        )


def _result(state: Mapping[str, Any]) -> GuestResult:
    """What guest-exec-status says of a program that has ended."""
    # Windows has exception codes where others have signals.
    code = state["exitcode"] if "exitcode" in state else 128 + int(state.get("signal", 0))
    parts = [base64.b64decode(state[key]) for key in ("out-data", "err-data") if key in state]
    text = b"".join(parts).decode(errors="replace")
    cut = len(text) > LONGEST_OUTPUT or bool(state.get("out-truncated"))
    return GuestResult(int(code), f"[...]{text[-LONGEST_OUTPUT:]}" if cut else text)
