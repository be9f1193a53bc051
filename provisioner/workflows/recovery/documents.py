"""A recovery plan as plain JSON data, and back.

Called by :mod:`provisioner.workflows.recovery.storing`. Reading raises KeyError, TypeError,
ValueError or AttributeError for data that are no plan.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from provisioner.core.address import Address
from provisioner.engine.planfile import known_json, known_of_json
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

EDGES = "edges"
"""The key of a machine's gates that count for it alone."""
PROGRAMS = "programs"


def plan_json(plan: RecoveryPlan) -> dict[str, Any]:
    """Plain data; :func:`plan_of` reads it."""
    programs = {name: _program_json(content) for name, content in plan.programs.items()}
    return {
        "name": plan.name,
        "stack": plan.stack,
        "lineage": str(plan.lineage),
        "sites": list(plan.sites),
        "endpoints": {
            name: {"provider": record.provider, "spec": record.spec}
            for name, record in plan.endpoints.items()
        },
        "siteOf": dict(plan.site_of),
        "objects": {
            site: [known_json(known) for _, known in sorted(found.items())]
            for site, found in plan.objects.items()
        },
        "machines": [_machine_json(machine) for machine in plan.machines],
        "compiled": plan.compiled.isoformat(),
        "compiledBy": plan.compiled_by,
        "steps": [_step_json(step) for step in plan.steps],
        "bubble": {
            site: {str(network): known_json(known) for network, known in found.items()}
            for site, found in plan.bubble.items()
        },
        "starts": dict(plan.starts),
        "suspend": {
            site: [known_json(known) for known in found] for site, found in plan.suspend.items()
        },
        "fencing": None
        if plan.fencing is None
        else [_check_json(check) for check in plan.fencing.checks],
        "timeObjective": plan.time_objective,
        "approvals": dict(plan.approvals),
        "drillEvery": plan.drill_every,
        "maxAge": plan.max_age,
        # Only where there are any: a plan without is what it was before there were these.
        **({PROGRAMS: programs} if programs else {}),
    }


def plan_of(data: Mapping[str, Any]) -> RecoveryPlan:
    """The plan that :func:`plan_json` wrote."""
    first, second = data["sites"]
    fencing = data["fencing"]
    return RecoveryPlan(
        name=data["name"],
        stack=data["stack"],
        lineage=UUID(data["lineage"]),
        sites=(first, second),
        endpoints={
            name: EndpointRecord(name, record["provider"], record["spec"])
            for name, record in data["endpoints"].items()
        },
        site_of=data["siteOf"],
        objects={
            site: {(known := known_of_json(item)).address: known for item in found}
            for site, found in data["objects"].items()
        },
        machines=tuple(_machine(item) for item in data["machines"]),
        compiled=datetime.fromisoformat(data["compiled"]),
        compiled_by=data["compiledBy"],
        steps=tuple(_step(item) for item in data["steps"]),
        bubble={
            site: {Address.of(network): known_of_json(item) for network, item in found.items()}
            for site, found in data["bubble"].items()
        },
        starts=data["starts"],
        suspend={
            site: tuple(known_of_json(item) for item in found)
            for site, found in data["suspend"].items()
        },
        fencing=None if fencing is None else Fencing(tuple(_check(item) for item in fencing)),
        time_objective=data["timeObjective"],
        approvals=data["approvals"],
        drill_every=data["drillEvery"],
        max_age=data["maxAge"],
        programs={name: _program(item) for name, item in data.get(PROGRAMS, {}).items()},
    )


def _program_json(content: bytes) -> dict[str, Any]:
    return {
        "sha256": hashlib.sha256(content).hexdigest(),
        "content": base64.b64encode(content).decode("ascii"),
    }


def _program(data: Mapping[str, Any]) -> bytes:
    content = base64.b64decode(data["content"], validate=True)
    if hashlib.sha256(content).hexdigest() != data["sha256"]:
        raise ValueError("a program is not the one that was stored")
    return content


def _machine_json(machine: PlannedMachine) -> dict[str, Any]:
    # Only there where there are any, so that the digests of plans without them still hold.
    edges = {
        str(needed): [_check_json(check) for check in checks]
        for needed, checks in sorted(machine.edges.items())
    }
    return {
        "address": str(machine.address),
        "group": machine.group,
        "disks": [str(disk) for disk in machine.disks],
        "tier": machine.tier,
        "needs": [str(address) for address in machine.needs],
        "gates": [_check_json(check) for check in machine.gates],
        "way": machine.way.value,
        "interval": machine.interval,
        "keep": machine.keep,
        "quiesce": machine.quiesce,
        "pointObjective": machine.point_objective,
        "test": {site: dict(changes) for site, changes in machine.test.items()},
        "real": {site: dict(changes) for site, changes in machine.real.items()},
        **({EDGES: edges} if edges else {}),
    }


def _machine(data: Mapping[str, Any]) -> PlannedMachine:
    return PlannedMachine(
        address=Address.of(data["address"]),
        group=data["group"],
        disks=tuple(Address.of(text) for text in data["disks"]),
        tier=data["tier"],
        needs=tuple(Address.of(text) for text in data["needs"]),
        gates=tuple(_check(item) for item in data["gates"]),
        way=Way(data["way"]),
        interval=data["interval"],
        keep=data["keep"],
        quiesce=data["quiesce"],
        point_objective=data["pointObjective"],
        test=data["test"],
        real=data["real"],
        edges={
            Address.of(needed): tuple(map(_check, checks))
            for needed, checks in data.get(EDGES, {}).items()
        },
    )


def _check_json(check: Check) -> dict[str, Any]:
    return {
        "kind": check.kind,
        "arguments": dict(check.arguments),
        "seconds": check.seconds,
        "onFailure": check.on_failure.value,
    }


def _check(data: Mapping[str, Any]) -> Check:
    return Check(data["kind"], data["arguments"], data["seconds"], OnFailure(data["onFailure"]))


def _step_json(step: OwnStep) -> dict[str, Any]:
    return {
        "name": step.name,
        "when": step.moment.value,
        "check": _check_json(step.check),
        "modes": sorted(mode.value for mode in step.modes),
        "tier": step.tier,
        "machine": None if step.machine is None else str(step.machine),
    }


def _step(data: Mapping[str, Any]) -> OwnStep:
    machine = data["machine"]
    return OwnStep(
        name=data["name"],
        moment=Moment(data["when"]),
        check=_check(data["check"]),
        modes=frozenset(map(Mode, data["modes"])),
        tier=data["tier"],
        machine=None if machine is None else Address.of(machine),
    )
