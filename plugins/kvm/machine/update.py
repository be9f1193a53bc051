"""Carrying changes of a machine out: the definition is edited in place, then the running machine is
brought in line with it, by hand where libvirt can and by a restart where that is allowed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from provisioner.core.actions import Impact
from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.core.values import Json, Path, path_text
from provisioner.providers.api import Change, Resource, Retryable, Terminal
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.edits import with_changes
from provisioner_plugins._libvirt.xml import Element, copied, same
from provisioner_plugins.kvm.bindings import Bindings, VolumeRef
from provisioner_plugins.kvm.domain import cdroms, consoles, document, processor, running, standby
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.files import MachineFiles
from provisioner_plugins.kvm.machine.fragments import devices_missing, require_devices
from provisioner_plugins.kvm.machine.host import Host
from provisioner_plugins.kvm.machine.live import LiveChanges
from provisioner_plugins.kvm.machine.observation import power_of
from provisioner_plugins.kvm.machine.power import DEFAULT_SHUTDOWN_MS, Power

_POWER = ("power",)
_PLACES = frozenset({"disks", "cloudInit"})
"""Fields that decide in which pool a machine's own files are."""
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
        self._ran: Element | None = None
        self._owed: str | None = None
        """What its mark says that it is to be brought back to."""
        self._power = Power(domain, int(self._wanted.get("shutdownTimeout", DEFAULT_SHUTDOWN_MS)))

    def carry_out(
        self, before: Element, *, restart: bool, deadline: Deadline
    ) -> tuple[tuple[Path, ...], tuple[str, ...]]:
        """Do it; ``before`` is the definition as it is. Returns what is pending, and notes."""
        mark = stamp.read(before)
        self._owed = None if mark is None else mark.owed
        self._refuse_to_start(before, restart=restart)
        after = self._edited(before)
        if not same(before, after) or not self._domain.is_defined():
            is_new = not self._domain.is_defined()
            self._notes.extend(self._domain.define(after))
            self._require_kept(after, None if is_new else before)
        if "autostart" in self._fields:
            self._domain.set_autostart(bool(self._wanted.get("autostart", False)))
        pending = self._bring_into_force(before, restart=restart, deadline=deadline)
        if self._owed is not None:
            self._promise(None)
        if "cloudInit" in self._fields:
            self._remove_old_seeds(before, after)
        self._remove_old_logs(before, after)
        return tuple(dict.fromkeys(pending)), tuple(self._notes)

    def _refuse_to_start(self, before: Element, *, restart: bool) -> None:
        """Raise Terminal (PRV5380) where this would start a machine that stands by, before anything
        of it is done.
        """
        mark = standby.read(before)
        if mark is None:
            return
        starts = "power" in self._fields and self._wanted.get("power", "running") != "stopped"
        starts |= "autostart" in self._fields and bool(self._wanted.get("autostart", False))
        if starts or (restart and self._needs_restart() and self._domain.live() is not None):
            name, address = self._resource.name, str(self._resource.address)
            raise Terminal(standby.refusal(name, address, mark))

    def _require_kept(self, written: Element, before: Element | None) -> None:
        """Raise Terminal where libvirt made something else of a change, and put the definition back
        that was there ``before``.
        """
        paths = [change.path for change in self._changes]
        kept = self._domain.configured()
        for path, wanted, found in document.not_kept(
            written, kept, self._bindings, self._wanted, paths
        ):
            said = "It has this definition now."
            if before is not None:
                self._domain.define(before)
                said = "The definition that was there before is in place again."
            raise Terminal(_not_kept(self._resource, path, wanted, found, said))

    def _remove_old_seeds(self, before: Element, after: Element) -> None:
        """Those that neither the next start needs nor the running machine has in its drive."""
        if self._domain.read("read the snapshots of", lambda domain: domain.snapshotNum()):
            # A snapshot's definition names the seed of its time, and needs it.
            return
        live = self._domain.live()
        needed = [cdroms.seed_volume(found) for found in (after, live) if found is not None]
        used = [cdroms.seed_volume(before), *needed]
        self._files.remove_seeds(self._resource, used, needed)

    def _remove_old_logs(self, before: Element, after: Element) -> None:
        """Those to which nothing is written any more, because the machine's disks are elsewhere."""
        definitions = [before] if self._ran is None else [before, self._ran]
        old = {consoles.serial_log(found) for found in definitions} - {consoles.serial_log(after)}
        if not any(self._files.is_log(self._resource, log) for log in old):
            return
        live = self._domain.live()
        in_use = consoles.serial_log(live) if live is not None else None
        for log in old:
            if log is not None and log != in_use and self._files.is_log(self._resource, log):
                self._files.remove_log(log)

    # --- the definition ---

    def problems(self, before: Element) -> Iterator[Diagnostic]:
        """What keeps the definition from being edited, without writing anything."""
        around = document.Surroundings(self._bindings, seed=cdroms.seed_volume(before))
        yield from devices_missing(self._changed(before, around))

    def _edited(self, before: Element) -> Element:
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
        after = self._changed(before, around)
        require_devices(after)
        self._move_log(after)
        stamp.replace(after, stamp.Mark.of(self._resource, self._owed))
        return after

    def _changed(self, before: Element, around: document.Surroundings) -> Element:
        after = copied(before)
        spec = with_changes(document.read(before, self._bindings, self._wanted), self._changes)
        document.edit(
            after, spec, self._wanted, self._fields, around, reorder=self._is_boot_order_changed()
        )
        return after

    def _move_log(self, after: Element) -> None:
        """The log of the serial console lies where the machine's disks are."""
        log = consoles.serial_log(after)
        if _PLACES & self._fields and self._files.is_log(self._resource, log):
            consoles.move_log(after, self._files.log_path(self._resource, self._bindings))

    def _seed(self, before: Element) -> VolumeRef | None:
        if "cloudInit" in self._fields:
            return self._files.put_seed(self._resource)
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
        live = self._ran = self._domain.live(to_define=True)
        if live is None:
            if not self._domain.is_saved():
                self._start_stopped(before, deadline)
                return []
            # A start would go on with the old definition: only if it is asked for.
            self._start_stopped(before, deadline)
            return [change.path for change in self._changes if change.impact is Impact.RESTART]
        stops = "power" in self._fields and self._wanted.get("power", "running") != "running"
        if stops and not restart:
            return [*self._change_live(before, live, deadline), _POWER]
        if stops and self._wanted["power"] == "stopped":
            self._power.stop(deadline)
            return []
        if restart and self._needs_restart():
            self._restart(before, live, deadline)
            return []
        pending = self._change_live(before, live, deadline)
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

    def _restart(self, before: Element, live: Element, deadline: Deadline) -> None:
        """Stop and start with the new definition; if the host refuses that, start what ran."""
        power = str(self._wanted.get("power", power_of(self._domain.state())))
        suspended = power == "suspended"
        ran = [
            running.as_it_ran(live, before, self._bindings, self._wanted),
            running.as_definition(live),
        ]
        self._domain.report("restarting")
        # Should this be cut short, the next plan knows that it did not stop by itself.
        self._promise(power)
        if not self._power.stop(deadline):
            self._notes.append("the guest did not shut down by itself and was switched off")
        try:
            self._power.start(suspended=suspended, reset_nvram=self._is_new_firmware())
        except Terminal as problem:
            said = self._start_again(ran, suspended=suspended)
            detail = f"{problem.diagnostic.detail.rstrip('.')}. {said}"
            raise Terminal(replace(problem.diagnostic, detail=detail)) from problem

    def _start_again(self, ran: Sequence[Element], *, suspended: bool) -> str:
        """Put the first of these definitions back that starts; returns what became of it."""
        said = ""
        for definition in ran:
            try:
                stamp.replace(definition, stamp.Mark.of(self._resource, self._owed))
                self._domain.define(definition)
                self._power.start(suspended=suspended)
            except (Retryable, Terminal) as problem:
                said = f"{problem.diagnostic.summary}; {problem.diagnostic.detail}"
            else:
                self._promise(None)
                return "It was started again as it ran before."
        return f"It could not be started again as it ran before either: {said}"

    def _promise(self, power: str | None) -> None:
        """Have the mark say what the machine is to be brought back to; None: to nothing."""
        self._owed = power
        definition = self._domain.configured()
        stamp.replace(definition, stamp.Mark.of(self._resource, power))
        self._domain.annotate(definition)

    def _start_stopped(self, before: Element, deadline: Deadline) -> None:
        """Start a machine that does not run, where that is among the changes, or where an attempt
        to restart it was cut short.
        """
        try:
            if self._owed is not None and "power" not in self._wanted:
                self._power.bring_to(self._owed, deadline)
            else:
                self._change_power(deadline)
        except Terminal:
            # It did not run before: the previous definition is put back, and not started.
            self._domain.define(before)
            raise

    def _is_new_firmware(self) -> bool:
        return any(change.path[:2] == ("firmware", "type") for change in self._changes)

    def _change_live(self, before: Element, live: Element, deadline: Deadline) -> list[Path]:
        configured = self._domain.configured()
        waiting = [change.path for change in self._changes if change.impact is Impact.RESTART]
        asked = [change.path for change in self._changes if change.path not in waiting]
        attempt = LiveChanges(
            self._domain,
            self._bindings,
            self._wanted,
            before,
            asked=asked,
            waiting=waiting,
            deadline=deadline,
        )
        try:
            attempt.apply(configured, live, self._fields)
        except Terminal:
            self._take_back_what_failed(configured, asked)
            raise
        self._notes.extend(attempt.notes)
        return attempt.pending

    def _take_back_what_failed(self, configured: Element, asked: Collection[Path]) -> None:
        """Take the devices that this update brings, and that could not be plugged in, out of the
        definition, which might not start with them.
        """
        live = self._domain.live()
        if live is None:
            return
        brought = {change.path for change in self._changes if change.before is None}
        differing = document.running_differences(configured, live, self._bindings, self._wanted)
        failed = [
            path
            for path, in_force in differing.items()
            if in_force is None and path in brought and path in asked
        ]
        document.drop_devices(configured, failed, self._bindings, self._wanted)
        self._domain.define(configured)


def _not_kept(resource: Resource, path: Path, wanted: Json, found: Json, said: str) -> Diagnostic:
    return error(
        "PRV5211",
        f"libvirt does not take {path_text(path)} of machine {resource.name}",
        detail=f"It was to be {wanted!r}, and libvirt made {found!r} of it. {said}",
        hint="Something else in the definition decides it, such as NUMA cells or memory modules, "
        "which no field names. Look at it with `virsh dumpxml --inactive`, and write that into "
        "native.kvm.domain.",
        address=str(resource.address),
        path=path,
    )
