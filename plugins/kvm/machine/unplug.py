"""Taking a device out of a running machine, which the guest has to allow."""

from __future__ import annotations

import contextlib
import threading
from typing import Any

import libvirt

from provisioner.core.clock import Deadline
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.errors import code_of
from provisioner_plugins._libvirt.events import attentive
from provisioner_plugins._libvirt.xml import Element, attribute, serialize
from provisioner_plugins.kvm.machine.domain_calls import DomainCalls

LONGEST_SECONDS = 15.0
"""A guest that does not let go of a device by then is not going to."""


def unplug(domain: DomainCalls, device: Element, deadline: Deadline) -> bool:
    """Ask the guest to let go of a device (an element of the live definition) and wait for it.

    Returns whether it is gone: a guest without an operating system, or one that uses the device,
    does not answer.
    """
    # Events come on the handle that asked for them.
    with domain.connection.kept():
        return _unplug(domain, device, deadline)


def _unplug(domain: DomainCalls, device: Element, deadline: Deadline) -> bool:
    alias = attribute(device, "alias", "name")
    answered = threading.Event()

    def removed(_connection: Any, _domain: Any, gone: str, _opaque: Any) -> None:
        if gone == alias:
            answered.set()

    def listen(handle: Any) -> tuple[Any, list[int]]:
        guest = handle.lookupByUUID(domain.uuid.bytes)
        events = (
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVAL_FAILED,
        )
        return handle, [
            handle.domainEventRegisterAny(guest, event, removed, None) for event in events
        ]

    handle, callbacks = domain.connection.call(f"listen to machine {domain.name}", listen)
    try:
        _ask(domain, device)
        seconds = min(LONGEST_SECONDS, deadline.remaining())
        if not _is_there(domain, alias):
            return True
        domain.report("waiting for the guest to let go of a device")
        with attentive():
            answered.wait(seconds)
        return not _is_there(domain, alias)
    finally:
        for callback in callbacks:
            # With a lost connection they are gone already.
            with contextlib.suppress(libvirt.libvirtError):
                handle.domainEventDeregisterAny(callback)


def _ask(domain: DomainCalls, device: Element) -> None:
    text = serialize(device)
    try:
        domain.call(
            f"unplug a <{device.tag}> from",
            lambda guest: guest.detachDeviceFlags(text, libvirt.VIR_DOMAIN_AFFECT_LIVE),
        )
    except Terminal as problem:
        # An earlier request is still with the guest, or it was granted just now.
        if code_of(problem) not in (
            libvirt.VIR_ERR_DEVICE_MISSING,
            libvirt.VIR_ERR_OPERATION_FAILED,
            libvirt.VIR_ERR_INTERNAL_ERROR,
        ):
            raise


def _is_there(domain: DomainCalls, alias: str | None) -> bool:
    live = domain.live()
    if live is None:
        return False
    return any(attribute(node, "alias", "name") == alias for node in live.findall("devices/*"))
