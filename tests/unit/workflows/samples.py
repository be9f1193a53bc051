"""A recovery plan with something in every field."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from provisioner.core.address import Address
from provisioner.engine.plan import Known
from provisioner.providers.capabilities import Way
from provisioner.state.model import EndpointRecord
from provisioner.workflows.recovery.model import (
    Check,
    Fencing,
    Mode,
    Moment,
    OwnStep,
    PlannedMachine,
    RecoveryPlan,
)
from provisioner.workflows.runbook import OnFailure

COMPILED = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
LINEAGE = UUID("6fa459ea-ee8a-4ca4-894e-db77e160355e")
DB, WEB = Address("VirtualMachine", "db"), Address("VirtualMachine", "web")
DISK, LAN = Address("Disk", "db-root"), Address("Network", "lan")


def known(address: Address, endpoint: str, external_id: str | None = None) -> Known:
    spec = {"memory": {"size": 1024}, "labels": {"name": "Grüße"}}
    return Known(address, endpoint, address.name, str(LINEAGE), 1, spec, external_id)


def sample() -> RecoveryPlan:
    """The plan; compiled at :data:`COMPILED`, to be used for a week."""
    serial = Check("serial", {"text": "up"}, 12.5)
    ask = Check("prompt", {"text": "Cut off?"}, 60.0, OnFailure.STOP)
    changes = {"west": {"nics": {"lan": {"address": "10.2.0.10"}}}}
    return RecoveryPlan(
        name="shop",
        stack="estate",
        lineage=LINEAGE,
        sites=("east", "west"),
        endpoints={
            "a": EndpointRecord(
                "a", "memory", {"connection": {"password": {"secretRef": "env://A"}}}
            ),
            "b": EndpointRecord("b", "memory", {"provider": "memory"}),
        },
        site_of={"a": "east", "b": "west"},
        objects={
            "east": {DB: known(DB, "a", "1"), DISK: known(DISK, "a", "2")},
            "west": {DB: known(DB, "b"), LAN: known(LAN, "b", "3")},
        },
        machines=(
            PlannedMachine(DB, "all", (DISK,), 1, (), (serial,), Way.CONTINUOUS, real=changes),
            PlannedMachine(WEB, "all", (), 2, (DB,), quiesce=True, test=changes),
        ),
        compiled=COMPILED,
        compiled_by="ada",
        steps=(
            OwnStep("a", Moment.BEFORE, ask, frozenset({Mode.TEST}), tier=2),
            OwnStep("b", Moment.AFTER, serial, frozenset({Mode.FAILOVER}), machine=DB),
        ),
        bubble={"west": {LAN: known(Address("Network", "drill"), "b")}},
        starts={"a": 2, "b": 3},
        suspend={"west": (known(Address("VirtualMachine", "batch"), "b", "9"),)},
        fencing=Fencing((ask,)),
        time_objective=1800.0,
        approvals={"operations": 2},
        drill_every=86400.0,
        max_age=timedelta(days=7).total_seconds(),
    )
