"""``provisioner graph``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import address, global_options, stack_argument
from provisioner.core.address import Address


@click.command("graph")
@stack_argument
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "dot", "mermaid", "svg"]),
    default="text",
    show_default=True,
    help="How to draw it.",
)
@click.option(
    "--plan",
    "plan_file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Draw what a plan file is about, with what it does. Asks no endpoint.",
)
@click.option("--planned", is_flag=True, help="Plan now, and draw what apply would do to each.")
@click.option(
    "--impact-of",
    metavar="ADDRESS",
    type=address,
    shell_complete=addresses(),
    help="Only this resource and what depends on it, however far.",
)
@click.option("--unfold", is_flag=True, help="Draw every resource, however many there are.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write it to FILE.",
)
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    stack: Path,
    form: str,
    plan_file: Path | None,
    planned: bool,
    impact_of: Address | None,
    unfold: bool,
    output: Path | None,
) -> None:
    """Draw which resource depends on which.

    Reads only the manifests, or only a plan file, unless --planned is given. In SVG and Mermaid,
    resources that are alike are folded into one node where there are more than 60; text, DOT and
    JSON are always complete.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render import graph as rendering
    from provisioner.cli.render.folding import MOST_NODES
    from provisioner.cli.terminal import json_lines
    from provisioner.cli.writing import write
    from provisioner.service import graph as service
    from provisioner.service.plan import read_plan

    if planned and plan_file is not None:
        raise click.UsageError("--planned and --plan exclude each other.")
    terminal = invocation.terminal
    if plan_file is not None:
        graph = service.dependencies_of_plan(read_plan(plan_file))
    elif planned:
        with progress(terminal, steps=False) as sink:
            graph = service.dependencies_planned(open_workspace(invocation, stack), sink)
    else:
        graph = service.dependencies(open_workspace(invocation, stack))
    if impact_of is not None:
        graph = service.impact_of(graph, impact_of)
    most = None if unfold else MOST_NODES
    if terminal.json:
        lines = json_lines(rendering.graph_json(graph))
    elif form == "svg":
        from provisioner.cli.render.svg import render_svg

        lines = render_svg(graph, most)
    elif form == "mermaid":
        lines = rendering.render_mermaid(graph, most)
    else:
        draw = {"text": rendering.render_text, "dot": rendering.render_dot}[form]
        lines = draw(graph)
    write(terminal, lines, output, f"graph as {'JSON' if terminal.json else form}")
