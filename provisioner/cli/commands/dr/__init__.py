"""``provisioner dr``: a group of commands about disaster recovery, each in a module of its name."""

from __future__ import annotations

from typing import Any

import click

from provisioner.cli.lazy import LazyGroup
from provisioner.cli.options import global_options

COMMANDS = {
    "check": "Tell whether recovery plans would work now",
    "plan": "Show what would be done now, step by step, and how long it would take",
    "compile": "Write a plan to a signed file that needs neither manifests nor state",
    "key": "Make a key to sign plans with",
    "test": "Start copies of the machines, cut off from everything",
    "cleanup": "Remove what a drill has made, and prove it",
    "migrate": "Bring the machines to the other site, and lose nothing",
    "failover": "Start the machines at the other site after a disaster",
    "reprotect": "Replicate in the other direction after that",
    "failback": "Bring the machines back home",
    "status": "Show the run under way, or the last one",
    "answer": "Answer the question of a run",
    "cancel": "Ask the run under way to end",
    "resume": "Go on with a run that was interrupted or did not succeed",
    "rollback": "Start the machines where they ran, if a migration or failover was given up",
    "history": "Show the runs of a plan",
    "report": "Write evidence of a run: who, when, what was achieved",
}
"""Commands in the order in which they are needed, with their summaries."""


@click.group("dr", cls=LazyGroup, table=COMMANDS, package=__name__)
@global_options
def command(**_: Any) -> None:
    """Recover machines at another site.

    Manifests of the kinds Site, SitePair, ProtectionGroup and RecoveryPlan say what is recovered,
    and how. A plan is compiled into one signed file that is kept at the other site: it is carried
    out from there when the first site, its state and the manifests are gone.
    """
