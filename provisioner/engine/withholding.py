"""Changes that are not to be made for now, because the endpoint withholds a field. Pure.

Called by :mod:`provisioner.engine.decide`. What withholds a field is
:attr:`provisioner.providers.api.Present.withheld`.
"""

from __future__ import annotations

from collections.abc import Sequence

from provisioner.core.values import path_text
from provisioner.providers.api import Change, Present


def parted(changes: Sequence[Change], observed: Present) -> tuple[list[Change], list[Change]]:
    """The changes that can be made, and those that are withheld."""
    free: list[Change] = []
    kept: list[Change] = []
    for change in changes:
        (free if _reason(change, observed) is None else kept).append(change)
    return free, kept


def why(kept: Sequence[Change], observed: Present) -> str | None:
    """Why these are withheld; None if there are none."""
    reasons = dict.fromkeys(filter(None, (_reason(change, observed) for change in kept)))
    return "; ".join(reasons) or None


def why_not_replaced(observed: Present) -> str | None:
    """Why the object has to stay; None if it may be replaced. What withholds its fields would be
    gone with it.
    """
    return "; ".join(dict.fromkeys(observed.withheld.values())) or None


def told(kept: Sequence[Change], observed: Present) -> str:
    """What a step says of the changes that it leaves out."""
    fields = ", ".join(path_text(change.path) for change in kept)
    return f"without {fields}: {why(kept, observed)}"


def _reason(change: Change, observed: Present) -> str | None:
    for path, reason in observed.withheld.items():
        if change.path[: len(path)] == path:
            return reason
    return None
