"""Terraform or OpenTofu as a contender: how it is found, called and given its estate."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

from tests.bench import phases, terraform_estate, tfstate
from tests.bench.contender import Contender
from tests.bench.phases import CHANGES, Command, Phase
from tests.bench.process import run

NAMES = ("terraform", "tofu")
"""What is looked for on the PATH, the first one first."""

WHOLE_UP_TO = 1_000
"""The largest estate that is applied and destroyed unless everything is asked for. Both cost
Terraform the square of the size, because it writes its whole local state after each resource
(https://github.com/hashicorp/terraform/issues/32060): 1,000 take minutes, 10,000 would take hours.
"""

GENERATED = "*"
"""The mark of figures that were taken on a state that the benchmark wrote."""

ENVIRONMENT = {
    # It would ask its maker for newer versions.
    "CHECKPOINT_DISABLE": "1",
    "TF_IN_AUTOMATION": "1",
    # Nobody's own settings.
    "TF_CLI_CONFIG_FILE": os.devnull,
}


class Tool(NamedTuple):
    """A program that was found, with the name and the version that it gives itself."""

    path: str
    product: str
    version: str


def find(chosen: str | None = None) -> Tool | None:
    """The program called ``chosen`` (a name or a path), else the first of NAMES on the PATH; None
    where there is none.
    """
    path = next(filter(None, map(shutil.which, [chosen] if chosen else NAMES)), None)
    if path is None:
        return None
    told = subprocess.run(
        [path, "version"],
        env=dict(os.environ) | ENVIRONMENT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = re.match(r"(?P<product>\w+) v(?P<version>\S+)", told)
    if found is None:
        raise ValueError(f"{path} version: expected a name and a version, found {told!r}")
    return Tool(path, found["product"], found["version"])


def contender(tool: Tool, whole_up_to: int = WHOLE_UP_TO) -> Contender:
    """The program on estates whose whole life is measured up to this size. Beyond it, nothing is
    applied or destroyed, and the plans that need a state are given one of ``tests.bench.tfstate``.
    """
    return Contender(
        tool.product,
        partial(_write, tool),
        lambda size: _life(tool) if size <= whole_up_to else _plans(tool, size),
        ENVIRONMENT,
    )


def _write(tool: Tool, folder: Path, count: int) -> None:
    terraform_estate.write(folder, count)
    command = _on(tool, "init", "-input=false", "-no-color")(folder)
    run(command, folder / "init.log", environment=ENVIRONMENT)


def _on(tool: Tool, *arguments: str) -> Command:
    return lambda folder: [tool.path, f"-chdir={folder}", *arguments]


def _life(tool: Tool) -> Sequence[Phase]:
    plan = _on(tool, "plan", "-input=false", "-detailed-exitcode")
    return (
        Phase(phases.VALIDATE, _on(tool, "validate")),
        Phase(phases.FIRST_PLAN, plan, CHANGES),
        Phase(phases.APPLY, _on(tool, "apply", "-input=false", "-auto-approve")),
        Phase(phases.NO_OP_PLAN, plan),
        Phase(phases.CHANGED_PLAN, plan, CHANGES, phases.change_one),
        Phase(phases.DESTROY, _on(tool, "destroy", "-input=false", "-auto-approve")),
    )


def _plans(tool: Tool, size: int) -> Sequence[Phase]:
    """All but what changes something. That the plan without a change ends with 0 also says that
    Terraform takes the state that it was given.
    """
    state = partial(tfstate.write, count=size, version=tool.version)
    validate, first, _, no_op, changed, _ = _life(tool)
    return (
        validate,
        first,
        replace(no_op, before=state, mark=GENERATED),
        replace(changed, mark=GENERATED),
    )
