"""The action that a :class:`~provisioner.workflows.recovery.model.Check` is: gates of machines, the
author's steps, fencing, and questions to people.

A gate is tried again until it succeeds or its time is over; everything else is tried once.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, error, shortened
from provisioner.providers.api import ProviderError, Retryable, Session
from provisioner.providers.capabilities import CONSOLE, GUEST_AGENT, Console, GuestAgent
from provisioner.workflows.actions import Action, Done, Work
from provisioner.workflows.recovery.actions.drilling import Drilling
from provisioner.workflows.recovery.actions.estate import Estate, Placed, repeated
from provisioner.workflows.recovery.answers import meaning, question_of
from provisioner.workflows.recovery.programs import Programs

PAUSE = 0.25
"""Seconds between two looks; after many of them :data:`LONG_PAUSE`."""
LONG_PAUSE = 2.0
TCP_SECONDS = 3.0
LONGEST_OUTPUT = 2000


class Verdict(NamedTuple):
    """What one look told; ``why`` not, in words."""

    passed: bool
    why: str = ""


class Checking:
    """The action of one run. ``environ`` is what commands get, beside the names of what they are
    about. ``clean`` takes secrets out of texts. ``programs``: where those of commands are found.
    """

    def __init__(
        self,
        estate: Estate,
        drilling: Drilling | None,
        *,
        environ: Mapping[str, str],
        clean: Callable[[str], str],
        mode: str,
        programs: Programs | None = None,
    ) -> None:
        self._estate = estate
        self._drilling = drilling
        self._environ = environ
        self._clean = clean
        self._mode = mode
        self._programs = programs or Programs()
        self._kinds: Mapping[str, Callable[[Work], Verdict]] = {
            "serial": self._serial,
            "tcp": self._tcp,
            "agent": self._agent,
            "command": self._command,
            "guest-command": self._guest_command,
            "prompt": self._prompt,
        }

    def actions(self) -> Mapping[str, Action]:
        """By their names."""
        return {"check": repeated(self._check)}

    def _check(self, work: Work) -> Done:
        kind = str(work.task.arguments["kind"])
        look = self._kinds[kind]
        # An answer is waited for, whatever it is that asks.
        again = bool(work.task.arguments["repeat"]) or kind == "prompt"
        looks = 0
        while True:
            try:
                verdict = look(work)
            except (ProvisionerError, ProviderError) as problem:
                if not again or (isinstance(problem, ProvisionerError) and _is_final(problem)):
                    raise
                verdict = Verdict(passed=False, why=_words(problem))
            looks += 1
            if verdict.passed:
                return Done({"looks": looks})
            if not again:
                raise ProvisionerError(self._failed(work, verdict))
            pause = PAUSE if looks < 40 else LONG_PAUSE
            if work.signals.cancelled:
                raise Retryable(_cancelled(work))  # it only waits, as the runner understands
            if work.deadline.remaining() <= pause:
                raise ProvisionerError(self._late(work, verdict))
            work.progress(verdict.why or "waiting", 0, 0)
            threading.Event().wait(pause)

    # Kinds

    def _serial(self, work: Work) -> Verdict:
        target, text = self._target(work), str(self._given(work)["text"])

        def question(session: Session) -> str | None:
            assert isinstance(session, Console), "its provider says so"
            return session.serial_log(target.resource)

        self._estate.require(target.record, CONSOLE)
        log = self._estate.ask(target.record, question, "reading a serial console")
        if log is None:
            return Verdict(passed=False, why=f"{target.record.name} keeps no log of its console")
        last = log.rstrip().rpartition("\n")[2]
        why = f"no {shortened(text)!r} on its console yet"
        if last:
            why += f"; its last line is {shortened(self._clean(last))!r}"
        return Verdict(text in log, why)

    def _tcp(self, work: Work) -> Verdict:
        given = self._given(work)
        host = given.get("host")
        if host is None:
            found = self._estate.own(self._target(work))
            host = found.outputs.get("address") if found is not None else None
            if host is None:
                return Verdict(passed=False, why="its address is not known yet")
        port = int(given["port"])
        try:
            socket.create_connection(
                (str(host), port), timeout=min(TCP_SECONDS, max(0.1, work.deadline.remaining()))
            ).close()
        except OSError as problem:
            return Verdict(passed=False, why=f"{host}:{port}: {problem.strerror or problem}")
        return Verdict(passed=True)

    def _agent(self, work: Work) -> Verdict:
        target = self._target(work)
        ready = self._estate.ask(
            target.record,
            lambda session: self._guest(session).ready(target.resource),
            "asking a guest agent",
        )
        return Verdict(ready, "its guest agent does not answer")

    def _guest_command(self, work: Work) -> Verdict:
        target = self._target(work)
        session = self._guest(self._estate.capable(target.record, GUEST_AGENT))
        argv = [str(item) for item in self._given(work)["argv"]]
        result = session.run(target.resource, argv, work.deadline)
        return self._ended(argv, result.code, result.output)

    def _guest(self, session: Session) -> GuestAgent:
        if not isinstance(session, GuestAgent):
            raise ProvisionerError(
                error(
                    "PRV7073",
                    "the provider of the machine's host cannot reach guest agents",
                    hint="Use another check: serial, tcp or command.",
                )
            )
        return session

    def _command(self, work: Work) -> Verdict:
        argv = [str(item) for item in self._given(work)["argv"]]
        machine = work.task.arguments.get("machine")
        environ = {
            **self._environ,
            "PROVISIONER_PLAN": self._estate.plan.name,
            "PROVISIONER_MODE": self._mode,
            "PROVISIONER_SITE": self._estate.site(work),
            "PROVISIONER_MACHINE": Address.of(str(machine)).name if machine else "",
        }
        return self._ended(argv, *run_program(self._programs.argv(argv), environ, work))

    def _ended(self, argv: Sequence[str], code: int, output: str) -> Verdict:
        text = self._clean(output.strip())[-LONGEST_OUTPUT:]
        why = f"{argv[0]} ended with {code}" + (f": {text}" if text else "")
        return Verdict(code == 0, why)

    def _prompt(self, work: Work) -> Verdict:
        answer = work.signals.answer(question_of(work.task))
        if answer is None:
            return Verdict(passed=False, why="waiting for an answer")
        if meaning(answer):
            return Verdict(passed=True)
        raise ProvisionerError(
            error(
                "PRV7084",
                f"the answer to {work.task.title!r} was {shortened(answer)!r}, not yes",
                hint="Nothing that depends on it is begun.",
            )
        )

    # What is asked about

    def _given(self, work: Work) -> Mapping[str, Any]:
        given = work.task.arguments["arguments"]
        assert isinstance(given, Mapping)
        return given

    def _target(self, work: Work) -> Placed:
        machine = self._estate.machine(work)
        if work.task.arguments["drill"]:
            assert self._drilling is not None
            return self._drilling.drilled(machine)
        return self._estate.placed(machine.address, self._estate.site(work))

    # What is said

    def _failed(self, work: Work, verdict: Verdict) -> Diagnostic:
        first, *further = verdict.why.splitlines() or ["it failed"]
        return error(
            "PRV7085",
            f"{work.task.title}: {first}",
            detail=verdict.why if further else "",
            hint="Mend it, and go on: 'provisioner dr resume'.",
            **({"address": work.task.subject} if work.task.subject else {}),
        )

    def _late(self, work: Work, verdict: Verdict) -> Diagnostic:
        return error(
            "PRV7086",
            f"{work.task.title}: not within {work.task.seconds:g} s",
            detail=f"The last that was seen: {verdict.why}." if verdict.why else "",
            hint="Look at the machine. To try it again: 'provisioner dr resume'.",
            **({"address": work.task.subject} if work.task.subject else {}),
        )


def run_program(argv: Sequence[str], environ: Mapping[str, str], work: Work) -> tuple[int, str]:
    """Run a program, without a shell, until the task's deadline; returns its exit code and what it
    wrote. Raises ProvisionerError (PRV7085, PRV7086) if it cannot be run, or does not end: then it
    is ended, with all that it has started.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the author's own program, from a signed plan
            list(argv),
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as problem:
        raise ProvisionerError(
            error(
                "PRV7085",
                f"{work.task.title}: {argv[0]} cannot be run: {problem.strerror}",
                hint="Programs are looked for on this machine, the one that carries out the plan.",
            )
        ) from problem
    chunks: list[bytes] = []
    reader = threading.Thread(target=_read, args=(process, chunks), daemon=True)
    reader.start()
    while (code := _ended_within(process, PAUSE)) is None:
        if work.deadline.passed or work.signals.cancelled:
            _end(process)
            summary = f"{work.task.title}: {argv[0]} did not end within {work.task.seconds:g} s"
            if work.signals.cancelled:
                summary = f"{work.task.title}: {argv[0]} was ended, for the run was cancelled"
            raise ProvisionerError(
                error("PRV7086", summary, hint="What it has begun may be half done.")
            )
    # Something that it left behind may hold its output open.
    reader.join(timeout=1.0)
    return code, b"".join(chunks)[-4 * LONGEST_OUTPUT :].decode("utf-8", "replace")


def _read(process: subprocess.Popen[bytes], chunks: list[bytes]) -> None:
    assert process.stdout is not None
    with process.stdout:
        while chunk := process.stdout.read1(65536):  # type: ignore[attr-defined]  # buffered
            chunks.append(chunk)


def _ended_within(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None


def _end(process: subprocess.Popen[bytes]) -> None:
    for how in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, how)
        except ProcessLookupError:
            return
        if _ended_within(process, 2.0) is not None and how is signal.SIGKILL:
            return


def _cancelled(work: Work) -> Diagnostic:
    return error("PRV7087", f"{work.task.title}: given up, for the run is cancelled")


FINAL = ("PRV7072", "PRV7073", "PRV7084")


def _is_final(problem: ProvisionerError) -> bool:
    """Whether another look would tell the same."""
    return any(item.code in FINAL for item in problem.diagnostics)


def _words(problem: Exception) -> str:
    if isinstance(problem, ProvisionerError):
        return problem.diagnostics[0].summary
    return str(problem)
