"""Which machines that a recovery policy protects a plan is about to make or start, or whose disks
it makes or removes, and what is held with them. :mod:`provisioner.engine.elsewhere` asks about
these at their other site. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from provisioner.core.actions import Action
from provisioner.core.address import Address
from provisioner.core.values import Path
from provisioner.engine.decide import owned
from provisioner.engine.plan import Counterpart, Known, Plan, Step
from provisioner.engine.request import PlanRequest
from provisioner.engine.subjects import Subject
from provisioner.manifest.model import Stack
from provisioner.manifest.protection import (
    DISK,
    GROUP,
    MACHINE,
    PLAN,
    OtherSite,
    groups_of,
    members,
    other_sites,
    section,
)
from provisioner.providers.api import Absent, Present

_POWER: Path = ("power",)
RUNNING, _STOPPED = "running", "stopped"
_MAKING = (Action.CREATE, Action.REPLACE)
_MAKING_OR_REMOVING = (*_MAKING, Action.DELETE)


def counterparts(request: PlanRequest, plan: Plan) -> tuple[Counterpart, ...]:
    """The protected machines that a plan would make or start, or whose replicated disks it would
    make or remove, and where they may be instead. Pure.
    """
    protected = _protected(request)
    if not protected:
        return ()
    begun = {
        address
        for step in plan.steps
        for address in _begun_by(step, request, protected)
        if not step.is_of_predecessor
    }
    plans = _plans(request) if begun else {}
    return tuple(
        replace(counterpart, plan=plans.get(machine, ""))
        for machine in sorted(begun)
        for site in protected[machine]
        if (counterpart := _counterpart(request, machine, site)).hosts
    )


def with_disks(request: PlanRequest, away: Mapping[Address, str]) -> dict[Address, str]:
    """The machines that are away, with those of their replicated disks that nobody else has."""
    found = dict(away)
    everything = {**request.unselected, **request.subjects}
    users: dict[Address, set[Address]] = {}
    for address, subject in everything.items():
        for target in {*subject.dependencies, *subject.recorded_dependencies}:
            users.setdefault(target, set()).add(address)
    protected = _protected(request)
    for machine, why in away.items():
        for site in protected[machine]:
            for disk in site.disks:
                if users.get(disk, set()) <= away.keys():
                    found.setdefault(disk, f"{machine} has it: {why}")
    return found


def power_of(found: Present) -> str:
    """The power state of a machine as it is now."""
    return str(found.running.get(_POWER, found.spec.get("power", RUNNING)))


def _protected(request: PlanRequest) -> Mapping[Address, tuple[OtherSite, ...]]:
    stack = request.stack
    if stack is None or not stack.policies:
        return {}
    subjects = {**request.unselected, **request.subjects}
    machines = {
        address: _with_recorded_disks(subject)
        for address, subject in subjects.items()
        if address.kind == MACHINE
    }
    host_of = {machine: subjects[machine].endpoint for machine in machines}
    pool_of = {
        address: str(subject.resource.spec.get("pool"))
        for address, subject in subjects.items()
        if address.kind == DISK
    }
    policies = {address: item.spec for address, item in stack.policies.items()}
    return other_sites(policies, machines, host_of, pool_of)


def _with_recorded_disks(subject: Subject) -> Mapping[str, Any]:
    """A machine's spec with the disks, too, that it had: those that a plan removes."""
    spec, entry = subject.resource.spec, subject.entry
    if entry is None:
        return spec
    return {**spec, "disks": {**section(entry.spec, "disks"), **section(spec, "disks")}}


def _begun_by(
    step: Step, request: PlanRequest, protected: Mapping[Address, tuple[OtherSite, ...]]
) -> Iterator[Address]:
    if step.address in protected and _starts(step):
        yield step.address
    if step.address.kind == DISK and step.action in _MAKING_OR_REMOVING:
        for machine, sites in protected.items():
            has_it = any(step.address in site.disks for site in sites)
            if has_it and not _runs_here(request, machine):
                yield machine


def _starts(step: Step) -> bool:
    powered = any(item.path == _POWER and item.after != _STOPPED for item in step.changes)
    return step.action in _MAKING or step.restart or powered


def _runs_here(request: PlanRequest, machine: Address) -> bool:
    observed = request.observations.get(machine)
    subject = request.subjects.get(machine)
    if subject is None or not isinstance(observed, Present):
        return False
    return owned(subject, observed) and power_of(observed) == RUNNING


def _counterpart(request: PlanRequest, machine: Address, site: OtherSite) -> Counterpart:
    subjects: Mapping[Address, Subject] = {**request.unselected, **request.subjects}
    subject = subjects[machine]
    entry = subject.entry
    provider = request.endpoints[subject.endpoint].provider
    is_new = entry is None and isinstance(request.observations.get(machine), Absent)
    # Machines are recovered between hosts of one provider.
    hosts = tuple(
        host
        for host in site.hosts
        if host in request.endpoints and request.endpoints[host].provider == provider
    )
    runs = _runs_here(request, machine)
    return Counterpart(
        machine,
        _known(subject),
        site.name,
        hosts,
        is_new=is_new,
        runs_here=runs,
        copies=tuple(_copies(subjects, site)),
    )


def _plans(request: PlanRequest) -> dict[Address, str]:
    if request.stack is None:
        return {}
    machines = {
        address: subject.resource.spec
        for address, subject in {**request.unselected, **request.subjects}.items()
        if address.kind == MACHINE
    }
    return plans_of(request.stack, machines)


def plans_of(stack: Stack, machines: Mapping[Address, Mapping[str, Any]]) -> dict[Address, str]:
    """By machine, the name of the recovery plan that it is in. ``machines``: their specs."""
    policies = stack.policies
    found: dict[Address, str] = {}
    for address, policy in sorted(policies.items()):
        for group in groups_of(policy.spec) if address.kind == PLAN else ():
            if group in policies:
                inside = members(policies[group].spec, machines)
                found = {**dict.fromkeys(inside, address.name), **found}
    return found


def protected_by(stack: Stack, machines: Mapping[Address, Mapping[str, Any]]) -> frozenset[Address]:
    """The machines that a protection group of the stack names. ``machines``: their specs."""
    groups = (policy for address, policy in stack.policies.items() if address.kind == GROUP)
    return frozenset(item for group in groups for item in members(group.spec, machines))


def _known(subject: Subject) -> Known:
    resource, entry = subject.resource, subject.entry
    return Known(
        entry.address if entry is not None else subject.address,
        subject.endpoint,
        resource.name,
        str(resource.uid),
        subject.generation,
        resource.spec,
    )


def _copies(subjects: Mapping[Address, Subject], site: OtherSite) -> Iterator[Known]:
    for pool in sorted({*site.pools.values()} & subjects.keys()):
        yield _known(subjects[pool])
    for disk, pool in sorted(site.pools.items()):
        if disk in subjects:
            known = _known(subjects[disk])
            yield replace(known, spec={**known.spec, "pool": pool.name})
