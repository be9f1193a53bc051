"""Why copies of another tool cannot be used, in words. Pure. Called by :mod:`handler`."""

from __future__ import annotations

from datetime import datetime

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, error
from provisioner.providers.api import Resource
from provisioner.providers.capabilities import Replica
from provisioner_plugins.vmware.replication.copies import Copy, Found

_TOOL = "vSphere Replication or the array"


def not_copied_here(replica: Replica) -> Diagnostic:
    """Another way than ``external`` was asked for."""
    return error(
        "PRV5345",
        f"{replica.machine.address}: vSphere is not replicated in the way {replica.way}",
        detail="vSphere lets its own services and arrays copy disks between endpoints, and nobody "
        "else.",
        hint="Write replication.type: external into its ProtectionGroup, and have vSphere "
        "Replication or an array copy the machine to a datastore of the other site.",
        address=str(replica.machine.address),
    )


def one_vcenter(replica: Replica) -> Diagnostic:
    """Both sites are the same vCenter, which knows a machine by its identity once."""
    return error(
        "PRV5345",
        f"{replica.machine.address}: both sites are one vCenter",
        detail="The machine has the same identity at both, and a vCenter has that once. It would "
        "fail together with both sites, too.",
        hint="Give the other site a vCenter of its own, or let vSphere HA restart the machine.",
        address=str(replica.machine.address),
    )


def no_vsphere(replica: Replica) -> Diagnostic:
    """The machine runs on no vSphere endpoint."""
    return error(
        "PRV5345",
        f"{replica.machine.address} does not run on vSphere",
        detail="Its disks there are no files that vSphere could use.",
        hint="Map its host to one of the same provider.",
        address=str(replica.machine.address),
    )


def behind(replica: Replica, copy: Copy, written: datetime) -> Diagnostic:
    """The machine is off, and what it wrote last has not arrived."""
    return error(
        "PRV5346",
        f"{replica.machine.address}: {copy.text} does not have what the machine wrote last",
        detail=f"The machine is off, and wrote until {written:%Y-%m-%d %H:%M:%S} UTC; the copy is "
        f"of {copy.taken:%Y-%m-%d %H:%M:%S} UTC.",
        hint=f"Have {_TOOL} synchronise now: it is waited for.",
        address=str(replica.machine.address),
    )


def changed(replica: Replica, copy: Copy) -> Diagnostic:
    """The copy was written to while a drill's disk was made of it."""
    return error(
        "PRV5346",
        f"{replica.machine.address}: {copy.text} changed while it was copied for the drill",
        detail="Half of it would be of one moment, and half of another.",
        hint=f"It is tried again. If that goes on: have {_TOOL} give a copy that stands still, as "
        "for a test of its own.",
        address=str(replica.machine.address),
    )


def no_copy(replica: Replica, found: Found) -> Diagnostic:
    """A disk has no copy, or a datastore cannot be searched."""
    missing = sorted(str(address) for address, copy in found.copies.items() if copy is None)
    detail = found.problem and f"{found.problem}."
    if not detail and missing:
        detail = (
            f"Of {', '.join(missing)} nothing is on the datastore of its pool. A copy has the path "
            "there that the disk has where the machine runs."
        )
    return error(
        "PRV5348",
        f"{replica.machine.address}: there is no copy of its disks at the receiving site",
        detail=detail or "None of its disks is replicated.",
        hint=f"Have {_TOOL} copy them there, and show the datastore to the hosts.",
        address=str(replica.machine.address),
    )


def no_point(replica: Replica, wanted: str, only: str) -> Diagnostic:
    """Another recovery point was asked for than there is."""
    return error(
        "PRV5348",
        f"{replica.machine.address}: there is no recovery point {wanted}",
        detail=f"Of what another tool copies there is one, called {only}.",
        hint="Leave the point out. An earlier one is the tool's to bring back.",
        address=str(replica.machine.address),
    )


def layered(replica: Replica, copy: Copy) -> Diagnostic:
    """Snapshots lie over the disk: it does not have what was written since."""
    return error(
        "PRV5348",
        f"{replica.machine.address}: snapshots lie over {copy.text}",
        detail=f"What was written since they were taken is in {', '.join(copy.layers)}, not in the "
        "disk.",
        hint="Remove the machine's snapshots where it runs, and have the disk copied again.",
        address=str(replica.machine.address),
    )


def no_source(replica: Replica, disk: Address) -> Diagnostic:
    """Where the disk of a machine lies is not known."""
    return error(
        "PRV5348",
        f"{replica.machine.address}: {disk} is not known where the machine runs",
        hint="Apply the stack there, and compile the plan again.",
        address=str(replica.machine.address),
    )


def disk_exists(disk: Resource, copy: Copy) -> Diagnostic:
    """The place of the Disk is taken."""
    return error(
        "PRV5349",
        f"{disk.address} is at the receiving site already, beside its copy {copy.text}",
        detail="Which of the two has the newer data cannot be told.",
        hint="Remove the one that is not needed; the Disk there may be of an earlier failover.",
        address=str(disk.address),
    )
