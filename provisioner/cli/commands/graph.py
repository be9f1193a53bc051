"""``provisioner graph``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, stack_argument


@click.command("graph")
@stack_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid"]),
    default="text",
    show_default=True,
    help="How to draw it.",
)
@global_options
@pass_invocation
def command(invocation: Invocation, stack: Path, form: str) -> None:
    """Draw which resource depends on which.

    Reads only the manifests. With Graphviz: provisioner graph --format dot | dot -Tsvg >
    graph.svg
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.render.graph import graph_json, render_dot, render_mermaid, render_text
    from provisioner.service.graph import dependencies

    terminal = invocation.terminal
    graph = dependencies(open_workspace(invocation, stack))
    if terminal.json:
        terminal.print_json(graph_json(graph))
        return
    draw = {"text": render_text, "dot": render_dot, "mermaid": render_mermaid}[form]
    terminal.print(draw(graph))
