"""What resources need without referring to it, as their providers say; asked when steps are put in
order.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from provisioner.core.address import Address
from provisioner.engine.request import PlanRequest
from provisioner.engine.subjects import endpoint_value
from provisioner.providers.api import Resource, UnwrittenNeeds


def unwritten_needs(
    request: PlanRequest, *, as_recorded: bool
) -> dict[Address, Collection[Address]]:
    """By address; of the resources as they shall be, or as they were recorded."""
    able: dict[str, UnwrittenNeeds] = {}
    for name, record in request.endpoints.items():
        if record.provider not in request.providers:
            continue
        provider: object = request.providers[record.provider]
        if isinstance(provider, UnwrittenNeeds):
            able[name] = provider
    if not able:
        return {}
    resources: dict[str, dict[Address, Resource]] = {}
    for address, subject in {**request.unselected, **request.subjects}.items():
        if subject.endpoint not in able:
            continue
        resource = subject.resource
        if as_recorded and subject.entry is not None:
            resource = replace(resource, spec=subject.entry.spec)
        elif as_recorded or subject.declaration is None:
            continue
        resources.setdefault(subject.endpoint, {})[address] = resource
    found: dict[Address, Collection[Address]] = {}
    for name, those in resources.items():
        found |= able[name].needs_of(endpoint_value(request.endpoints[name]), those)
    return found
