"""Asks every endpoint, once and all at the same time, what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor

from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, Diagnostics, ProvisionerError, error
from provisioner.engine.sessions import Sessions
from provisioner.engine.subjects import Subject
from provisioner.providers.api import Observation, Undetermined
from provisioner.state.model import EndpointRecord


def observe(
    sessions: Sessions, endpoints: Mapping[str, EndpointRecord], subjects: Iterable[Subject]
) -> dict[Address, Observation]:
    """One observation for each subject; raises ProvisionerError with the diagnostics of all
    endpoints that failed.
    """
    groups: dict[str, list[Subject]] = {}
    for subject in subjects:
        groups.setdefault(subject.endpoint, []).append(subject)
    problems = Diagnostics()
    missing = [name for name in groups if name not in endpoints]
    for name in missing:
        problems.add(
            error(
                "PRV2003",
                f"Host/{name} is not known",
                detail=f"{groups[name][0].address} lives on it, but neither the manifests nor "
                "the state describe it.",
                hint="Put its Host manifest back, or forget the resource with 'provisioner "
                "state forget'.",
            )
        )
    problems.raise_errors()
    result: dict[Address, Observation] = {}
    if not groups:
        return result
    pool = ThreadPoolExecutor(max_workers=min(16, len(groups)))
    try:
        futures = [
            pool.submit(_observe_one, sessions, endpoints[name], group)
            for name, group in groups.items()
        ]
        for future in futures:
            try:
                result.update(future.result())
            except ProvisionerError as problem:
                problems.extend(problem.diagnostics)
    finally:
        # Everything is answered by now, or the caller was interrupted and waits for nobody.
        pool.shutdown(wait=False, cancel_futures=True)
    problems.raise_errors()
    return result


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
