"""Carrying changes of a machine out: the definition is edited in place, then the running machine is
brought in line with it, by hand where libvirt can and by a restart where that is allowed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.clock import Deadline
from provisioner.core.values import Path
from provisioner.providers.api import Change, ProviderError, Resource, Terminal
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.edits import with_changes
from provisioner_plugins._libvirt.xml import Element, same
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.domain import cdroms, document, processor
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.files import MachineFiles
from provisioner_plugins.kvm.machine.host import Host
from provisioner_plugins.kvm.machine.live import LiveChanges
from provisioner_plugins.kvm.machine.observation import power_of
from provisioner_plugins.kvm.machine.power import DEFAULT_SHUTDOWN_MS, Power

_POWER = ("power",)
_HARDWARE_SETS = ("disks", "nics", "cdroms")


class Update:
    """One update of one machine."""

    def __init__(
        self,
        domain: DomainCalls,
        host: Host,
        files: MachineFiles,
        resource: Resource,
        changes: Sequence[Change],
    ) -> None:
        self._domain = domain
        self._host = host
        self._files = files
        self._resource = resource
        self._wanted: Mapping[str, Any] = resource.spec
        self._changes = changes
        self._fields = {change.path[0] for change in changes}
        self._bindings = Bindings(resource.related)
        self._notes: list[str] = []
        self._power = Power(domain, int(self._wanted.get("shutdownTimeout", DEFAULT_SHUTDOWN_MS)))

    def carry_out(
        self, before: Element, *, restart: bool, deadline: Deadline
    ) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """Do it; ``before`` is the definition as it is. Returns what is pending, and notes."""
        old_seed = cdroms.seed_volume(before)
        after = self._edited(before)
        if not same(before, after):
            self._notes.extend(self._domain.define(after))
        if "autostart" in self._fields:
            self._domain.set_autostart(bool(self._wanted.get("autostart", False)))
        pending = self._bring_into_force(before, restart=restart, deadline=deadline)
        new_seed = cdroms.seed_volume(after)
        replaced = old_seed != new_seed and ("cloudInit",) not in pending
        if replaced and not self._has_snapshots():
            # A snapshot's definition names the seed of its time, and needs it.
            self._files.remove_seed(old_seed)
        return tuple(dict.fromkeys(pending)), tuple(self._notes)

    def _has_snapshots(self) -> bool:
        found = self._domain.read("read the snapshots of", lambda domain: domain.snapshotNum())
        return bool(found)

    # --- the definition ---

    def _edited(self, before: Element) -> Element:
        after = deepcopy(before)
        spec = with_changes(document.read(before, self._bindings, self._wanted), self._changes)
        emulated = processor.is_emulated(before)
        around = document.Surroundings(
            self._bindings,
            emulated=emulated,
            nested_feature=self._host.nested_feature(emulated=emulated)
            if "cpu" in self._fields
            else "",
            log=self._files.log_path(self._resource, self._bindings)
            if "console" in self._fields
            else None,
            seed=self._seed(before),
        )
        document.edit(
            after, spec, self._wanted, self._fields, around, reorder=self._is_boot_order_changed()
        )
        stamp.replace(after, stamp.Mark.of(self._resource))
        return after

    def _seed(self, before: Element) -> VolumeRef | None:
        if "cloudInit" in self._fields:
            return self._files.put_seed(self._resource, self._bindings)
        return cdroms.seed_volume(before)

    def _is_boot_order_changed(self) -> bool:
        """Whether a change moves a device in the boot order, or brings one that has a place."""
        for change in self._changes:
            if change.path[0] not in _HARDWARE_SETS:
                continue
            if change.path[-1] == "bootOrder":
                return True
            sides = (change.before, change.after)
            if any(isinstance(side, Mapping) and "bootOrder" in side for side in sides):
                return True
        return False

    # --- the running machine ---

    def _bring_into_force(
        self, before: Element, *, restart: bool, deadline: Deadline
    ) -> list[Path]:
        live = self._domain.live()
        if live is None:
            self._start_new(before, deadline)
            return []
        stops = "power" in self._fields and self._wanted.get("power", "running") != "running"
        if stops and not restart:
            return [*self._change_live(live, deadline), _POWER]
        if stops and self._wanted["power"] == "stopped":
            self._power.stop(deadline)
            return []
        if restart and self._needs_restart():
            self._restart(before, deadline)
            return []
        pending = self._change_live(live, deadline)
        self._change_power(deadline)
        return pending

    def _needs_restart(self) -> bool:
        return any(
            change.impact is Impact.RESTART and change.path != _POWER for change in self._changes
        )

    def _change_power(self, deadline: Deadline) -> None:
        if "power" in self._fields:
            wanted = str(self._wanted.get("power", "running"))
            self._power.bring_to(wanted, deadline, reset_nvram=self._is_new_firmware())

    def _restart(self, before: Element, deadline: Deadline) -> None:
        """Stop and start with the new definition; if the host refuses that, start with the previous
        one again.
        """
        suspended = self._wanted.get("power", power_of(self._domain.state())) == "suspended"
        self._domain.report("restarting")
        if not self._power.stop(deadline):
            self._notes.append("the guest did not shut down by itself and was switched off")
        try:
            self._power.start(suspended=suspended, reset_nvram=self._is_new_firmware())
        except Terminal:
            self._put_back(before)
            raise

    def _start_new(self, before: Element, deadline: Deadline) -> None:
        """Start a stopped machine, where that is among the changes."""
        try:
            self._change_power(deadline)
        except Terminal:
            # It did not run before: the previous definition is put back, and not started.
            self._domain.define(before)
            raise

    def _put_back(self, before: Element) -> None:
        # That the new definition does not start is what has to be told, whatever happens now.
        with contextlib.suppress(ProviderError):
            self._domain.define(before)
            self._power.start()

    def _is_new_firmware(self) -> bool:
        return any(change.path[:2] == ("firmware", "type") for change in self._changes)

    def _change_live(self, live: Element, deadline: Deadline) -> list[Path]:
        configured = self._domain.configured()
        waiting = [change.path for change in self._changes if change.impact is Impact.RESTART]
        attempt = LiveChanges(
            self._domain, self._bindings, self._wanted, waiting=waiting, deadline=deadline
        )
        try:
            attempt.apply(configured, live, self._fields)
        except Terminal:
            self._take_back_what_failed(configured)
            raise
        self._notes.extend(attempt.notes)
        pending = attempt.pending
        if "native" in self._fields:
            pending.append(("native",))
        return pending

    def _take_back_what_failed(self, configured: Element) -> None:
        """Take devices that could not be plugged in out of the definition, which would not start
        with them.
        """
        live = self._domain.live()
        if live is None:
            return
        differing = document.running_differences(configured, live, self._bindings, self._wanted)
        document.drop_devices(
            configured,
            [path for path, running in differing.items() if len(path) == 2 and running is None],
            self._bindings,
            self._wanted,
        )
        self._domain.define(configured)
