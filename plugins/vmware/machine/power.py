"""Bringing machines to a power state."""

from __future__ import annotations

from typing import Any, NamedTuple

from pyVmomi import vim

from provisioner.core.clock import Deadline
from provisioner.core.diagnostics import error
from provisioner.providers.api import ProviderError, Resource, Retryable, Terminal
from provisioner_plugins.vmware.machine import standby
from provisioner_plugins.vmware.machine.reading import POWER
from provisioner_plugins.vmware.ownership import gone
from provisioner_plugins.vmware.site import Site
from provisioner_plugins.vmware.wire.errors import STATE
from provisioner_plugins.vmware.wire.sweep import look

DEFAULT_SHUTDOWN_MS = 60_000
_PAUSE_SECONDS = 0.5


class Now(NamedTuple):
    """How a machine is: ``running``, ``stopped`` or ``suspended``, and whether its guest has VMware
    Tools that run.
    """

    power: str
    tools: bool


NEW = Now("stopped", tools=False)
"""How a machine is that was made just now."""


def find(site: Site, uuid: str) -> Any:
    """The machine with this instance UUID, as a managed object; None if there is none."""
    return site.client.read(
        f"find machine {uuid}",
        lambda content: content.searchIndex.FindByUuid(uuid=uuid, vmSearch=True, instanceUuid=True),
    )


def bring_to(site: Site, resource: Resource, state: str, deadline: Deadline) -> None:
    """Bring a recorded machine to ``running``, ``stopped`` or ``suspended``."""
    machine = find(site, resource.external_id or str(resource.uid))
    if machine is None:
        raise Terminal(gone(resource))
    Power(site, resource, machine).bring_to(state, deadline)


class Power:
    """The power of one machine. ``machine`` is a managed object."""

    def __init__(self, site: Site, resource: Resource, machine: Any) -> None:
        self._site = site
        self._resource = resource
        self._machine = machine
        self._patience = int(resource.spec.get("shutdownTimeout", DEFAULT_SHUTDOWN_MS)) / 1000

    def bring_to(self, state: str, deadline: Deadline, known: Now | None = None) -> None:
        """Do what leads there; nothing, if it is there already. ``known``: how it is now, where
        that need not be read. Raises Terminal (PRV5343) if it stands by and would be started.
        """
        now = known or self._look()
        if now.power == state:
            return
        try:
            self._go(state, now, deadline)
        except Terminal as problem:
            # Somebody else may have brought it there meanwhile.
            if problem.diagnostic.code != STATE.code or self._look().power != state:
                raise

    def _go(self, state: str, known: Now, deadline: Deadline) -> None:
        now, tools = known
        if state == "running":
            self._start(known, deadline)
        elif state == "suspended":
            if now == "stopped":
                self._start(known, deadline)
            self._task("suspend", lambda _: self._machine.SuspendVM_Task(), deadline)
        else:
            self.stop(now, deadline, tools=tools)

    def stop(self, now: str, deadline: Deadline, *, tools: bool) -> None:
        """Shut the guest down if it has VMware Tools; switch the machine off if it has none, or
        does not answer in time.
        """
        if now == "running" and tools and self._patience > 0 and self._shut_down(deadline):
            return
        self._task("switch off", lambda _: self._machine.PowerOffVM_Task(), deadline)

    def _start(self, known: Now, deadline: Deadline) -> None:
        """The one place that starts a machine: its mark is read right before, unless it was made
        just now, and has none.
        """
        mark = None if known is NEW else self._stands_by()
        if mark is not None:
            raise Terminal(standby.refusal(self._resource.name, self._resource.address, mark))
        self._task("start", lambda _: self._machine.PowerOnVM_Task(None), deadline)

    def _shut_down(self, deadline: Deadline) -> bool:
        """Ask the guest, and wait; whether it is off."""
        try:
            self._site.client.call(
                f"shut down the guest of machine {self._resource.name}",
                lambda _: self._machine.ShutdownGuest(),
            )
        except Retryable:
            raise
        except ProviderError:
            return False  # its tools have gone meanwhile
        clock = self._site.client.context.clock
        end = min(clock.monotonic() + self._patience, clock.monotonic() + deadline.remaining())
        with_time = Deadline(end, clock)
        while not with_time.passed:
            if self._look()[0] == "stopped":
                return True
            self._site.sleep(min(_PAUSE_SECONDS, with_time.remaining()))
        return False

    def _look(self) -> Now:
        wanted = {vim.VirtualMachine: ("runtime.powerState", "guest.toolsRunningStatus")}
        what = f"read the power of machine {self._resource.name}"
        rows = look(self._site.client, what, (self._machine,), wanted)
        if not rows:
            raise Terminal(gone(self._resource))
        tools = str(rows[0].get("guest.toolsRunningStatus", "")) == "guestToolsRunning"
        return Now(POWER[str(rows[0].get("runtime.powerState"))], tools)

    def _stands_by(self) -> standby.StandbyMark | None:
        what = f"look whether machine {self._resource.name} stands by"
        wanted = {vim.VirtualMachine: (standby.PROPERTY,)}
        rows = look(self._site.client, what, (self._machine,), wanted)
        found = rows[0].get(standby.PROPERTY) if rows else None
        return None if found is None else standby.parse(str(found.value))

    def _task(self, verb: str, start: Any, deadline: Deadline) -> None:
        if deadline.passed:
            raise Retryable(
                error("PRV5332", f"machine {self._resource.name}: there is no time left to {verb}")
            )
        self._site.run(f"{verb} machine {self._resource.name}", start, deadline)
