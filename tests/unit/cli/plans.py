"""Plans made by hand: everything that a rendering has to show, with no endpoint and no state."""

from dataclasses import replace
from typing import Any

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import warning
from provisioner.engine.plan import Known, Plan, RestartPending, Step
from provisioner.providers.api import Change

GIB = 1024**3


def known(address: str, spec: dict[str, Any] | None = None) -> Known:
    parsed = Address.parse(address)
    return Known(parsed, "lab", parsed.name, "3b241101-e2bb-4255-8caf-4136c566a962", 0, spec or {})


def step(address: str, action: Action, spec: dict[str, Any] | None = None, **rest: Any) -> Step:
    return Step(address, action, known(address, spec), "absent", **rest)


def plan(*steps: Step, **rest: Any) -> Plan:
    values: dict[str, Any] = {
        "stack": "shop",
        "environment": None,
        "lineage": "c0ffee00-0000-4000-8000-000000000000",
        "serial": 12,
        "destroy": False,
        "created_at": "2025-03-01T12:00:00+00:00",
        "tool_version": "0.1.0",
        "providers": {"kvm": "0.1.0"},
        "schemas": "0" * 64,
        "max_impact": Impact.LIVE,
        "unchanged": 12,
        "selection": {"target": (), "exclude": (), "adopt": ()},
        "id": "3f2a91c4b07d" + "e" * 52,
        "digest": "f" * 64,
        **rest,
    }
    return Plan(steps=steps, **values)


def creations() -> Plan:
    """A network and a machine that refer to each other's values, with every sort of value."""
    return plan(
        step(
            "Network/backend",
            Action.CREATE,
            {
                "mode": "nat",
                "cidr": "10.20.0.0/24",
                "dhcp": {
                    "start": "10.20.0.100",
                    "end": "10.20.0.200",
                    "reservations": {"52:54:00:12:34:56": {"address": "10.20.0.11"}},
                },
            },
        ),
        step(
            "VirtualMachine/web01",
            Action.CREATE,
            {
                "cpu": {"count": 2},
                "memory": {"size": 4 * GIB, "max": 1536 * 1024**2},
                "disks": {"web-root": {"bootOrder": 1}},
                "nics": {"lan": {"network": "backend", "mac": "52:54:00:12:34:56"}},
                "boot": {
                    "kernel": "/boot/vmlinuz",
                    "cmdline": {"$template": ["bridge=", {"$unknown": "Network/backend.bridge"}]},
                },
                "cloudInit": {"userData": "#cloud-config\npassword: hunter2\n"},
                "description": "Web server of the shop, the one that customers see first: "
                "handle with more care than the others",
                "labels": {"tier": "web", "shop.example/owner": "true"},
                "autostart": False,
                "shutdownTimeout": 90_000,
            },
            reason="it was removed outside",
        ),
        environment="prod",
    )


def updates() -> Plan:
    """One machine changed live, one that needs a restart that is allowed, one whose restart
    waits."""
    return plan(
        step(
            "VirtualMachine/web01",
            Action.UPDATE,
            impact=Impact.LIVE,
            changes=(
                Change(("cpu", "count"), 1, 2),
                Change(("memory", "size"), GIB, 2 * GIB, Impact.LIVE, "the balloon gives it back"),
                Change(("disks", "scratch"), {"bus": "virtio"}, None),
                Change(("description",), "front\nold\n", "front\nnew\n", Impact.NONE),
                Change(("labels", "tier"), None, "web", Impact.NONE),
            ),
        ),
        step(
            "VirtualMachine/db01",
            Action.UPDATE,
            impact=Impact.RESTART,
            restart=True,
            changes=(
                Change(
                    ("firmware", "type"),
                    "bios",
                    "uefi",
                    Impact.RESTART,
                    "the firmware is chosen when the machine starts",
                ),
                Change(("cpu", "max"), 4, 4, Impact.RESTART, "", 2, differs_running=True),
            ),
        ),
        max_impact=Impact.RESTART,
    )


def deferred() -> Plan:
    """Restarts beyond the gate: written now, in force later."""
    return plan(
        step(
            "VirtualMachine/db01",
            Action.UPDATE,
            impact=Impact.LIVE,
            changes=(
                Change(("memory", "max"), 4 * GIB, 8 * GIB, Impact.RESTART, "fixed at the start"),
            ),
            deferred=(("memory", "max"),),
        ),
        pending=(
            RestartPending(
                Address("VirtualMachine", "db02"), ("cpu", "max"), 2, 4, "fixed at the start"
            ),
        ),
    )


def destruction() -> Plan:
    """Everything that hurts: loss of data, replacement, deletion, refused by the gate or held."""
    replaced = step(
        "VirtualMachine/web02",
        Action.REPLACE,
        impact=Impact.REPLACE,
        replace_order="create-first",
        changes=(Change(("placement", "host"), "lab", "lab2", Impact.REPLACE),),
        reason="it moves to another host",
    )
    return plan(
        step("Network/old", Action.DELETE, impact=Impact.LIVE),
        step(
            "Disk/data",
            Action.REPLACE,
            impact=Impact.DATA_LOSS,
            replace_order="delete-first",
            reason="the format cannot be changed in place",
            changes=(Change(("format",), "qcow2", "raw", Impact.DATA_LOSS),),
        ),
        replaced,
        Step(
            "VirtualMachine/web02#old",
            Action.DELETE,
            replaced.known,
            "absent",
            depends_on=("VirtualMachine/web02",),
        ),
        step("Disk/scratch", Action.DELETE, impact=Impact.DATA_LOSS),
        held=(
            step(
                "VirtualMachine/vault",
                Action.DELETE,
                impact=Impact.REPLACE,
                held="it is protected (metadata.protect)",
            ),
        ),
        consents=(Address("Disk", "scratch"),),
    )


def kept(address: str) -> Step:
    """A disk that is forgotten with its data, and where that is."""
    outputs = {"path": "/srv/disks/kept-3b24.qcow2", "volume": "kept-3b24.qcow2"}
    forgotten = step(address, Action.FORGET, reason="its data is kept (retention: keep)")
    return replace(forgotten, known=replace(forgotten.known, outputs=outputs), fingerprint="f00")


def bookkeeping() -> Plan:
    """Steps that touch no guest, and a warning."""
    return plan(
        step("VirtualMachine/foreign", Action.ADOPT, reason="it exists and has no owner"),
        kept("Disk/kept"),
        step("Disk/gone", Action.FORGET, reason="it is already gone"),
        step("VirtualMachine/new", Action.RENAME, previous=known("VirtualMachine/former")),
        warnings=(
            warning(
                "PRV1901",
                "the C parser of YAML is missing",
                detail="Reading takes about ten times as long.",
                hint="Install PyYAML with libyaml.",
            ),
        ),
    )


def nothing() -> Plan:
    """All is as declared."""
    return plan()


PLANS = {
    "creations": creations,
    "updates": updates,
    "deferred": deferred,
    "destruction": destruction,
    "bookkeeping": bookkeeping,
    "nothing": nothing,
}
