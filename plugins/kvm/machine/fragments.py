"""Which fragments of a machine do not fit its fields: those that complete a device which it does
not have.

Called by the rules, as far as it can be told without a host, and by the handler before it writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Terminal
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.xml import Element, attribute, serialize
from provisioner_plugins.kvm.domain import native

_SHOWN = 160
"""Characters of a fragment that a message quotes."""


def cards_missing(domain: Element, texts: Sequence[str]) -> Iterator[Diagnostic]:
    """The fragments that complete a card that is none of the domain's, nor of another fragment.

    Cards are known by what manifests say of them, so that no host has to be asked; disks are known
    by the names that they have there.
    """
    for number, device in native.unattached(domain, texts):
        if device.tag == "interface":
            yield _without_device(number, device)


def devices_missing(domain: Element) -> Iterator[Diagnostic]:
    """The recorded fragments of a definition whose disk, drive or card is not in it."""
    for number, device in native.unattached(domain, native.recorded(domain)):
        yield _without_device(number, device)


def require_devices(domain: Element) -> None:
    """Raise Terminal for the first fragment whose device is not in a definition that is about to
    be written.
    """
    for problem in devices_missing(domain):
        raise Terminal(problem)


def _without_device(number: int, device: Element) -> Diagnostic:
    text = serialize(device)
    shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."
    return error(
        "PRV2501",
        f"fragment {number} of native.{PROVIDER}.{native.SECTION} completes a device that the "
        "machine does not have",
        detail=f"There is no {_name(device)} to complete: {shown}.",
        hint="If the device is to go, remove the fragment, too. If it stays, write into the "
        "fragment what the device is known by now. A fragment that is to bring in a device of its "
        "own says its type.",
        path=("native", PROVIDER, native.SECTION, str(number - 1)),
    )


def _name(device: Element) -> str:
    alias = attribute(device, "alias", "name")
    if device.tag == "interface":
        what, by, name = "network card", "the MAC address", attribute(device, "mac", "address")
    else:
        what, by, name = "disk or drive", "the device name", attribute(device, "target", "dev")
    known = [f"{by} {name}"] if name is not None else []
    known += [f"the alias {alias}"] if alias is not None else []
    return f"{what} with {' or '.join(known)}" if known else f"{what} that it names"
