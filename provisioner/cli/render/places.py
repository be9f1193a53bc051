"""The sites of a recovery plan and their roles, and what runs twice, as text and as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from provisioner.cli.render.text import Paint, plain, table, wrap
from provisioner.service.recovery.commands import Commands
from provisioner.service.recovery.places import PRIMARY, HostNow, Places

_ANSWERS = {True: "", False: "gives no answer", None: ""}


def render_places(
    found: Places, commands: Commands, width: int = 80, paint: Paint = plain
) -> Iterator[str]:
    """The sites, and behind them each machine that runs where it has to stay off; then an empty
    line.
    """
    rows = [
        (
            site.name,
            f"{site.role} of {found.plan.name}" if site.role == PRIMARY else site.role,
            ", ".join(map(_host, site.hosts)),
        )
        for site in found.sites
    ]
    yield from table(("SITE", "ROLE NOW", "HOSTS"), rows, paint, width)
    for item in found.beside:
        what = "RUNS TWICE" if item.is_twice else "RUNS AT THE WRONG SITE"
        text = f"{what}: {item.told(found.plan)}."
        yield from ("", *(paint("error", line) for line in wrap(text, width)))
    if found.beside:
        yield from wrap("What to do about it:", width, "  ")
        yield f"  {commands('check')}"
    yield ""


def _host(host: HostNow) -> str:
    said = _ANSWERS[host.answers]
    return host.name + (f" ({said})" if said else "")


def places_json(found: Places | None) -> dict[str, Any]:
    """The same for programs, as keys of another document; none of the values where the plan is not
    known.
    """
    if found is None:
        return {"sites": None, "beside": None}
    return {
        "sites": [
            {
                "site": site.name,
                "role": site.role,
                "hosts": [
                    {"host": host.name, "answers": host.answers, "why": host.why}
                    for host in site.hosts
                ],
            }
            for site in found.sites
        ],
        "beside": [
            {
                "machine": str(item.machine),
                "host": item.host,
                "site": found.plan.there,
                "twice": item.is_twice,
            }
            for item in found.beside
        ]
        if found.asked
        else None,
    }
