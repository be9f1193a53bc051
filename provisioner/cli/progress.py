"""Event sinks: the live view on a terminal, plain lines elsewhere, JSON lines for programs.

Commands take one from :func:`progress` for as long as an operation runs. Sinks are called from
several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from provisioner.cli.render.events import render_event
from provisioner.cli.terminal import Terminal
from provisioner.service.model import Event, Noticed, PhaseStarted, StepProgress, Warned, event_json

_QUIET_PHASES = frozenset({"load", "foresee", "plan", "verify"})
"""Phases that take no time worth a line, unless ``--verbose`` asks for them."""


class Progress(Protocol):
    """An event sink that can also say something by itself."""

    def __call__(self, event: Event) -> None:
        """Show it, or not."""
        ...

    def say(self, text: str) -> None:
        """Tell the person something while events come in; safe in a signal handler."""
        ...


@contextmanager
def progress(terminal: Terminal, *, steps: bool) -> Iterator[Progress]:
    """A sink that fits the terminal. ``steps`` is whether steps will be carried out, or only a plan
    be made."""
    if terminal.json:
        # While a plan is made, its JSON document is all that goes to the output.
        yield JsonLines(terminal) if steps else Silence(terminal)
    elif steps and terminal.live:
        from provisioner.cli.live import LiveView  # noqa: PLC0415 - it imports rich

        with LiveView(terminal) as sink:
            yield sink
    else:
        yield PlainLines(terminal, steps)


class Silence:
    """Shows no event but what providers warn of."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def __call__(self, event: Event) -> None:
        """Report a warning."""
        if isinstance(event, Warned):
            self._terminal.report([event.diagnostic])

    def say(self, text: str) -> None:
        """Write it to the error stream."""
        self._terminal.note([text])


class JsonLines:
    """One JSON object a line on the output."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write it; a warning goes to the error stream."""
        with self._lock:
            if isinstance(event, Warned):
                self._terminal.report([event.diagnostic])
                return
            self._terminal.print_json(event_json(event), indent=None)

    def say(self, text: str) -> None:
        """Write it to the error stream."""
        self._terminal.note([text])


class PlainLines:
    """One line an event. Of progress only every tenth part is told, or each new text."""

    def __init__(self, terminal: Terminal, steps: bool) -> None:
        self._terminal = terminal
        self._steps = steps
        self._lock = threading.Lock()
        self._told: dict[str, tuple[str, int]] = {}

    def __call__(self, event: Event) -> None:
        """Write it, unless it is too little to tell."""
        terminal = self._terminal
        with self._lock:
            if isinstance(event, PhaseStarted):
                if terminal.verbose or (event.phase not in _QUIET_PHASES and event.total):
                    self._tell(event)
            elif isinstance(event, Warned):
                terminal.report([event.diagnostic])
            elif isinstance(event, StepProgress) and not self._is_news(event):
                return
            elif self._steps or terminal.verbose or isinstance(event, Noticed):
                self._tell(event)

    def say(self, text: str) -> None:
        """Write it to the error stream."""
        self._terminal.note([text])

    def _tell(self, event: Event) -> None:
        """Where steps are carried out their log is the result; a plan is a result of its own."""
        terminal = self._terminal
        if self._steps:
            terminal.print(render_event(event, terminal.paint(terminal.out)))
        else:
            terminal.note(render_event(event, terminal.paint(terminal.err)))

    def _is_news(self, event: StepProgress) -> bool:
        tenth = 10 * event.done // event.total if event.total else 0
        news = (event.text, tenth)
        if self._told.get(event.address) == news:
            return False
        self._told[event.address] = news
        return True
