"""``provisioner discover``."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import click

from provisioner.cli.completing import folders
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, stack_option

_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


class _Folder(click.Path):
    """A folder to write to. An empty name, as an unset variable of a shell gives it, is a mistake,
    and not the current folder.
    """

    def convert(
        self,
        value: str | os.PathLike[str],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> Any:
        if value == "":
            self.fail("the name of the folder is empty.", param, ctx)
        return super().convert(value, param, ctx)


@click.command("discover")
@click.argument("host")
@click.option(
    "-o",
    "--output",
    metavar="DIR",
    required=True,
    type=_Folder(path_type=Path, file_okay=False),
    shell_complete=folders,
    help="Folder for the manifests: new for a URI, the stack's or one in it for a Host.",
)
@stack_option("The folder of the stack that has the Host, if that is not the current one.")
@click.option(
    "--kind", metavar="KIND", multiple=True, help="Only objects of this kind. Repeatable."
)
@click.option(
    "--match",
    metavar="GLOB",
    multiple=True,
    help="Only objects that are called like this on the host, e.g. 'web*'; upper and lower"
    " case differ. Repeatable.",
)
@click.option("--no-dependencies", is_flag=True, help="Leave out what the chosen objects refer to.")
@click.option(
    "--observe",
    is_flag=True,
    help="Write 'manage: [observe]' on everything, so that nothing is ever done to it.",
)
@click.option(
    "--full",
    is_flag=True,
    help="Write also fields that are as they would be without a word: drift and plan look at them"
    " then.",
)
@click.option(
    "--group",
    type=click.Choice(["resource", "kind"]),
    default="resource",
    help="A file for each resource (the default), or one for each kind.",
)
@click.option("--name", metavar="NAME", help="Name of a new stack (default: that of the folder).")
@global_options
@pass_invocation
def command(
    invocation: Invocation,
    *,
    host: str,
    output: Path,
    stack: Path,
    kind: tuple[str, ...],
    match: tuple[str, ...],
    no_dependencies: bool,
    observe: bool,
    full: bool,
    group: str,
    name: str | None,
) -> None:
    """Write manifests of what is on a host.

    HOST is the name of a Host of the stack, or a connection URI such as qemu:///system, of which a
    new stack is made. Everything on it is read, ours or not, and nothing on it is changed; what the
    stack declares already is passed over, and no file is overwritten. What a manifest cannot
    express stands in it as a comment.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.discover import discovery_json, render_discovery
    from provisioner.service.discover import Choices, discover_host, discover_uri

    terminal = invocation.terminal
    is_uri = _URI.match(host) is not None
    if name is not None and not is_uri:
        raise click.UsageError("--name is for a new stack: HOST has to be a URI then.")
    choices = Choices(
        kinds=kind,
        match=match,
        grouped=group == "kind",
        observe=observe,
        full=full,
        dependencies=not no_dependencies,
        name=name,
    )
    workspace = open_workspace(invocation, stack)
    with progress(terminal, steps=False) as sink:
        if is_uri:
            found = discover_uri(workspace, host, output, choices, sink)
        else:
            found = discover_host(workspace, host, output, choices, sink)
    terminal.acts = True
    if terminal.json:
        terminal.print_json(discovery_json(found))
    else:
        terminal.print(render_discovery(found, output, terminal.width))
