"""Shares, reservations and limits of processors and memory, of machines and of pools.

Source: vSphere Web Services API, ResourceAllocationInfo.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner_plugins.vmware.building import MIB

UNLIMITED = -1
_CUSTOM = "custom"


class Fields(NamedTuple):
    """How a section of a spec calls its figures, and what one of vSphere's is in its unit."""

    reservation: str
    limit: str
    unit: int


CPU = Fields("reservationMhz", "limitMhz", 1)
MEMORY = Fields("reservation", "limit", MIB)


class Allocation(NamedTuple):
    """What is allotted: in MHz or MiB; ``limit`` -1: none. ``shares`` is a word or a number."""

    reservation: int = 0
    limit: int = UNLIMITED
    shares: str | int = "normal"

    @classmethod
    def read(cls, found: Any) -> Allocation:
        """Of vSphere's ResourceAllocationInfo, or of None."""
        if found is None:
            return cls()
        level = str(getattr(found.shares, "level", None) or "normal")
        limit = UNLIMITED if found.limit is None else int(found.limit)
        shares = int(found.shares.shares) if level == _CUSTOM else level
        return cls(int(found.reservation or 0), limit, shares)

    @classmethod
    def of_section(cls, section: Mapping[str, Any], fields: Fields) -> Allocation:
        """Of a section ``cpu`` or ``memory`` of a spec."""
        limit = section.get(fields.limit)
        return cls(
            int(section.get(fields.reservation, 0)) // fields.unit,
            UNLIMITED if limit is None else int(limit) // fields.unit,
            section.get("shares", "normal"),
        )

    def section(self, fields: Fields) -> dict[str, Any]:
        """The part of a section that it is."""
        found: dict[str, Any] = {
            fields.reservation: self.reservation * fields.unit,
            "shares": self.shares,
        }
        if self.limit != UNLIMITED:
            found[fields.limit] = self.limit * fields.unit
        return found

    def info(self, *, expandable: bool | None = None) -> Any:
        """As vSphere takes it."""
        is_number = isinstance(self.shares, int)
        return vim.ResourceAllocationInfo(
            reservation=self.reservation,
            limit=self.limit,
            expandableReservation=expandable,
            shares=vim.SharesInfo(
                level=_CUSTOM if is_number else self.shares, shares=self.shares if is_number else 0
            ),
        )
