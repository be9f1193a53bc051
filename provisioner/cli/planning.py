"""What plan, apply and destroy share: choices from options, and showing a plan."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from provisioner.cli.render.gate import ALLOW_DATA_LOSS, MAX_IMPACT, TRUST_SITE
from provisioner.cli.render.plan import render_plan
from provisioner.cli.render.planjson import plan_document
from provisioner.cli.render.text import plain
from provisioner.cli.terminal import Terminal, json_lines
from provisioner.cli.writing import write
from provisioner.core.actions import Impact
from provisioner.core.address import Address, AddressPattern
from provisioner.service.model import Plan
from provisioner.service.plan import PlanChoices
from provisioner.service.schema import Vocabulary


def choices_of(
    target: tuple[AddressPattern, ...],
    exclude: tuple[AddressPattern, ...],
    max_impact: str | None = None,
    allow_data_loss: tuple[Address, ...] = (),
    adopt: tuple[AddressPattern, ...] = (),
    *,
    trust_site: tuple[str, ...] = (),
) -> PlanChoices:
    """The options of the command line as the service takes them."""
    return PlanChoices(
        target,
        exclude,
        Impact(max_impact) if max_impact is not None else None,
        allow_data_loss,
        adopt,
        trusted_sites=trust_site,
    )


def print_plan(
    terminal: Terminal,
    plan: Plan,
    command: Sequence[str],
    form: str | None = None,
    path: Path | None = None,
) -> None:
    """Show a plan on the output, or in the file ``path``, in the ``form`` that was asked for;
    ``command`` had it made.
    """
    if form is not None:
        # A plan as text needs none of this.
        from provisioner.cli.forms import rendered  # noqa: PLC0415

        lines = rendered(plan, form, command)
    elif terminal.json:
        lines = json_lines(plan_document_of(plan))
    else:
        paint = terminal.paint(terminal.out) if path is None else plain
        lines = render_plan(plan, Vocabulary(), terminal.width, paint, command)
    shown = form or ("JSON" if terminal.json else "text")
    write(terminal, lines, path, f"plan as {shown}")


def written_to(terminal: Terminal, plan: Plan, file: Path) -> None:
    """Say what a plan file that was written is good for."""
    use = f"To apply it: provisioner apply {file}"
    if plan.refused:
        use = "It can be shown and compared; apply refuses it, as said above."
    terminal.note([f"Written to {file}. {use}"])


def command_of(plan: Plan, file: Path, stack: Path | None) -> list[str]:
    """The command that makes a plan file like this one again, but for values of variables."""
    environment = ["--env", plan.environment] if plan.environment is not None else []
    if plan.only_adopt:
        what = [pattern for pattern in plan.selection.get("adopt", ()) if pattern != "*/*"]
        where = ["--stack", str(stack)] if stack is not None else []
        return ["provisioner", "adopt", *what, *where, *environment, "-o", str(file)]
    words = ["provisioner", "plan", *([str(stack)] if stack is not None else [])]
    words += ["--destroy"] if plan.destroy else []
    words += environment
    for option in ("target", "exclude", "adopt"):
        for pattern in plan.selection.get(option, ()):
            words += [f"--{option}", pattern]
    words += [MAX_IMPACT, plan.max_impact.value]
    for address in plan.consents:
        words += [ALLOW_DATA_LOSS, str(address)]
    for site in plan.trusted_sites:
        words += [TRUST_SITE, site]
    return [*words, "-o", str(file)]


def plan_document_of(plan: Plan) -> dict[str, Any]:
    """A plan as JSON for programs."""
    return plan_document(plan, Vocabulary())
