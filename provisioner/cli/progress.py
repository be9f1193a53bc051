"""Event sinks: the live view on a terminal, plain lines elsewhere, JSON lines for programs.

Commands take one from :func:`progress` for as long as an operation runs. Sinks are called from
several threads.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from provisioner.cli.render.events import doing, phase_text, progress_text, render_event
from provisioner.cli.terminal import Terminal
from provisioner.service.model import (
    Event,
    EventSink,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepProgress,
    StepSkipped,
    StepStarted,
    event_json,
)

_QUIET_PHASES = frozenset({"load", "plan", "verify"})
"""Phases that take no time worth a line, unless ``--verbose`` asks for them."""


@contextmanager
def progress(terminal: Terminal, *, steps: bool) -> Iterator[EventSink]:
    """A sink that fits the terminal. ``steps`` is whether steps will be carried out, or only a plan
    be made."""
    if terminal.json:
        # While a plan is made, its JSON document is all that goes to the output.
        yield JsonLines(terminal) if steps else _ignore
    elif steps and terminal.live:
        with _live(terminal) as sink:
            yield sink
    else:
        yield PlainLines(terminal, steps)


def _ignore(_: Event) -> None:
    """Swallow it."""


class JsonLines:
    """One JSON object a line on the output."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Write it."""
        with self._lock:
            self._terminal.print_json(event_json(event), indent=None)


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
            elif isinstance(event, StepProgress) and not self._is_news(event):
                return
            elif self._steps or terminal.verbose:
                self._tell(event)

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


@contextmanager
def _live(terminal: Terminal) -> Iterator[EventSink]:
    """Steps under way with spinner and time at the bottom; finished ones scroll away above."""
    # rich costs 0.09 s, which only a command with a live view pays.
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    plain_colors = terminal.colorless
    console = Console(file=terminal.out, no_color=plain_colors, highlight=False)
    view = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        TimeElapsedColumn(),
        console=console,
        transient=True,
    )
    under_way: dict[str, object] = {}
    lock = threading.Lock()
    overall = view.add_task("waiting", total=None)
    paint = terminal.paint(terminal.out)

    def sink(event: Event) -> None:
        with lock:
            if isinstance(event, PhaseStarted):
                view.update(
                    overall, description=phase_text(event), total=event.total or None, completed=0
                )
                return
            if isinstance(event, StepStarted):
                under_way[event.address] = view.add_task(
                    f"{event.address}: {doing(event.action)}", total=None
                )
                return
            if isinstance(event, StepProgress):
                task = under_way.get(event.address)
                if task is not None:
                    view.update(
                        task,  # type: ignore[arg-type]  # a TaskID, whose type needs rich imported
                        description=f"{event.address}: {progress_text(event)}",
                        total=event.total or None,
                        completed=event.done,
                    )
                return
            if isinstance(event, (StepFinished, StepFailed, StepSkipped)):
                task = under_way.pop(event.address, None)
                if task is not None:
                    view.remove_task(task)  # type: ignore[arg-type]  # as above
                view.advance(overall)
            for line in render_event(event, paint):
                view.console.print(Text.from_ansi(line))

    with view:
        yield sink
