"""The snapshots of a machine as they are read, for the handlers of snapshots and of machines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyVmomi import vim

from provisioner_plugins.vmware.machine.properties import SNAPSHOTS, UUID
from provisioner_plugins.vmware.snapshot import words
from provisioner_plugins.vmware.stamp import Mark
from provisioner_plugins.vmware.wire.sweep import Row


@dataclass(frozen=True, slots=True)
class Found:
    """One snapshot of a machine. ``machine`` is the instance UUID of that."""

    moid: str
    machine: str
    name: str
    text: str
    mark: Mark | None
    memory: bool

    @property
    def external_id(self) -> str:
        """Machine and snapshot."""
        return f"{self.machine}/{self.moid}"

    def is_of(self, lineage: str | None) -> bool:
        """Whether it is of the stack with this lineage; nobody's is of none."""
        return self.mark is not None and self.mark.stamp.lineage == lineage


def snapshots_of(row: Row) -> Iterator[Found]:
    """All snapshots of a machine, parents first; ``row`` has the property SNAPSHOTS."""
    waiting = list(row.get(SNAPSHOTS, ()))
    while waiting:
        item = waiting.pop(0)
        text, mark = words.read(str(item.description or ""))
        yield Found(
            moid=item.snapshot._GetMoId(),
            machine=str(row.get(UUID)),
            name=str(item.name),
            text=text,
            mark=mark,
            memory=str(item.state) != vim.VirtualMachine.PowerState.poweredOff,
        )
        waiting[0:0] = list(item.childSnapshotList or ())
