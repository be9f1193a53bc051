"""Checks of recovery plans: each kind, how often it is tried, and what it says when it fails."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import Resource, Retryable
from provisioner.providers.capabilities import GuestResult
from provisioner.workflows.actions import Action, Done, Work
from provisioner.workflows.recovery.actions.checking import Checking
from provisioner.workflows.recovery.actions.estate import Estate
from provisioner.workflows.runbook import Task
from tests.unit.workflows.recovery.plans import WEB

CLOCK = SystemClock()
BUSY = error("PRV5001", "the host is busy")


class Guest:
    """A session to an endpoint whose one guest says and answers what a test wants."""

    def __init__(self) -> None:
        self.logs: list[str | None] = [""]
        self.answers: list[bool] = [False]
        self.result = GuestResult(0, "")
        self.asked: list[Sequence[str]] = []

    def serial_log(self, _resource: Resource) -> str | None:
        return self.logs.pop(0) if len(self.logs) > 1 else self.logs[0]

    def graphics(self, _resource: Resource) -> None: ...

    def serial(self, _resource: Resource) -> None: ...

    def ready(self, _machine: Resource) -> bool:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def run(self, _machine: Resource, argv: Sequence[str], _deadline: Deadline) -> GuestResult:
        self.asked.append(argv)
        return self.result


class OneMachine:
    """What a check needs of an estate."""

    def __init__(self) -> None:
        self.guest = Guest()
        self.plan = SimpleNamespace(name="shop")
        self.address: str | None = "127.0.0.1"
        self.trouble: list[Exception] = []

    def require(self, _record: object, _capability: str) -> None: ...

    def ask(self, _record: object, question: Callable[[Guest], object], _doing: str) -> object:
        if self.trouble:
            raise self.trouble.pop(0)
        return question(self.guest)

    def capable(self, _record: object, _capability: str) -> Guest:
        return self.guest

    def machine(self, _work: Work) -> object:
        return SimpleNamespace(address=WEB)

    def site(self, _work: Work) -> str:
        return "site-b"

    def placed(self, _address: object, _site: str) -> object:
        return SimpleNamespace(record=SimpleNamespace(name="host-b"), resource=None)

    def own(self, _target: object) -> object:
        return SimpleNamespace(outputs={"address": self.address} if self.address else {})


class Said:
    """Signals of a test."""

    def __init__(self, text: str | None = None, *, cancelled: bool = False) -> None:
        self.text = text
        self.cancelled = cancelled

    def answer(self, question: str = "") -> str | None:  # noqa: ARG002 - as the protocol says
        return self.text


@pytest.fixture
def one() -> OneMachine:
    return OneMachine()


def check(
    one: OneMachine,
    kind: str,
    arguments: Mapping[str, Any] | None = None,
    *,
    repeat: bool = True,
    seconds: float = 1.5,
    said: Said | None = None,
    clean: Callable[[str], str] = lambda text: text,
) -> Done:
    action: Action = Checking(
        cast(Estate, one),
        None,
        environ={"PATH": os.environ["PATH"]},
        clean=clean,
        mode="test",
    ).actions()["check"]
    given: dict[str, Any] = {
        "kind": kind,
        "arguments": dict(arguments or {}),
        "repeat": repeat,
        "site": "site-b",
        "drill": False,
        "machine": str(WEB),
    }
    task = Task("gate", "look whether it is well", "check", given, seconds=seconds)
    deadline = Deadline.after(seconds, CLOCK)
    return action.perform(Work(task, {}, deadline, CLOCK, lambda *_: None, said or Said()))


def code(problem: pytest.ExceptionInfo[ProvisionerError]) -> str:
    return problem.value.diagnostics[0].code


def test_a_text_on_the_console_is_waited_for(one: OneMachine) -> None:
    one.guest.logs = ["", "booting", "booting\nup and running\n"]
    assert Done({"looks": 3}) == check(one, "serial", {"text": "up and running"})


def test_what_the_console_said_last_is_told_without_secrets(one: OneMachine) -> None:
    one.guest.logs = ["password hunter2\n"]
    with pytest.raises(ProvisionerError) as problem:
        check(one, "serial", {"text": "up"}, seconds=0.5, clean=lambda t: t.replace("hunter2", "*"))
    assert "PRV7086" == code(problem)
    assert "its last line is 'password *'" in problem.value.diagnostics[0].detail


def test_a_port_is_waited_for_at_the_machines_own_address(one: OneMachine) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert Done({"looks": 1}) == check(one, "tcp", {"port": port})
    with pytest.raises(ProvisionerError) as problem:
        check(one, "tcp", {"port": port}, seconds=0.5)
    assert "PRV7086" == code(problem)


def test_a_machine_without_an_address_has_no_open_port(one: OneMachine) -> None:
    one.address = None
    with pytest.raises(ProvisionerError) as problem:
        check(one, "tcp", {"port": 1}, seconds=0.5)
    assert "its address is not known yet" in problem.value.diagnostics[0].detail


def test_the_agent_is_waited_for(one: OneMachine) -> None:
    one.guest.answers = [False, True]
    assert Done({"looks": 2}) == check(one, "agent")


def test_a_command_in_the_guest(one: OneMachine) -> None:
    check(one, "guest-command", {"argv": ["systemctl", "is-active", "db"]})
    assert [["systemctl", "is-active", "db"]] == one.guest.asked
    one.guest.result = GuestResult(3, "inactive")
    with pytest.raises(ProvisionerError) as problem:
        check(one, "guest-command", {"argv": ["systemctl"]}, repeat=False)
    assert "systemctl ended with 3: inactive" in problem.value.diagnostics[0].summary


def test_an_endpoint_that_does_not_answer_for_a_while_is_asked_again(one: OneMachine) -> None:
    one.trouble = [Retryable(BUSY), ProvisionerError(BUSY)]
    one.guest.answers = [True]
    assert Done({"looks": 3}) == check(one, "agent")


def test_what_is_not_repeated_is_tried_once(one: OneMachine, tmp_path: Path) -> None:
    tried = tmp_path / "tried"
    script = f"echo x >> {tried}; exit 1"
    with pytest.raises(ProvisionerError) as problem:
        check(one, "command", {"argv": ["sh", "-c", script]}, repeat=False)
    assert ("PRV7085", "x\n") == (code(problem), tried.read_text())


def test_a_command_gets_names_and_no_shell(one: OneMachine, tmp_path: Path) -> None:
    told = tmp_path / "told"
    names = "$PROVISIONER_PLAN $PROVISIONER_MODE $PROVISIONER_SITE $PROVISIONER_MACHINE"
    script = f"echo {names} $0 > {told}"
    check(one, "command", {"argv": ["sh", "-c", script, "$HOME; ls"]})
    assert "shop test site-b web $HOME; ls\n" == told.read_text()


def test_a_command_that_does_not_end_is_ended_with_all_it_has_started(
    one: OneMachine, tmp_path: Path
) -> None:
    pid = tmp_path / "pid"
    script = f"trap '' TERM; sleep 60 & echo $! > {pid}; wait; wait"
    began = time.monotonic()
    with pytest.raises(ProvisionerError) as problem:
        check(one, "command", {"argv": ["sh", "-c", script]}, seconds=0.5, repeat=False)
    assert "PRV7086" == code(problem)
    while is_alive(int(pid.read_text())):
        assert time.monotonic() - began < 20


def test_a_program_that_is_not_there(one: OneMachine) -> None:
    with pytest.raises(ProvisionerError) as problem:
        check(one, "command", {"argv": ["/no/such/program"]}, repeat=False)
    assert "PRV7085" == code(problem)
    assert "cannot be run" in problem.value.diagnostics[0].summary


@pytest.mark.parametrize("text", ["yes", "Yes ", "y"])
def test_a_question_that_is_answered_with_yes(one: OneMachine, text: str) -> None:
    assert Done({"looks": 1}) == check(one, "prompt", {"text": "Go?"}, said=Said(text))


def test_a_question_that_is_answered_with_anything_else(one: OneMachine) -> None:
    with pytest.raises(ProvisionerError) as problem:
        check(one, "prompt", {"text": "Go?"}, said=Said("yes but no"))
    assert "PRV7084" == code(problem)


def test_who_only_waits_gives_up_when_the_run_is_cancelled(one: OneMachine) -> None:
    with pytest.raises(Retryable, match="given up"):
        check(one, "prompt", {"text": "Go?"}, said=Said(cancelled=True), seconds=30.0)


def is_alive(pid: int) -> bool:
    """Whether a process is there, and no zombie that nobody has asked for yet."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("script", "detail"), [("exit 1", ""), ("echo a; echo b; exit 1", "b")])
def test_a_detail_says_more_than_the_summary(one: OneMachine, script: str, detail: str) -> None:
    with pytest.raises(ProvisionerError) as problem:
        check(one, "command", {"argv": ["sh", "-c", script]}, repeat=False)
    assert detail == problem.value.diagnostics[0].detail.rpartition("\n")[2]
