"""From a network as the inventory has it to what the contract calls observed. Called by the handler
of Network; asks nothing but the inventory.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from provisioner.core.values import Json, Path, digest
from provisioner.providers.api import Present, Resource
from provisioner_plugins._libvirt import fragment_record, native, stamp
from provisioner_plugins._libvirt.edits import running_differences
from provisioner_plugins._libvirt.inventory import Inventory
from provisioner_plugins._libvirt.network import STOPPED, USER
from provisioner_plugins._libvirt.network_xml import NATIVE, read
from provisioner_plugins._libvirt.records import NetworkRecord
from provisioner_plugins._libvirt.replug import attached
from provisioner_plugins._libvirt.xml import Element, attribute

USER_ID = "user:"
"""What the external ids of networks of mode user begin with."""
_SERVICES = frozenset({"dhcp", "dns"})


def present(
    inventory: Inventory,
    record: NetworkRecord,
    wanted: Mapping[str, Any],
    lineage: str | None = None,
) -> Present:
    """A network as observed. ``lineage`` is the stack that asks."""
    mark = stamp.read(record.configured)
    active = record.live is not None
    spec = {**read(record.configured), "autostart": record.autostart, "active": active}
    spec |= mark.fields() if mark is not None else {"labels": {}}
    facts: dict[str, Json] = {"active": active}
    running: dict[Path, Json] = {}
    if record.live is not None:
        in_force = read(record.live)
        running = differing(record.configured, record.live)
        facts |= {service: in_force[service]["enabled"] for service in _SERVICES & in_force.keys()}
        facts["guests"] = list(attached(inventory.running(), record.name))
    owner = mark.stamp if mark is not None else None
    # Of what is on the host alone, whatever is wanted.
    fingerprint = digest(
        {
            "uuid": str(record.uuid),
            "spec": spec,
            "running": [[*path, value] for path, value in sorted(running.items())],
            "defined": record.persistent,
            "owner": owner.as_json() if owner is not None else None,
        }
    )
    if wanted.get("mode") == NATIVE:
        spec["mode"] = NATIVE
    is_ours = owner is not None and owner.lineage == lineage
    if active and is_ours and not record.persistent and "mode" in spec:
        # It has no definition, which has to be a difference in something that everybody sets. One
        # that is not ours is left as it is.
        running["mode",] = spec.pop("mode")
    elif not active and "mode" in spec and "active" not in wanted:
        running["mode",] = STOPPED
    return Present(
        external_id=str(record.uuid),
        owner=owner,
        spec=spec,
        fingerprint=fingerprint,
        running=running,
        outputs=bridge_of(record.configured),
        facts=facts,
        name=record.name,
    )


def remarks_on(observed: Present, record: NetworkRecord) -> tuple[str, ...]:
    """What is true of it now, and not of what a manifest says."""
    if not record.persistent:
        return ("it has no definition and goes when it is stopped; taken over, it gets one",)
    waiting = ", ".join(sorted(".".join(path) for path in observed.running))
    return (f"until it is restarted, another value is in force: {waiting}",) if waiting else ()


def differing(configured: Element, live: Element) -> dict[Path, Json]:
    """What is in force where other things are configured, by path."""
    found = running_differences(read(configured), read(live))
    recorded = fragment_record.read(configured)
    if stamp.read(live) is None:
        # It was taken over while it ran: what it has of them it has by itself.
        in_force = [text for text in recorded if native.is_there(live, text)]
    else:
        in_force = fragment_record.read(live)
    if recorded != in_force:
        found["native", native.PROVIDER, "network"] = in_force
    return found


def user_present(target: Resource) -> Present:
    """A recorded network of mode user: nothing on the host could contradict what is wanted."""
    spec = {**target.spec, "mode": USER}
    identity = {"user": str(target.uid)}
    return Present(f"{USER_ID}{target.uid}", target.stamp, spec, digest(identity))


def bridge_of(document: Element) -> dict[str, Json]:
    """The outputs of a network: the name of its bridge, where it has one."""
    bridge = attribute(document, "bridge", "name")
    return {} if bridge is None else {"bridge": bridge}
