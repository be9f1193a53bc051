"""The live view: steps under way with spinner and time at the bottom of the terminal, finished ones
above.

Imported only when there is something to draw, for rich takes 0.09 s to import.
"""

from __future__ import annotations

import queue
import threading
from types import TracebackType

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TimeElapsedColumn,
)
from rich.text import Text

from provisioner.cli.render.events import doing, phase_text, progress_text, render_event
from provisioner.cli.terminal import Terminal
from provisioner.service.model import (
    Event,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepKept,
    StepProgress,
    StepSkipped,
    StepStarted,
    Warned,
)

_FRAME_SECONDS = 0.1
_BAR = 20
_BESIDE = 1 + _BAR + len("0:00:00") + 3
"""Columns for spinner, bar, clock and the gaps between."""
_SHORTEST = 20


class _Description(ProgressColumn):
    """What goes on, cut to what is left of the line: the columns beside it say that it goes on."""

    def __init__(self, console: Console) -> None:
        super().__init__()
        self._console = console

    def render(self, task: Task) -> Text:
        """One line; asked for again with each frame, as wide as the terminal is then."""
        text = Text(task.description, no_wrap=True)
        text.truncate(max(_SHORTEST, self._console.width - _BESIDE), overflow="ellipsis")
        return text


class LiveView:
    """An event sink and a context manager. Events come from several threads; one thread draws."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._paint = terminal.paint(terminal.out)
        console = Console(file=terminal.guarded(), no_color=terminal.colorless, highlight=False)
        self._view = Progress(
            SpinnerColumn(),
            _Description(console),
            BarColumn(bar_width=_BAR),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            # Two threads that draw overwrite each other's lines.
            auto_refresh=False,
        )
        self._overall = self._view.add_task("", total=None)
        self._under_way: dict[str, TaskID] = {}
        self._events: queue.SimpleQueue[Event | str | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._draw, name="live-view", daemon=True)

    def __call__(self, event: Event) -> None:
        """Have it drawn soon."""
        self._events.put(event)

    def say(self, text: str) -> None:
        """Have a line drawn above the steps; safe in a signal handler."""
        self._events.put(text)

    def __enter__(self) -> LiveView:
        self._view.start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._events.put(None)
        self._thread.join()
        self._view.stop()

    def _draw(self) -> None:
        while True:
            try:
                event = self._events.get(timeout=_FRAME_SECONDS)
            except queue.Empty:
                self._view.refresh()
                continue
            if event is None:
                return
            self._take_in(event)
            if self._events.empty():
                self._view.refresh()

    def _take_in(self, event: Event | str) -> None:
        if isinstance(event, str):
            self._view.console.print(Text(event), soft_wrap=True)
        elif isinstance(event, Warned):
            self._terminal.report([event.diagnostic])
        elif isinstance(event, PhaseStarted):
            self._view.update(
                self._overall, description=phase_text(event), total=event.total or None, completed=0
            )
        elif isinstance(event, StepStarted):
            text = f"{event.address}: {doing(event.action)}"
            self._under_way[event.address] = self._view.add_task(text, total=None)
        elif isinstance(event, StepProgress):
            self._show_progress(event)
        else:
            if isinstance(event, (StepFinished, StepFailed, StepSkipped, StepKept)):
                task = self._under_way.pop(event.address, None)
                if task is not None:
                    self._view.remove_task(task)
                self._view.advance(self._overall)
            for line in render_event(event, self._paint):
                self._view.console.print(Text.from_ansi(line), soft_wrap=True)

    def _show_progress(self, event: StepProgress) -> None:
        task = self._under_way.get(event.address)
        if task is not None:
            self._view.update(
                task,
                description=f"{event.address}: {progress_text(event)}",
                total=event.total or None,
                completed=event.done,
            )
