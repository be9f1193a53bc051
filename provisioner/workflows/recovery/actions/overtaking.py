"""How a run is refused that the world has overtaken: the machines have moved on since, by a run of
which this one knows nothing.

Raised by :mod:`.powering`, and by :mod:`provisioner.workflows.recovery.overtaken` before a run is
gone on with.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error


def overtaken(what: str, machine: Address, findings: Sequence[str]) -> ProvisionerError:
    """The refusal (PRV7102). ``what``: the run, in words; ``machine``: the first that it is about;
    ``findings``: what was found, a line each, at least one.
    """
    more = f" ({len(findings) - 1} more)" if len(findings) > 1 else ""
    listed = "\n".join(findings)
    return ProvisionerError(
        error(
            "PRV7102",
            f"{what} was overtaken: {findings[0]}{more}",
            detail=f"{listed}\nSomething has led the machines elsewhere since; going on would "
            "start old disks beside newer ones. Nothing was changed.",
            hint="Look where the machines run. If a later run stands in another journal, name that "
            "one with --journal FILE; 'provisioner dr cancel' gives this run up. If somebody has "
            "only made a machine anew where it ran, remove that one and 'provisioner dr resume'.",
            address=str(machine),
        )
    )
