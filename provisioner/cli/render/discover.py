"""What a discovery came to: a summary for people, and a document for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioner.cli.render.text import count, listed, printable, wrap
from provisioner.service.discover import Discovery

_SHOWN = 20


def render_discovery(found: Discovery, folder: Path, width: int) -> list[str]:
    """The summary; ``folder`` is what the person called it."""
    if found.files:
        lines = [
            f"Wrote {count(len(found.written), 'manifest')} in "
            f"{count(len(found.files), 'file')} to {printable(str(folder))}:",
            *_by_kind(found),
        ]
    else:
        what = "Nothing new was found" if found.declared or found.told else "Nothing was found"
        lines = [f"{what} on Host/{found.host}; nothing was written."]
    lines += _left(found, width)
    if found.not_expressed:
        lines += ["", f"{count(len(found.not_expressed), 'object')} cannot be expressed:"]
        for item in found.not_expressed[:_SHOWN]:
            text = f"{item.kind} {item.name!r}: {item.reason}"
            lines += [f"  {line}" for line in wrap(printable(text), width - 2)]
        if len(found.not_expressed) > _SHOWN:
            lines.append(f"  and {len(found.not_expressed) - _SHOWN} more")
    noted = [item for item in found.written if item.notes]
    if noted:
        text = (
            f"{count(len(noted), 'manifest')} {'lacks' if len(noted) == 1 else 'lack'} something "
            "that could not be expressed; look for '# not expressed' in "
            f"{'it' if len(noted) == 1 else 'them'}:"
        )
        lines += ["", *wrap(text, width)]
        lines += wrap(listed([str(item.address) for item in noted], _SHOWN), width, "  ", "  ")
    return [*lines, *_next(found)] if found.written else lines


def _next(found: Discovery) -> list[str]:
    """What to do now."""
    where = "" if found.root.resolve() == Path().resolve() else f", in {found.root}"
    lines = ["", f"Next{printable(where)}:"]
    if not all(item.observe_only for item in found.written):
        lines.append("  provisioner adopt    take over what is nobody's; nothing restarts")
    return [*lines, "  provisioner plan     see what differs: nothing, until you edit"]


def _by_kind(found: Discovery) -> Iterator[str]:
    written = Counter(item.address.kind for item in found.written)
    observed = Counter(item.address.kind for item in found.written if item.observe_only)
    longest = max((len(kind) for kind in written), default=0)
    for kind, number in written.items():
        only = observed[kind]
        note = (
            "" if not only else ", only observed" if only == number else f", {only} only observed"
        )
        yield f"  {kind:<{longest}}  {number}{note}"


def _left(found: Discovery, width: int) -> Iterator[str]:
    parts = []
    if found.declared:
        parts.append(f"{len(found.declared)} in the stack already")
    if found.unselected:
        parts.append(f"{found.unselected} not asked for")
    if found.told:
        parts.append(f"{found.told} that cannot be expressed, as their files say")
    if parts:
        yield from wrap(f"Passed over: {', '.join(parts)}.", width)


def discovery_json(found: Discovery) -> dict[str, Any]:
    """Plain data for ``--json``."""
    return {
        "stack": found.stack,
        "host": found.host,
        "provider": found.provider,
        "root": str(found.root),
        "new": found.new,
        "files": list(found.files),
        "written": [
            {
                "address": str(item.address),
                "name": item.name,
                "file": item.file,
                "observeOnly": item.observe_only,
                "notes": list(item.notes),
            }
            for item in found.written
        ],
        "notExpressed": [
            {"kind": item.kind, "name": item.name, "file": item.file, "reason": item.reason}
            for item in found.not_expressed
        ],
        "toldBefore": found.told,
        "declared": [str(address) for address in found.declared],
        "unselected": found.unselected,
    }
