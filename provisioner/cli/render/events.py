"""What happens during an operation, a line each: for pipes, logs and terminals without the live
view."""

from __future__ import annotations

from provisioner.cli.render.text import Paint, count, plain, printable
from provisioner.core.units import format_size
from provisioner.service.model import (
    Event,
    Noticed,
    PhaseStarted,
    StepFailed,
    StepFinished,
    StepKept,
    StepProgress,
    StepRetrying,
    StepStarted,
)

_DOING = {
    "create": "creating",
    "update": "updating",
    "replace": "replacing",
    "delete": "deleting",
    "adopt": "adopting",
    "forget": "forgetting",
    "rename": "renaming",
}
_DONE = {
    "create": "created",
    "update": "updated",
    "replace": "replaced",
    "delete": "deleted",
    "adopt": "adopted",
    "forget": "forgotten",
    "rename": "renamed",
}
_PHASES = {
    "load": "Reading {}",
    "observe": "Observing {}",
    "foresee": "Planning the next apply of {}",
    "plan": "Comparing {}",
    "elsewhere": "Asking the other site about {}",
    "verify": "Checking that the plan still fits: {}",
    "apply": "Applying {}",
    "discover": "Discovering {}",
    "check": "Checking {}",
}
_NOUNS = {
    "load": "file",
    "observe": "resource",
    "foresee": "resource",
    "plan": "resource",
    "elsewhere": "machine",
    "check": "manifest",
}


def doing(action: str) -> str:
    """``creating`` for ``create``."""
    return _DOING.get(action, action)


def render_event(event: Event, paint: Paint = plain) -> list[str]:
    """Lines for one event; none for what only a live view can show well."""
    if isinstance(event, PhaseStarted):
        return [paint("muted", phase_text(event))]
    if isinstance(event, Noticed):
        return [paint("warning", printable(event.text))]
    if isinstance(event, StepStarted):
        return [f"  {_subject(event)}: {doing(event.action)}"]
    if isinstance(event, StepProgress):
        return [f"  {event.address}: {progress_text(event)}"]
    if isinstance(event, StepRetrying):
        text = f"  {event.address}: {event.diagnostic.summary}; attempt {event.attempt}"
        return [paint("warning", printable(f"{text} in {event.after:.0f} s"))]
    if isinstance(event, StepFinished):
        done = f"  {_subject(event)}: {_DONE.get(event.action, event.action)}"
        lines = [f"{paint('add', done)} in {event.seconds:.1f} s"]
        return lines + [printable(f"    {note}") for note in event.notes]
    if isinstance(event, StepFailed):
        text = f"  {_subject(event)}: FAILED after {event.seconds:.1f} s: "
        return [paint("error", printable(text + event.diagnostic.summary))]
    if isinstance(event, StepKept):
        return [printable(f"  {_subject(event)}: kept for now. {event.reason}")]
    # Steps that are not begun may be thousands; the report at the end tells of all of them at once.
    return []


def _subject(event: StepStarted | StepFinished | StepFailed | StepKept) -> str:
    """The address, and which of two objects that have it."""
    return f"{event.address} (predecessor)" if event.step.endswith("#old") else event.address


def phase_text(event: PhaseStarted) -> str:
    """``Observing 12 resources``."""
    what = count(event.total, _NOUNS.get(event.phase, "step")) if event.total else "..."
    return _PHASES.get(event.phase, f"{event.phase.capitalize()} {{}}").format(what)


def progress_text(event: StepProgress) -> str:
    """``uploading, 12MiB of 300MiB`` or ``uploading, 40%``."""
    text = printable(event.text)
    if not event.total:
        return text
    percent = f"{100 * event.done // event.total}%"
    # Counts of parts are small; from a MiB on it is bytes that are counted.
    if event.total >= 1024 * 1024:
        return f"{text}, {percent} of {format_size(_rounded(event.total))}"
    return f"{text}, {percent}"


def _rounded(size: int) -> int:
    """Whole MiB, so that the text stays short."""
    return max(1, round(size / 1024**2)) * 1024**2
