"""From a domain as the inventory has it to what the contract calls observed. Pure but for libvirt's
constants.

Facts, for :mod:`~provisioner_plugins.kvm.machine.impact`; those of a machine that does not run are
left out:

=====================  =======================================================================
``accelerator``        ``kvm`` or ``tcg``
``maxVcpus``           vCPUs up to which the running machine can be given more
``fixedVcpus``         vCPUs that cannot be taken from the running machine
``maxMemory``          bytes up to which its balloon can be let out
``balloon``            whether it has a balloon
``freeSlots``          PCI devices that can be plugged in; absent if that cannot be told
``scsi``               whether it has a SCSI controller
``seed``               whether it has the drive for cloud-init data
``snapshots``          whether it has snapshots
``withoutDefinition``  bytes of memory of one of ours that runs and has no definition
``saved``              whether it does not run, and goes on from a saved state
``owed``               what one of ours is to be brought back to: it does not run because it was
                       switched off for a change
``seedIsGone``         the volume of its seed is not there any more; of any machine
=====================  =======================================================================
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import libvirt

from provisioner.core.values import Json, Path, digest
from provisioner.providers.api import Present
from provisioner_plugins._libvirt import stamp
from provisioner_plugins._libvirt.native import PROVIDER
from provisioner_plugins._libvirt.records import DomainRecord
from provisioner_plugins._libvirt.xml import Element, serialize
from provisioner_plugins.kvm.bindings import Bindings
from provisioner_plugins.kvm.domain import (
    cdroms,
    controllers,
    document,
    memory,
    native,
    nics,
    processor,
    standby,
)
from provisioner_plugins.kvm.domain.running import as_definition
from provisioner_plugins.kvm.domain.tree import at

_NOTHING_BOUND = Bindings({})
NOT_IN_FORCE = ("memory", "size")
"""The field that is told to be without a value in force of a machine that is still to be brought
back: one that every manifest sets, or nobody would plan it.
"""

_POWER = {
    libvirt.VIR_DOMAIN_RUNNING: "running",
    libvirt.VIR_DOMAIN_BLOCKED: "running",
    libvirt.VIR_DOMAIN_SHUTDOWN: "running",
    libvirt.VIR_DOMAIN_PAUSED: "suspended",
    libvirt.VIR_DOMAIN_PMSUSPENDED: "suspended",
}


def power_of(state: int) -> str:
    """The power state that a virDomainState is."""
    return _POWER.get(state, "stopped")


def definition_of(record: DomainRecord) -> Element:
    """What the next start of a domain takes; of one that has no definition, what runs."""
    return record.configured if record.persistent else as_definition(record.configured)


def present(
    record: DomainRecord,
    bindings: Bindings,
    wanted: Mapping[str, Any],
    addresses: Sequence[str] = (),
    *,
    snapshots: bool = False,
    seed_is_gone: bool = False,
    saved: Element | None = None,
    lineage: str | None = None,
) -> Present:
    """A domain as observed. ``wanted`` is the desired spec, ``addresses`` are the leases known.
    ``seed_is_gone``: the volume with its cloud-init data is not in its pool any more. ``saved`` is
    the definition with which it goes on from a saved state. ``lineage`` is the stack that asks:
    what another one has recorded on the domain is not for it.
    """
    configured = definition_of(record)
    # Its next start takes a saved state, whatever is configured.
    live = (record.live or saved) if record.persistent else configured
    mark = stamp.read(configured)
    fingerprint = _fingerprint(
        record, configured, live, seed_is_gone=seed_is_gone, saved=saved is not None
    )
    if mark is None or mark.stamp.lineage != lineage:
        for definition in (configured, live):
            if definition is not None:
                native.forget(definition)
    spec = document.read(configured, bindings, wanted)
    spec["power"] = power_of(record.state)
    spec["autostart"] = record.autostart
    spec |= mark.fields() if mark is not None else {"labels": {}}
    facts = _facts(configured, record.live, snapshots=snapshots)
    running: dict[Path, Json] = {}
    if live is not None:
        running = document.running_differences(configured, live, bindings, wanted)
    if not record.persistent and mark is not None and mark.stamp.lineage == lineage:
        # It has no definition, which has to be a difference in something that everybody sets. One
        # that is not ours is left as it is.
        facts["withoutDefinition"] = spec["memory"].pop("size")
    if saved is not None:
        facts["saved"] = True
        if not native.recorded(saved):
            # What was written on the machine since is not on a saved state.
            running.pop(("native", PROVIDER, native.SECTION), None)
    if (
        live is None
        and mark is not None
        and mark.owed is not None
        and mark.stamp.lineage == lineage
    ):
        # That it does not run is no difference where the author says nothing of its power.
        facts["owed"] = mark.owed
        running[NOT_IN_FORCE] = None
    if seed_is_gone:
        running["cloudInit",] = None
        facts["seedIsGone"] = True
    owner = mark.stamp if mark is not None else None
    stands_by = standby.read(configured) if owner is not None and owner.lineage == lineage else None
    withheld = standby.withheld(stands_by, runs=record.live_text is not None)
    return Present(
        external_id=str(record.uuid),
        owner=owner,
        spec=spec,
        fingerprint=fingerprint,
        running=running,
        outputs=outputs(configured, str(record.uuid), addresses, bindings, wanted),
        name=record.name,
        facts=facts,
        goes_along=_goes_along(snapshots=snapshots, saved=saved is not None),
        holds_data=saved is not None,
        withheld=withheld,
    )


def _goes_along(*, snapshots: bool, saved: bool) -> tuple[str, ...]:
    found = ["its saved state (the guest's memory)"] if saved else []
    return (*found, *(["the records of its snapshots"] if snapshots else []))


def _fingerprint(
    record: DomainRecord,
    configured: Element,
    live: Element | None,
    *,
    seed_is_gone: bool,
    saved: bool,
) -> str:
    """Changes with the definition, whatever in it somebody changed: an update edits all of it.

    What is in force is compared in libvirt's own names, which the stack does not change.
    """
    differing: dict[Path, Json] = {}
    text = record.configured_text if record.persistent else serialize(configured)
    if live is not None:
        differing = document.running_differences(configured, live, _NOTHING_BOUND, {})
        # The guest moves its balloon when it likes.
        differing.pop(("memory", "size"), None)
    return digest(
        {
            "name": record.name,
            "definition": hashlib.sha256(text.encode()).hexdigest(),
            "power": power_of(record.state),
            "autostart": record.autostart,
            "persistent": record.persistent,
            "seedIsGone": seed_is_gone,
            **({"saved": True} if saved else {}),
            "running": [[*path, value] for path, value in sorted(differing.items())],
        }
    )


def outputs(
    domain: Element,
    uuid: str,
    addresses: Sequence[str],
    bindings: Bindings,
    wanted: Mapping[str, Any],
) -> dict[str, Json]:
    """What the host knows of a machine. ``wanted`` is the desired spec, by which cards that
    somebody else made get their names.
    """
    macs: dict[str, Any] = {}
    cards = wanted.get("nics", {})
    ignored = native.foreign_devices(domain, document.fragments(wanted))
    for name, node in nics.find(domain, bindings, cards, ignored).items():
        mac = nics.mac_of(node)
        if mac is not None and (nics.alias_name(node) is not None or name in cards):
            macs[name] = mac
    found: dict[str, Json] = {"uuid": uuid, "addresses": list(addresses), "mac": macs}
    if addresses:
        found["address"] = addresses[0]
    return found


def _facts(configured: Element, live: Element | None, *, snapshots: bool) -> dict[str, Json]:
    emulated = processor.is_emulated(configured)
    facts: dict[str, Json] = {
        "accelerator": "tcg" if emulated else "kvm",
        "snapshots": snapshots,
    }
    if live is None:
        return facts
    balloon = at(live, "devices", "memballoon")
    facts |= {
        "maxVcpus": processor.read(live, {})["max"],
        "fixedVcpus": processor.fixed(live),
        "maxMemory": memory.read(live)["max"],
        "balloon": balloon is not None and balloon.get("model") != "none",
        "scsi": controllers.has_scsi(live),
        "seed": cdroms.find_seed(live) is not None,
    }
    slots = controllers.free_slots(live)
    if slots is not None:
        facts["freeSlots"] = slots
    return facts
