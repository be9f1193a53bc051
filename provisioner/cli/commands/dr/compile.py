"""``provisioner dr compile``."""

from __future__ import annotations

from pathlib import Path

import click

from provisioner.cli.completing import addresses
from provisioner.cli.invocation import Invocation, pass_invocation
from provisioner.cli.options import global_options, named, stack_option
from provisioner.core.address import Address


@click.command("compile")
@click.argument(
    "plan",
    type=named("RecoveryPlan"),
    shell_complete=addresses(kind="RecoveryPlan"),
)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the plan to FILE.",
)
@click.option(
    "--key",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The private key to sign it with; left out: recovery.signingKey of your configuration.",
)
@stack_option("Folder of the stack.")
@global_options
@pass_invocation
def command(
    invocation: Invocation, plan: Address, output: Path, key: Path | None, stack: Path
) -> None:
    """Write a plan to a signed file that needs neither manifests nor state.

    The file has everything that a drill, a migration or a failover needs, as it was applied last,
    and references to secrets instead of secrets. No endpoint is asked; 'dr check' does that. Write
    it anew after each apply, and keep it at the other site.
    """
    from provisioner.cli.opening import open_workspace
    from provisioner.cli.progress import progress
    from provisioner.cli.render.text import count
    from provisioner.service.recovery.storing import store_plan

    terminal = invocation.terminal
    workspace = open_workspace(invocation, stack)
    with progress(terminal, steps=False) as sink:
        done = store_plan(workspace, plan.name, output, key, sink)
    terminal.report(done.found)
    made = done.plan
    if terminal.json:
        terminal.print_json(
            {
                "plan": made.name,
                "file": str(output),
                "digest": done.digest,
                "key": done.key,
                "sites": list(made.sites),
                "machines": [str(machine.address) for machine in made.machines],
                "compiled": made.compiled.isoformat(),
                "maxAgeSeconds": made.max_age,
                "programs": sorted(made.programs),
            }
        )
        return
    machines = count(len(made.machines), "machine")
    carried = f" It carries {', '.join(sorted(made.programs))}." if made.programs else ""
    terminal.print(
        [
            f"{output}: {plan} of {machines}, from {made.here} to {made.there}.",
            f"Digest {done.digest[:12]}, signed by {done.key}; "
            f"may be used for {made.max_age / 3600:g} hours.{carried}",
        ]
    )
