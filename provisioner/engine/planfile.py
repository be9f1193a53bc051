"""Plans as JSON documents: reading, writing, the id that tells plans apart, and the digest that
finds an altered one.

A plan file is the JSON text of :func:`plan_json`, readable only by its owner. The digest is checked
when it is read: an altered file is refused. Plans hold no secret, only references to them.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path as FilePath
from typing import Any, NoReturn

from provisioner.core.actions import Action, Impact, permission_names, permissions
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, SourceRange, error
from provisioner.core.overwriting import WHAT_TO_DO, would_be_lost
from provisioner.core.values import digest
from provisioner.engine.plan import Counterpart, Kept, Known, Plan, RestartPending, Step
from provisioner.providers.api import Change
from provisioner.state.model import EndpointRecord

FORMAT = "provisioner.plan/1"
MAX_BYTES = 512 * 1024 * 1024


_NO_INPUT = ("id", "digest", "createdAt", "toolVersion", "serial", "unchanged", "warnings")
"""Keys that say when and by what a plan was made, what it does not touch, and what was said."""


def sealed(plan: Plan) -> Plan:
    """The plan with its id and its digest: the last thing that is done to one.

    The id is SHA-256 over what the plan was made from and what it does: two plans that do the same
    to the same objects, as they were then, have the same. The digest is over everything but itself.
    """
    data = plan_json(plan)
    data["id"] = _id_of(data)
    del data["digest"]
    return replace(plan, id=data["id"], digest=digest(data))


def _id_of(data: Mapping[str, Any]) -> str:
    """The id of a plan's document. What is only said to people does not count: it may be worded
    otherwise by the next release, or quote a figure that moves.
    """
    inputs = {key: value for key, value in data.items() if key not in _NO_INPUT}
    for part in ("steps", "held"):
        inputs[part] = [_wordless_step(step) for step in data[part]]
    for part in ("pending", "kept"):
        inputs[part] = [_without(item, "reason") for item in data[part]]
    inputs["undetermined"] = [[item["code"], item.get("address")] for item in data["undetermined"]]
    return digest(inputs)


def _wordless_step(step: Mapping[str, Any]) -> dict[str, Any]:
    changes = [_without(change, "reason") for change in step["changes"]]
    return {**_without(step, "reason", "held"), "changes": changes}


def _without(data: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key not in keys}


def write(plan: Plan, path: FilePath) -> None:
    """Write a plan file, replacing an older one in one move, also where a link leads to it; raises
    ProvisionerError (PRV2020) if that fails, or something else than a plan file is there.
    """
    path = path.resolve()
    _check_what_is_there(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        if path.exists() and not path.is_file():
            raise OSError(errno.EINVAL, "it is no file, and nothing but a file is replaced")
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(plan_json(plan), stream, ensure_ascii=False, separators=(",", ":"))
            stream.write("\n")
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as problem:
        temporary.unlink(missing_ok=True)
        raise ProvisionerError(
            error("PRV2020", f"the plan file {path} cannot be written", detail=str(problem))
        ) from problem


def _check_what_is_there(path: FilePath) -> None:
    try:
        lost = would_be_lost(path, r'\s*\{\s*"format":\s*"provisioner\.plan/')
    except OSError:
        return  # writing tells why
    if lost:
        raise ProvisionerError(
            error(
                "PRV2020",
                f"{path} is there already, and is no plan file",
                detail="Only an empty file or an older plan file is replaced.",
                hint=WHAT_TO_DO,
            )
        )


def read(path: FilePath) -> Plan:
    """Read a plan file; raises ProvisionerError (PRV2021..2023) if it cannot be read, is no plan
    file, or was altered.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise _no_plan_file(path, f"it is larger than {MAX_BYTES} bytes")
        data = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        given = data.get("format") if isinstance(data, dict) else None
        if given != FORMAT:
            found = f"the format {given}" if isinstance(given, str) else "no format"
            raise _no_plan_file(path, f"found {found}, expected {FORMAT}")
        claimed = data.pop("digest", None)
        worked_out = digest(data)
    except OSError as problem:
        raise ProvisionerError(
            error("PRV2021", f"the plan file {path} cannot be read", detail=str(problem))
        ) from problem
    except (ValueError, RecursionError) as problem:
        raise _no_plan_file(path, str(problem)) from problem
    if claimed != worked_out:
        raise _altered(path, "Its content does not fit its digest.")
    try:
        plan = _plan(data, str(claimed))
        worked_out = _id_of(data)
    except KeyError as problem:
        detail = f"it lacks the key {problem}: another version of the program made it"
        raise _no_plan_file(path, detail) from problem
    except (AttributeError, TypeError, ValueError) as problem:
        raise _no_plan_file(path, f"{type(problem).__name__}: {problem}") from problem
    if plan.id != worked_out:
        raise _altered(path, "Its content does not fit its id.")
    return plan


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _no_plan_file(path: FilePath, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV2022",
            f"{path} is no plan file that this version can read",
            detail=detail,
            hint="Make one with 'provisioner plan -o FILE'.",
        )
    )


def _altered(path: FilePath, detail: str) -> ProvisionerError:
    return ProvisionerError(
        error(
            "PRV2023",
            f"the plan file {path} was altered after it was made",
            detail=detail,
            hint="Make a new plan with 'provisioner plan -o FILE'.",
        )
    )


def plan_json(plan: Plan) -> dict[str, Any]:
    """A plan as plain data; docs/plan-format.md describes it."""
    return {
        "format": FORMAT,
        "id": plan.id,
        "digest": plan.digest,
        "stack": plan.stack,
        "environment": plan.environment,
        "lineage": plan.lineage,
        "serial": plan.serial,
        "destroy": plan.destroy,
        "createdAt": plan.created_at,
        "toolVersion": plan.tool_version,
        "providers": dict(plan.providers),
        "schemas": plan.schemas,
        "maxImpact": plan.max_impact.value,
        "steps": [_step_json(step) for step in plan.steps],
        "held": [_step_json(step) for step in plan.held],
        "pending": [
            {
                "address": str(note.address),
                "path": list(note.path),
                "running": note.running,
                "configured": note.configured,
                "reason": note.reason,
            }
            for note in plan.pending
        ],
        "kept": [{"address": str(kept.address), "reason": kept.reason} for kept in plan.kept],
        "undetermined": [problem.as_json() for problem in plan.undetermined],
        "refresh": [known_json(known) for known in plan.refresh],
        "observed": [known_json(known) for known in plan.observed],
        "context": [known_json(known) for known in plan.context],
        "endpoints": {
            name: {"provider": record.provider, "spec": record.spec}
            for name, record in plan.endpoints.items()
        },
        "consents": [str(address) for address in plan.consents],
        "selection": {key: list(patterns) for key, patterns in plan.selection.items()},
        "onlyAdopt": plan.only_adopt,
        "interrupted": {step: list(intents) for step, intents in plan.interrupted.items()},
        "unchanged": plan.unchanged,
        "warnings": [warning.as_json() for warning in plan.warnings],
        **_of_other_sites(plan),
    }


def _of_other_sites(plan: Plan) -> dict[str, Any]:
    """Keys that only plans of protected machines have."""
    data: dict[str, Any] = {}
    if plan.counterparts:
        data["counterparts"] = [
            {
                "address": str(item.address),
                "resource": known_json(item.known),
                "site": item.site,
                "hosts": list(item.hosts),
                "isNew": item.is_new,
                "runsHere": item.runs_here,
                "copies": [known_json(copy) for copy in item.copies],
                **({"plan": item.plan} if item.plan else {}),
            }
            for item in plan.counterparts
        ]
    if plan.trusted_sites:
        data["trustedSites"] = list(plan.trusted_sites)
    return data


def known_json(known: Known) -> dict[str, Any]:
    """A resource as plain data; :func:`known_of_json` reads it."""
    return {
        "address": str(known.address),
        "endpoint": known.endpoint,
        "name": known.name,
        "uid": known.uid,
        "generation": known.generation,
        "spec": known.spec,
        "externalId": known.external_id,
        "outputs": known.outputs,
        "dependencies": [str(address) for address in known.dependencies],
        "protect": known.protect,
        "manage": permission_names(known.manage),
    }


def _step_json(step: Step) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": step.action.value,
        "resource": known_json(step.known),
        "previous": known_json(step.previous) if step.previous is not None else None,
        "fingerprint": step.fingerprint,
        "changes": [_change_json(change) for change in step.changes],
        "impact": step.impact.value,
        "reason": step.reason,
        "dependsOn": list(step.depends_on),
        "restart": step.restart,
        "deferred": [list(path) for path in step.deferred],
        "priorSerial": step.prior_serial,
        "replaceOrder": step.replace_order,
        "held": step.held,
    }


def _change_json(change: Change) -> dict[str, Any]:
    data: dict[str, Any] = {
        "path": list(change.path),
        "before": change.before,
        "after": change.after,
        "impact": change.impact.value,
        "reason": change.reason,
    }
    if change.differs_running:
        data["running"] = change.running
    if not change.deferrable:
        data["deferrable"] = False
    if change.pending:
        data["pending"] = True
    return data


def known_of_json(data: Mapping[str, Any]) -> Known:
    """The resource that :func:`known_json` wrote; raises KeyError, TypeError or ValueError for
    anything else.
    """
    return Known(
        address=Address.of(data["address"]),
        endpoint=data["endpoint"],
        name=data["name"],
        uid=data["uid"],
        generation=data["generation"],
        spec=data["spec"],
        external_id=data["externalId"],
        outputs=data["outputs"],
        dependencies=tuple(Address.of(text) for text in data["dependencies"]),
        protect=data["protect"],
        manage=permissions(data.get("manage")),
    )


def _change(data: Mapping[str, Any]) -> Change:
    return Change(
        tuple(data["path"]),
        data["before"],
        data["after"],
        Impact(data["impact"]),
        data["reason"],
        data.get("running"),
        differs_running="running" in data,
        deferrable=data.get("deferrable", True),
        pending=data.get("pending", False),
    )


def _step(data: Mapping[str, Any]) -> Step:
    return Step(
        id=data["id"],
        action=Action(data["action"]),
        known=known_of_json(data["resource"]),
        fingerprint=data["fingerprint"],
        changes=tuple(_change(change) for change in data["changes"]),
        impact=Impact(data["impact"]),
        reason=data["reason"],
        depends_on=tuple(data["dependsOn"]),
        restart=data["restart"],
        deferred=tuple(tuple(path) for path in data["deferred"]),
        prior_serial=data["priorSerial"],
        previous=known_of_json(data["previous"]) if data["previous"] is not None else None,
        replace_order=data["replaceOrder"],
        held=data["held"],
    )


def _counterpart(data: Mapping[str, Any]) -> Counterpart:
    return Counterpart(
        Address.of(data["address"]),
        known_of_json(data["resource"]),
        data["site"],
        tuple(data["hosts"]),
        data["isNew"],
        data["runsHere"],
        tuple(known_of_json(copy) for copy in data["copies"]),
        data.get("plan", ""),
    )


def _source(data: Mapping[str, Any]) -> SourceRange:
    return SourceRange(**{name: data[name] for name in SourceRange._fields})


def _diagnostic(data: Mapping[str, Any]) -> Diagnostic:
    return Diagnostic(
        Severity(data["severity"]),
        data["code"],
        data["summary"],
        data.get("detail", ""),
        _source(data["source"]) if "source" in data else None,
        data.get("hint", ""),
        data.get("address"),
        tuple(_source(place) for place in data.get("related", ())),
    )


def _plan(data: Mapping[str, Any], claimed: str) -> Plan:
    return Plan(
        stack=data["stack"],
        environment=data["environment"],
        lineage=data["lineage"],
        serial=data["serial"],
        destroy=data["destroy"],
        created_at=data["createdAt"],
        tool_version=data["toolVersion"],
        providers=data["providers"],
        schemas=data["schemas"],
        max_impact=Impact(data["maxImpact"]),
        steps=tuple(_step(step) for step in data["steps"]),
        held=tuple(_step(step) for step in data["held"]),
        pending=tuple(
            RestartPending(
                Address.of(note["address"]),
                tuple(note["path"]),
                note["running"],
                note["configured"],
                note["reason"],
            )
            for note in data["pending"]
        ),
        kept=tuple(Kept(Address.of(kept["address"]), kept["reason"]) for kept in data["kept"]),
        undetermined=tuple(_diagnostic(item) for item in data["undetermined"]),
        refresh=tuple(known_of_json(known) for known in data["refresh"]),
        observed=tuple(known_of_json(known) for known in data.get("observed", ())),
        context=tuple(known_of_json(known) for known in data["context"]),
        endpoints={
            name: EndpointRecord(name, record["provider"], record["spec"])
            for name, record in data["endpoints"].items()
        },
        consents=tuple(Address.of(text) for text in data["consents"]),
        selection={key: tuple(patterns) for key, patterns in data["selection"].items()},
        only_adopt=data["onlyAdopt"],
        interrupted={step: tuple(intents) for step, intents in data["interrupted"].items()},
        unchanged=data["unchanged"],
        warnings=tuple(_diagnostic(item) for item in data["warnings"]),
        counterparts=tuple(_counterpart(item) for item in data.get("counterparts", ())),
        trusted_sites=tuple(data.get("trustedSites", ())),
        id=data["id"],
        digest=claimed,
    )
