"""``provisioner providers``."""

from __future__ import annotations

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options
from provisioner.cli.render.text import table, wrap


@click.command("providers")
@global_options
@pass_invocation
def command(invocation: Invocation) -> None:
    """List the installed provider plugins."""
    from provisioner.service.providers import how_to_install, list_providers

    terminal = invocation.terminal
    found = list_providers()
    if terminal.json:
        terminal.print_json(
            [
                {
                    "name": item.name,
                    "version": item.version,
                    "apiVersion": ".".join(map(str, item.api_version or ())),
                    "kinds": item.kinds,
                    "capabilities": item.capabilities,
                    "missing": item.missing,
                    **({"problem": item.problem.as_json()} if item.problem else {}),
                }
                for item in found
            ]
        )
        return
    rows = [
        [
            item.name,
            item.version or "-",
            ".".join(map(str, item.api_version or ("-",))),
            "not usable" if item.problem or item.missing else "usable",
        ]
        for item in found
    ]
    paint = terminal.paint(terminal.out)
    lines = table(["NAME", "VERSION", "API", "STATE"], rows, paint)
    for item in found:
        lines.append("")
        lines.append(paint("strong", item.name))
        if item.problem is not None:
            lines += wrap(f"{item.problem.summary}: {item.problem.detail}", terminal.width, "  ")
            lines += wrap(item.problem.hint, terminal.width, "  ")
            continue
        if item.missing:
            text = f"It cannot connect to an endpoint yet. {how_to_install(item.missing)}"
            lines += wrap(text, terminal.width, "  ")
        lines += wrap("kinds: " + ", ".join(item.kinds), terminal.width, "  ", "    ")
        if item.capabilities:
            lines += wrap("can: " + ", ".join(item.capabilities), terminal.width, "  ", "    ")
    terminal.print(lines)
