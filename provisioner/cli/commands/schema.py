"""``provisioner schema``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import folders
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options


@click.command("schema")
@click.argument("folder", type=click.Path(path_type=Path), required=False, shell_complete=folders)
@global_options
@pass_invocation
def command(invocation: Invocation, folder: Path | None) -> None:
    """Write the JSON Schemas for editors and programs.

    One file for each kind goes into FOLDER, and what the installed providers take under connection
    and native. Point a manifest to its schema in its first line:

    \b
    # yaml-language-server: $schema=FOLDER/virtualmachine.v1.json

    manifest.v1.json accepts every kind. plan.v1.schema.json describes plan files,
    plan-view.v1.schema.json what 'plan --json' prints, drift.v1.schema.json what 'drift --json'
    prints. Without FOLDER the file names are listed; with --json all
    schemas are printed as one document.
    """
    import json

    from provisioner.service.schema import result_files, schema_files, write_schemas

    terminal = invocation.terminal
    if folder is None:
        found = {**schema_files(), **result_files()}
        if terminal.json:
            terminal.print_json({name: json.loads(text) for name, text in found.items()})
        else:
            terminal.print(found)
        return
    written = write_schemas(folder, results=True)
    terminal.acts = True
    if terminal.json:
        terminal.print_json({"written": [str(path) for path in written]})
    else:
        terminal.print(str(path) for path in written)
