"""Bringing a machine to a power state, in good order where the guest plays along."""

from __future__ import annotations

import threading

import libvirt

from provisioner.core.clock import Deadline
from provisioner.core.units import format_duration
from provisioner.providers.api import ProviderError, Retryable
from provisioner_plugins._libvirt.errors import NOT_FOUND, code_of
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls
from provisioner_plugins.kvm.machine.observation import power_of

DEFAULT_SHUTDOWN_MS = 60_000
_LOOK_SECONDS = 0.2
_ASK_AGAIN_SECONDS = 10.0
_GONE = (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_CRASHED)


class Power:
    """Power operations on one domain. ``shutdown_ms``: how long a guest has to shut down."""

    def __init__(self, domain: DomainCalls, shutdown_ms: int = DEFAULT_SHUTDOWN_MS) -> None:
        self._domain = domain
        self._shutdown_ms = shutdown_ms

    def bring_to(self, wanted: str, deadline: Deadline, *, reset_nvram: bool = False) -> None:
        """Bring the machine to ``running``, ``stopped`` or ``suspended``; done already if it is
        there.
        """
        state = self._domain.state()
        present = power_of(state)
        if present == wanted:
            return
        if wanted == "stopped":
            self.stop(deadline)
            return
        if present == "stopped":
            self.start(suspended=wanted == "suspended", reset_nvram=reset_nvram)
            return
        if wanted == "suspended":
            self._domain.call("suspend", lambda domain: domain.suspend())
            return
        self._domain.require_free()
        if state == libvirt.VIR_DOMAIN_PMSUSPENDED:
            self._domain.call("wake", lambda domain: domain.pMWakeup())
        else:
            self._domain.call("resume", lambda domain: domain.resume())

    def start(self, *, suspended: bool = False, reset_nvram: bool = False) -> None:
        """Start a machine that does not run. Raises Terminal (PRV5380) if it stands by.

        ``reset_nvram``: with new firmware variables, because those of another firmware are there.
        """
        flags = libvirt.VIR_DOMAIN_START_PAUSED if suspended else 0
        if reset_nvram:
            flags |= libvirt.VIR_DOMAIN_START_RESET_NVRAM
        self._domain.start(flags)

    def stop(self, deadline: Deadline) -> bool:
        """Stop the machine: the guest is asked first, and switched off when its time is up.

        Returns whether the guest shut down by itself.
        """
        if self._shut_down(deadline):
            return True
        self._domain.report("the guest did not shut down in time and is switched off")
        self._switch_off()
        return False

    def _shut_down(self, deadline: Deadline) -> bool:
        state = self._domain.state()
        if state in _GONE:
            return True
        if power_of(state) != "running" or self._shutdown_ms == 0:
            # A halted guest cannot answer.
            return False
        clock = deadline.clock
        end = min(clock.monotonic() + self._shutdown_ms / 1000, deadline.at)
        self._domain.report(
            f"waiting up to {format_duration(self._shutdown_ms)} for the guest to shut down"
        )
        pause = threading.Event()
        asked = float("-inf")
        while clock.monotonic() < end:
            if clock.monotonic() - asked >= _ASK_AGAIN_SECONDS:
                # A guest that is only just starting does not hear the first time.
                asked = clock.monotonic()
                self._ask()
            if self._domain.state() in _GONE:
                return True
            pause.wait(_LOOK_SECONDS)
        return self._domain.state() in _GONE

    def _ask(self) -> None:
        try:
            self._domain.call("shut down", lambda domain: domain.shutdown())
        except ProviderError as problem:
            if not self._is_gone(problem):
                raise

    def _switch_off(self) -> None:
        try:
            self._domain.call("switch off", lambda domain: domain.destroy())
        except ProviderError as problem:
            if not self._is_gone(problem):
                raise

    def _is_gone(self, problem: ProviderError) -> bool:
        """Whether a call failed because the machine stopped in the meantime."""
        if code_of(problem) in NOT_FOUND:
            return True
        return not isinstance(problem, Retryable) and self._domain.state() in _GONE
