"""Brings a running machine in line with what is configured, as far as libvirt can.

The state of the machine decides what is left to do: what differs between the live and the
configured definition, so that a repeated attempt goes on where the last one ended. Only what was
asked for is tried; what waits for a restart since an earlier update goes on waiting.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import libvirt

from provisioner.core.clock import Deadline
from provisioner.core.values import Path
from provisioner.providers.api import ProviderError, Retryable, Terminal
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins._libvirt.xml import Element, child, copied, remove_all, serialize, text_of
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import cdroms, controllers, disks, document, memory, nics
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.unplug import unplug

_LIVE = libvirt.VIR_DOMAIN_AFFECT_LIVE
_DESCRIPTION = libvirt.VIR_DOMAIN_METADATA_DESCRIPTION
_MEMORY_SIZE = ("memory", "size")
_BALLOON_SECONDS = 3.0
_UNPLUG_SECONDS = 10.0
_LOOK_SECONDS = 0.2
_TRAY_SECONDS = 5.0
_KIB = 1024


class LiveChanges:
    """One attempt on one running machine, whose definition was ``before`` until now. ``asked``:
    paths of the changes to carry out; ``waiting``: paths that were judged to need a restart, and
    are not tried.
    """

    def __init__(
        self,
        domain: DomainCalls,
        bindings: Bindings,
        wanted: Mapping[str, Any],
        before: Element,
        *,
        asked: Collection[Path],
        waiting: Collection[Path],
        deadline: Deadline,
    ) -> None:
        self._domain = domain
        self._bindings = bindings
        self._wanted = wanted
        self._before = before
        self._asked = asked
        self._waiting = waiting
        self._deadline = deadline
        self.pending: list[Path] = []
        self.notes: list[str] = []

    def apply(self, configured: Element, live: Element, fields: Collection[str]) -> None:
        """Carry over what was asked for in the top-level ``fields``; what this update leaves
        waiting is collected in ``pending``.

        Raises Terminal where a device cannot be plugged in.
        """
        differing = document.running_differences(configured, live, self._bindings, self._wanted)
        earlier = document.running_differences(self._before, live, self._bindings, self._wanted)
        done: set[tuple[str, str]] = set()
        # What is not in force is plugged in last: it may take the place of what is unplugged.
        for path in sorted(differing, key=lambda path: differing[path] is None):
            if path[0] not in fields:
                continue
            if not self._is_tried(path):
                # Beside what was asked for, what follows from it.
                if _under_any(path, self._waiting) or path not in earlier:
                    self.pending.append(path)
            elif path[0] in ("disks", "nics", "cdroms") and len(path) > 1:
                device = (path[0], path[1])
                if device not in done:
                    done.add(device)
                    self._device(device, configured, live)
            elif path == ("description",):
                self._set_description(configured)
            elif path == ("cpu", "count"):
                self._set_vcpus(configured)
            elif path == ("cloudInit",):
                self._exchange_seed(configured, live)
            elif path != _MEMORY_SIZE:
                self.pending.append(path)
        if self._is_tried(_MEMORY_SIZE):
            # Whether it differs or not: a guest without a balloon driver always has all of it.
            self._set_memory(configured, live)

    def _set_description(self, configured: Element) -> None:
        text = text_of(configured, "description")
        self._domain.call(
            "describe", lambda domain: domain.setMetadata(_DESCRIPTION, text, None, None, _LIVE)
        )

    def _is_tried(self, path: Path) -> bool:
        return _under_any(path, self._asked) and not _under_any(path, self._waiting)

    # --- processors and memory ---

    def _set_vcpus(self, configured: Element) -> None:
        count = document.read(configured, self._bindings, self._wanted)["cpu"]["count"]
        try:
            self._domain.call("set the vCPUs of", lambda domain: domain.setVcpusFlags(count, _LIVE))
        except ProviderError as problem:
            # The guest was asked to let go of some, and may still do so.
            unanswered = code_of(problem) == libvirt.VIR_ERR_OPERATION_TIMEOUT
            if unanswered and self._comes_to(self._vcpus, count, _UNPLUG_SECONDS):
                return
            if not unanswered and not isinstance(problem, Terminal):
                raise
            self._wait_for_restart(("cpu", "count"), problem)

    def _vcpus(self) -> int:
        """How many processors the guest has now."""
        return int(self._domain.read("read the vCPUs of", lambda domain: domain.vcpusFlags(_LIVE)))

    def _comes_to(self, read: Callable[[], int], wanted: int, seconds: float) -> bool:
        """Whether something reaches a value within so many seconds, and before the deadline."""
        clock = self._deadline.clock
        end = min(self._deadline.at, clock.monotonic() + seconds)
        while read() != wanted:
            if clock.monotonic() > end:
                return False
            time.sleep(_LOOK_SECONDS)
        return True

    def _set_memory(self, configured: Element, live: Element) -> None:
        size, most = memory.read(configured)["size"], memory.read(live)["max"]
        if memory.read(live)["size"] == size:
            return
        if size > most:
            self.pending.append(_MEMORY_SIZE)
            return
        self._domain.call(
            "set the memory of",
            lambda domain: domain.setMemoryFlags(size // _KIB, _LIVE),
        )
        if self._comes_to(self._balloon, size, _BALLOON_SECONDS):
            return
        self.notes.append(
            "the guest has not moved its memory balloon yet; without a balloon driver it keeps "
            "the memory that it has"
        )
        if self._balloon() != most:
            self.pending.append(_MEMORY_SIZE)

    def _balloon(self) -> int:
        """Bytes that the guest has now."""
        return int(self._domain.read("read the memory of", lambda d: d.info()[2])) * _KIB

    # --- devices ---

    def _device(self, device: tuple[str, str], configured: Element, live: Element) -> None:
        kind, name = device
        wanted, present = self._find(kind, configured).get(name), self._find(kind, live).get(name)
        if kind == "cdroms":
            self._drive(name, wanted, present)
        elif present is None:
            assert wanted is not None
            self._plug(kind, wanted, live)
        elif wanted is None:
            if not unplug(self._domain, present, self._deadline):
                self.pending.append(device)
                self.notes.append(f"the guest has not let go of {kind}[{name}] yet")
        elif kind == "nics":
            self._update_nic(name, wanted, present)
        else:
            self.pending.extend(self._differing(kind, name, wanted, present))

    def _find(self, kind: str, domain: Element) -> dict[str, Element]:
        if kind == "disks":
            return disks.find(domain, self._bindings)
        if kind == "cdroms":
            return cdroms.find(domain)
        return nics.find(domain, self._bindings, self._wanted.get("nics", {}))

    def _differing(self, kind: str, name: str, wanted: Element, present: Element) -> Sequence[Path]:
        """The fields of a device in which the two differ."""
        one, other = self._read(kind, name, wanted), self._read(kind, name, present)
        return [
            (kind, name, field)
            for field in sorted({*one, *other})
            if one.get(field) != other.get(field)
        ]

    def _read(self, kind: str, name: str, node: Element) -> Mapping[str, Any]:
        if kind == "disks":
            return disks.read_one(node)
        wanted = self._wanted.get("nics", {}).get(name, {})
        return nics.read_one(node, self._bindings, wanted)

    def _plug(self, kind: str, wanted: Element, live: Element) -> None:
        target = wanted.find("target")
        is_scsi = kind == "disks" and target is not None and target.get("bus") == "scsi"
        if is_scsi and not controllers.has_scsi(live):
            self._attach(controllers.scsi_controller())
            controllers.ensure_scsi(live)
        if kind == "disks" and disks.clashes(wanted, live):
            wanted = disks.fitted(wanted, self._domain.live() or live)
        self._attach(wanted)

    def _attach(self, device: Element) -> None:
        try:
            self._attach_at(device)
        except Terminal as problem:
            if device.find("address") is None or code_of(problem) != libvirt.VIR_ERR_XML_ERROR:
                raise
            # Where it will be after a restart something else is plugged in now.
            elsewhere = copied(device)
            remove_all(elsewhere, "address")
            self._attach_at(elsewhere)

    def _attach_at(self, device: Element) -> None:
        text = serialize(device)
        self._domain.call(
            f"plug a <{device.tag}> into", lambda domain: domain.attachDeviceFlags(text, _LIVE)
        )

    def _update_nic(self, name: str, wanted: Element, present: Element) -> None:
        differing = self._differing("nics", name, wanted, present)
        movable = {"network", "link"}
        if {wanted.get("type"), present.get("type")} & {nics.USER}:
            movable = {"link"}
        fields = {path[2] for path in differing}
        self.pending.extend(path for path in differing if path[2] not in movable)
        if not fields & movable:
            return
        node = copied(present)
        if "network" in fields & movable:
            remove_all(node, "source")
            node.append(copied(child(wanted, "source")))
        remove_all(node, "link")
        link = wanted.find("link")
        if link is not None:
            node.append(copied(link))
        self._update("change a network card of", node)

    def _drive(self, name: str, wanted: Element | None, present: Element | None) -> None:
        if wanted is None or present is None:
            self.pending.append(("cdroms", name))
            return
        for tag in ("target", "boot"):
            if _attributes(wanted, tag) != _attributes(present, tag):
                self.pending.append(("cdroms", name, "bus" if tag == "target" else "bootOrder"))
        if self._bindings.image_name(wanted) == self._bindings.image_name(present):
            return
        try:
            self._exchange("change the CD in a drive of", _with_medium(present, wanted))
        except Terminal as problem:
            self._wait_for_restart(("cdroms", name, "image"), problem)

    def _exchange_seed(self, configured: Element, live: Element) -> None:
        present = cdroms.find_seed(live)
        wanted = cdroms.find_seed(configured)
        if present is None or wanted is None:
            self.pending.append(("cloudInit",))
        if present is None or cdroms.seed_volume(configured) == cdroms.seed_volume(live):
            return
        if wanted is None:
            node = copied(present)
            disks.set_volume(node, None)
        else:
            node = _with_medium(present, wanted)
        force = libvirt.VIR_DOMAIN_DEVICE_MODIFY_FORCE
        try:
            # It is ours, and nobody reads it but cloud-init when the guest first starts.
            self._exchange("exchange the cloud-init medium of", node, force)
        except Terminal as problem:
            self._wait_for_restart(("cloudInit",), problem)

    def _exchange(self, verb: str, drive: Element, flags: int = 0) -> None:
        """Exchange a medium, again where a guest that looks for one closed the tray meanwhile."""
        clock = self._deadline.clock
        end = min(self._deadline.at, clock.monotonic() + _TRAY_SECONDS)
        while True:
            try:
                self._update(verb, drive, flags)
            except Terminal as problem:
                if code_of(problem) != libvirt.VIR_ERR_INTERNAL_ERROR or clock.monotonic() > end:
                    raise
                time.sleep(_LOOK_SECONDS)
            else:
                return

    def _update(self, verb: str, device: Element, flags: int = 0) -> None:
        text = serialize(device)
        self._domain.call(verb, lambda domain: domain.updateDeviceFlags(text, _LIVE | flags))

    def _wait_for_restart(self, path: Path, problem: ProviderError) -> None:
        """Note that a change has to wait, and what libvirt said of it."""
        self.pending.append(path)
        detail = str(problem)
        if isinstance(problem, Terminal | Retryable):
            detail = problem.diagnostic.detail
        self.notes.append(f"{'.'.join(path)} cannot be changed now: {detail}")


def _under_any(path: Path, others: Collection[Path]) -> bool:
    """Whether a path lies on the way to one of the others, or below it."""
    return any(path[: len(other)] == other or other[: len(path)] == path for other in others)


def _attributes(node: Element, tag: str) -> Mapping[str, str]:
    found = node.find(tag)
    if found is None:
        return {}
    return {name: value for name, value in found.attrib.items() if name in ("bus", "order")}


def _with_medium(drive: Element, other: Element) -> Element:
    """A drive with the medium that another one holds."""
    node = copied(drive)
    disks.set_volume(node, None)
    source, driver = other.find("source"), other.find("driver")
    if source is not None and driver is not None:
        node.set("type", other.get("type", "file"))
        node.append(copied(source))
        child(node, "driver").set("type", driver.get("type", "raw"))
    return node
