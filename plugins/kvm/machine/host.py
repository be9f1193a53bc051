"""What a host is: its architecture, its processor, and whether its KVM is any good."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass
from typing import Any

import libvirt

from provisioner.core.diagnostics import error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.connection import Connection
from provisioner_plugins._libvirt.xml import Element, element, parse, serialize, text_of

_SHORTEST_LIMIT = 0.5
_SLACK = 3
_LIMIT_ALONE = 5.0
"""Where there is no emulation to compare with."""
_LOOK_SECONDS = 0.01
_LONGEST_EMULATION = 20.0
_PROBE_MIB = 16


@dataclass(frozen=True, slots=True)
class HostFacts:
    """From the capabilities document. ``offers_kvm`` says only that /dev/kvm can be opened."""

    arch: str
    vendor: str | None
    offers_kvm: bool
    machines: frozenset[str]
    """The machine types for ``arch``, by all their names."""
    emulators: frozenset[str] = frozenset()
    """Paths of the programs that run guests."""

    @classmethod
    def read(cls, capabilities: Element) -> HostFacts:
        """Source: https://libvirt.org/formatcaps.html"""
        arch = text_of(capabilities, "host/cpu/arch") or "x86_64"
        guests = [node for node in capabilities.findall("guest/arch") if node.get("name") == arch]
        offered = {domain.get("type") for guest in guests for domain in guest.findall("domain")}
        machines = {
            name
            for guest in guests
            for node in guest.iter("machine")
            for name in (node.text, node.get("canonical"))
            if name
        }
        vendor = text_of(capabilities, "host/cpu/vendor")
        emulators = {
            path for node in capabilities.iter("emulator") if (path := (node.text or "").strip())
        }
        return cls(arch, vendor, "kvm" in offered, frozenset(machines), frozenset(emulators))


class Host:
    """The host of one session. What is found out is kept as long as the session."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()
        self._facts: HostFacts | None = None
        self._emulated: bool | None = None

    def facts(self) -> HostFacts:
        """What the daemon says of the host."""
        with self._lock:
            if self._facts is None:
                text = self._connection.read(
                    "read the capabilities of the host", lambda handle: handle.getCapabilities()
                )
                self._facts = HostFacts.read(parse(text))
            return self._facts

    def processor_models(self) -> list[str]:
        """The processor models that libvirt knows for the host's architecture."""
        arch = self.facts().arch
        found: list[str] = self._connection.read(
            "read the processor models of the host", lambda handle: handle.getCPUModelNames(arch)
        )
        return found

    def nested_feature(self, *, emulated: bool) -> str:
        """The processor feature with which guests run virtual machines. QEMU emulates AMD's."""
        return "vmx" if not emulated and self.facts().vendor == "Intel" else "svm"

    def emulated(self) -> bool:
        """Whether new machines are emulated (TCG) instead of run by the processor (KVM), as the
        Host's ``accelerator`` says.

        For ``auto`` KVM is proved the first time. Raises Terminal (PRV5202) if KVM is demanded and
        not there.
        """
        setting = self._connection.endpoint.settings.get("accelerator", "auto")
        if setting == "tcg":
            return True
        offered = self.facts().offers_kvm
        if setting == "kvm":
            if not offered:
                raise Terminal(_no_kvm(self._connection.endpoint.name))
            return False
        with self._lock:
            if self._emulated is None:
                self._emulated = not offered or not self._kvm_is_usable()
            return self._emulated

    def _kvm_is_usable(self) -> bool:
        """Whether a guest gets on with KVM at least about as fast as with software emulation.

        A host can offer KVM that is unusable: nested without hardware support a guest crawls, or
        hangs. So a tiny guest, with a BIOS and nothing to boot, is timed with both until its
        BIOS gives up.
        """
        assert self._facts is not None
        if self._facts.arch != "x86_64":
            return True
        self._connection.report("trying whether its KVM is usable")
        emulated = self._seconds_to_give_up("qemu", _LONGEST_EMULATION)
        limit = _LIMIT_ALONE
        if emulated is not None:
            limit = max(_SHORTEST_LIMIT, _SLACK * emulated)
        accelerated = self._seconds_to_give_up("kvm", limit)
        if accelerated is not None:
            return True
        self._connection.report(
            "KVM is offered but unusable here (a guest got nowhere in "
            f"{limit:.1f} s): machines are emulated. To rule it out: accelerator: tcg"
        )
        return False

    def _seconds_to_give_up(self, kind: str, limit: float) -> float | None:
        """How long a BIOS takes to find nothing to boot; None if longer than ``limit``, or if the
        guest does not start at all.
        """

        def run(handle: Any) -> float | None:
            document = serialize(_probe(kind))
            domain = handle.createXML(document, libvirt.VIR_DOMAIN_START_AUTODESTROY)
            started = time.monotonic()
            try:
                while time.monotonic() - started < limit:
                    if domain.state()[0] != libvirt.VIR_DOMAIN_RUNNING:
                        return time.monotonic() - started
                    time.sleep(_LOOK_SECONDS)
                return None
            except libvirt.libvirtError as problem:
                if problem.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                    return time.monotonic() - started
                raise
            finally:
                _end(domain)

        try:
            return self._connection.call("try a guest on the host", run)
        except Terminal:
            return None


def _probe(kind: str) -> Element:
    """A guest whose BIOS resets it when nothing can be booted, which ends it."""
    return element(
        "domain",
        {"type": kind},
        element("name", f"provisioner-probe-{uuid.uuid4().hex[:12]}"),
        element("memory", {"unit": "MiB"}, str(_PROBE_MIB)),
        element("vcpu", "1"),
        element(
            "os",
            element("type", {"arch": "x86_64", "machine": "pc"}, "hvm"),
            element("boot", {"dev": "hd"}),
            element("bios", {"rebootTimeout": 0}),
        ),
        element("features", element("acpi")),
        element("on_reboot", "destroy"),
        element(
            "devices",
            element("controller", {"type": "usb", "model": "none"}),
            element("memballoon", {"model": "none"}),
        ),
    )


def _end(domain: Any) -> None:
    try:
        domain.destroy()
    except libvirt.libvirtError as problem:
        gone = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_OPERATION_INVALID)
        if problem.get_error_code() not in gone:
            raise


def _no_kvm(host: str) -> Any:
    return error(
        "PRV5202",
        f"Host/{host} has no KVM",
        detail="Its accelerator is kvm, but the daemon offers software emulation only: "
        "/dev/kvm is missing, or QEMU's user may not open it.",
        hint="Mend /dev/kvm on the host, or set the Host's accelerator to auto or tcg.",
    )
