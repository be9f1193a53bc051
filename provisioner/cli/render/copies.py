"""Replication as text and JSON: what was copied, and how old the copies are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from provisioner.cli.render.diagnostics import diagnostic_json
from provisioner.cli.render.runs import duration
from provisioner.cli.render.text import Paint, count, plain, table
from provisioner.core.units import format_size
from provisioner.service.recovery.replicating import Age, Copied, Copies


def render_ages(ages: Sequence[Age], paint: Paint = plain, width: int = 80) -> list[str]:
    """A table of machines with the age of their copies against their objectives."""
    rows = [
        (
            item.machine.address.name,
            item.plan,
            str(item.machine.way),
            item.site,
            str(item.points),
            _age(item),
            duration(item.machine.point_objective),
            item.trouble or "well",
        )
        for item in ages
    ]
    header = ("MACHINE", "PLAN", "WAY", "COPY AT", "POINTS", "AGE", "OBJECTIVE", "STATE")
    return table(header, rows, paint, width)


def late(ages: Sequence[Age]) -> list[str]:
    """A line for each copy that is not as it should be."""
    return [
        f"{item.machine.address}: the copy at {item.site}: {item.trouble}"
        + (
            f" (it is {duration(item.age)} old, of {duration(item.machine.point_objective)})"
            if item.age is not None
            else ""
        )
        for item in ages
        if item.trouble
    ]


def age_json(item: Age) -> dict[str, Any]:
    """The copy of one machine."""
    newest = item.state.points[-1] if item.state.points else None
    return {
        "machine": str(item.machine.address),
        "plan": item.plan,
        "group": item.machine.group,
        "way": str(item.machine.way),
        "site": item.site,
        "points": [point.id for point in item.state.points],
        "taken": newest.taken.isoformat() if newest is not None and newest.taken else None,
        "age": item.age,
        "objective": item.machine.point_objective,
        "inStep": item.state.in_step,
        "staged": item.state.staged,
        "trouble": item.trouble,
    }


def copied_json(item: Copied) -> dict[str, Any]:
    """One synchronisation."""
    return {
        "machine": str(item.machine),
        "plan": item.plan,
        "point": item.point,
        "taken": item.taken.isoformat() if item.taken is not None else None,
        "moved": item.moved,
        "seconds": item.seconds,
    }


def copies_json(copies: Copies) -> dict[str, Any]:
    """One synchronisation of everything."""
    return {
        "done": [copied_json(item) for item in copies.done],
        "failed": [diagnostic_json(item) for item in copies.failed],
        "leftOut": list(copies.left_out),
    }


def render_copies(copies: Copies, paint: Paint = plain) -> list[str]:
    """What one synchronisation of everything came to."""
    moved = sum(item.moved for item in copies.done if item.moved > 0)
    text = f"Synchronised {count(len(copies.done), 'machine')}"
    if moved:
        text += f", {format_size(moved)} moved"
    if copies.failed:
        text += f"; {count(len(copies.failed), 'machine')} failed"
    return [paint("error" if copies.failed else "add", f"{text}.")]


def _age(item: Age) -> str:
    if item.age is not None:
        return duration(item.age)
    return "last write" if item.state.in_step else ""
