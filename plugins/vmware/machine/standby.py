"""The mark of a machine that stands by: it runs at another site, and is not to be started here.

A key of its own in the extra configuration, beside the stamp, so that nobody who writes the stamp
anew can forget it::

    provisioner.standby = {"reason": "it runs at the other site", "since": "2026-03-01T04:05:06Z"}

Pure. Called by what reads machines and by what starts them (decision 0050).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Path, canonical_json
from provisioner.providers.api import Resource

KEY = "provisioner.standby"
PROPERTY = f'config.extraConfig["{KEY}"]'


class StandbyMark(NamedTuple):
    """``since``: RFC 3339, UTC."""

    reason: str
    since: str

    def text(self) -> str:
        """The value of the key."""
        return canonical_json({"reason": self.reason, "since": self.since})

    def told(self) -> str:
        """For people, in a plan."""
        return f"it stands by since {self.since}: {self.reason}"


def parse(text: str) -> StandbyMark | None:
    """The mark that a value is; None for an empty one: the machine may be started. One that
    somebody damaged counts.
    """
    if not text:
        return None
    try:
        data = json.loads(text)
        return StandbyMark(str(data["reason"]), str(data["since"]))
    except (ValueError, KeyError, TypeError):
        return StandbyMark(text, "an unknown time")


def withheld(mark: StandbyMark | None, *, runs: bool) -> Mapping[Path, str]:
    """What is not to be changed while it stands by. One that somebody started all the same can be
    stopped.
    """
    return {} if mark is None or runs else {("power",): mark.told()}


def refusal(machine: str, address: Address, mark: StandbyMark) -> Diagnostic:
    """Why a machine is not started, and how the mark is taken away."""
    return error(
        "PRV5343",
        f"machine {machine} stands by, and is not started",
        detail=f"Since {mark.since}: {mark.reason}",
        hint="Bring it back with its recovery plan (provisioner dr failback), which sees to it "
        "that it runs at one site only. If it is proven to run nowhere else, remove the key "
        f"{KEY} from its configuration parameters in vSphere's client.",
        address=str(address),
    )


def runs(resource: Resource) -> Diagnostic:
    """Why a machine is not marked."""
    return error(
        "PRV5344",
        f"machine {resource.name} runs, and so cannot stand by",
        hint="Stop it first; what runs at two sites is two machines.",
        address=str(resource.address),
    )
