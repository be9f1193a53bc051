"""Asks every endpoint, once and all at the same time, what is there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import NamedTuple

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError, error
from provisioner.engine.sessions import Sessions, about_host
from provisioner.engine.subjects import Subject
from provisioner.providers.api import Observation, Undetermined
from provisioner.state.model import EndpointRecord

Observe = Callable[
    [Sessions, Mapping[str, EndpointRecord], Iterable[Subject]], dict[Address, Observation]
]
"""Gives one observation for each subject."""


def observe(
    sessions: Sessions, endpoints: Mapping[str, EndpointRecord], subjects: Iterable[Subject]
) -> dict[Address, Observation]:
    """One observation for each subject; raises ProvisionerError with the diagnostics of all
    endpoints that failed.
    """
    groups = _by_endpoint(subjects)
    problems = Diagnostics(_unknown_hosts(groups, endpoints).values())
    problems.raise_errors()
    answers = _ask_all(sessions, endpoints, groups)
    problems.extend(item for found in answers.failed.values() for item in found)
    problems.raise_errors()
    return answers.observations


def observe_but_for(trusted: Collection[str]) -> Observe:
    """The same where hosts ``trusted`` to be off keep nobody from looking at the others: all that
    is on one that fails is undetermined, with a diagnostic that is about its Host.
    """

    def observing(
        sessions: Sessions, endpoints: Mapping[str, EndpointRecord], subjects: Iterable[Subject]
    ) -> dict[Address, Observation]:
        off: list[Subject] = []
        others: list[Subject] = []
        for subject in subjects:
            (off if subject.endpoint in trusted else others).append(subject)
        found = observe(sessions, endpoints, others)
        return {**found, **observe_what_answers(sessions, endpoints, off)} if off else found

    return observing


def observe_what_answers(
    sessions: Sessions, endpoints: Mapping[str, EndpointRecord], subjects: Iterable[Subject]
) -> dict[Address, Observation]:
    """The same where one endpoint that fails shall keep nobody from looking at the others: all that
    is on it is undetermined, with one diagnostic that is about its Host.
    """
    groups = _by_endpoint(subjects)
    unknown = _unknown_hosts(groups, endpoints)
    known = {name: group for name, group in groups.items() if name not in unknown}
    answers = _ask_all(sessions, endpoints, known)
    failed = {**unknown, **{name: _first_error(found) for name, found in answers.failed.items()}}
    for name, problem in failed.items():
        silent = Undetermined(replace(problem, address=about_host(name)))
        answers.observations.update({subject.address: silent for subject in groups[name]})
    return answers.observations


class _Answers(NamedTuple):
    """``failed``: why nothing is known of an endpoint, by its name."""

    observations: dict[Address, Observation]
    failed: dict[str, tuple[Diagnostic, ...]]


def _by_endpoint(subjects: Iterable[Subject]) -> dict[str, list[Subject]]:
    groups: dict[str, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(subject.endpoint, []).append(subject)
    return groups


def _unknown_hosts(
    groups: Mapping[str, list[Subject]], endpoints: Mapping[str, EndpointRecord]
) -> dict[str, Diagnostic]:
    return {
        name: error(
            "PRV2003",
            f"Host/{name} is not known",
            detail=f"{group[0].address} lives on it, but neither the manifests nor "
            "the state describe it.",
            hint="Put its Host manifest back, or forget the resource with 'provisioner "
            "state forget'.",
        )
        for name, group in groups.items()
        if name not in endpoints
    }


def _first_error(problems: Iterable[Diagnostic]) -> Diagnostic:
    return Diagnostics(problems).errors[0]


def _ask_all(
    sessions: Sessions,
    endpoints: Mapping[str, EndpointRecord],
    groups: Mapping[str, list[Subject]],
) -> _Answers:
    answers = _Answers({}, {})
    if not groups:
        return answers
    pool = ThreadPoolExecutor(max_workers=min(16, len(groups)))
    try:
        futures = {
            name: pool.submit(_observe_one, sessions, endpoints[name], group)
            for name, group in groups.items()
        }
        for name, future in futures.items():
            try:
                answers.observations.update(future.result())
            except ProvisionerError as problem:
                answers.failed[name] = problem.diagnostics
    finally:
        # Everything is answered by now, or the caller was interrupted and waits for nobody.
        pool.shutdown(wait=False, cancel_futures=True)
    return answers


def _observe_one(
    sessions: Sessions, endpoint: EndpointRecord, group: list[Subject]
) -> Mapping[Address, Observation]:
    resources = [subject.resource for subject in group]
    answers = sessions.ask(
        endpoint, lambda session: session.observe(resources), doing=f"reading {endpoint.name}"
    )
    return {
        resource.address: answers.get(resource.address)
        or Undetermined(_unanswered(resource.address, endpoint))
        for resource in resources
    }


def _unanswered(address: Address, endpoint: EndpointRecord) -> Diagnostic:
    return error(
        "PRV5005",
        f"the provider {endpoint.provider} gave no answer about {address}",
        detail="A provider has to answer present, absent or undetermined for every resource it "
        "is asked about.",
        hint="This is a defect of the provider plugin; please report it.",
        address=str(address),
    )
