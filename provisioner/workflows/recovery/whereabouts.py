"""Where the machines of a plan run, as the hosts of both sites tell: for when no journal knows, and
for when one that knows was left behind.

Called by :mod:`provisioner.service.recovery.direction`. A host that gives no answer is no evidence,
neither that its machines run nor that they do not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError, error
from provisioner.providers.api import (
    Observation,
    Present,
    Resource,
    Retryable,
    Session,
    Undetermined,
)
from provisioner.providers.capabilities import STANDBY, Standby
from provisioner.state.model import EndpointRecord
from provisioner.workflows.recovery.actions.estate import Estate, diagnostic_of, power_of
from provisioner.workflows.recovery.actions.sighting import Sighting, is_at
from provisioner.workflows.recovery.actions.silence import PATIENCE
from provisioner.workflows.recovery.model import RecoveryPlan


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """``seen``: by machine and site; nothing where the host did not tell. ``silent``: by host, why
    it told nothing.
    """

    plan: RecoveryPlan
    seen: Mapping[Address, Mapping[str, Sighting]]
    silent: Mapping[str, str]

    def at(self, site: str) -> tuple[Address, ...]:
        """The machines that are at a site: they run there; or they run nowhere, stand by at the
        other one, and this one has them or does not tell.
        """
        other = self.plan.there if site == self.plan.here else self.plan.here
        return tuple(
            address for address, seen in self.seen.items() if is_at(seen.get(site), seen.get(other))
        )

    def remains_at(self, site: str) -> bool:
        """Whether a site has something of the machines."""
        found = (seen.get(site) for seen in self.seen.values())
        return any(sighting is not None and sighting.power != "absent" for sighting in found)

    def told(self) -> str:
        """All that was seen, a line for each machine, and who was silent."""
        lines = [f"{address}: {self._of(seen)}" for address, seen in sorted(self.seen.items())]
        lines += [f"Host/{name} told nothing: {why}" for name, why in sorted(self.silent.items())]
        return "\n".join(lines)

    def _of(self, seen: Mapping[str, Sighting]) -> str:
        parts = []
        for site in sorted(self.plan.sites):
            sighting = seen.get(site)
            if sighting is None:
                parts.append(f"not known at {site}")
            else:
                mark = ", standing by" if sighting.marked else ""
                parts.append(f"{sighting.power} at {site}{mark}")
        return ", ".join(parts)


def site_told(found: Whereabouts, ways: str) -> str | None:
    """The site where the machines are, all of them; None if nothing was seen of any. ``ways``: what
    a person can do where it cannot be told.

    Raises ProvisionerError (PRV7098) if some are at one site and some at the other, or are only in
    part where the plan does not expect them.
    """
    plan = found.plan
    here, there = found.at(plan.here), found.at(plan.there)
    if not there:
        return plan.here if here else None
    if not here and len(there) == len(plan.machines):
        return plan.there
    running = {site: _names(at) for site, at in ((plan.here, here), (plan.there, there)) if at}
    summary = " and ".join(f"{names} at {site}" for site, names in running.items())
    raise ProvisionerError(
        error(
            "PRV7098",
            f"where the machines of {plan.name} are cannot be told: {summary}"
            + ("" if here else ", and not the others"),
            detail="The journal knows of no migration and no failover, so the hosts were asked. "
            f"Which way the plan leads follows from where its machines run.\n{found.told()}",
            hint=ways,
        )
    )


def _names(addresses: Iterable[Address]) -> str:
    return ", ".join(sorted(address.name for address in addresses))


def look(estate: Estate) -> Whereabouts:
    """Ask the hosts of the plan's machines, each once and those of a site at once. Where the site
    that machines would go to has none of them, the other one is not asked: it may be dead, and what
    it says would change nothing. Raises nothing: what cannot be asked is silent.
    """
    plan = estate.plan
    seen: dict[Address, dict[str, Sighting]] = {item.address: {} for item in plan.machines}
    silent: dict[str, str] = {}
    for site in (plan.there, plan.here):
        _ask_site(estate, site, seen, silent)
        told = [at.get(site) for at in seen.values()]
        if all(sighting is not None and sighting.is_away for sighting in told):
            break
    return Whereabouts(plan, seen, silent)


def look_everywhere(estate: Estate) -> Whereabouts:
    """Ask all hosts of the plan's machines, of both sites at once, for :data:`PATIENCE` seconds at
    most. Raises nothing: what cannot be asked is silent.
    """
    plan = estate.plan
    seen: dict[Address, dict[str, Sighting]] = {item.address: {} for item in plan.machines}
    silent: dict[str, str] = {}
    with ThreadPoolExecutor(2, thread_name_prefix="whereabouts") as pool:
        for future in [pool.submit(_ask_site, estate, site, seen, silent) for site in plan.sites]:
            future.result()
    return Whereabouts(plan, seen, silent)


def _ask_site(
    estate: Estate,
    site: str,
    seen: dict[Address, dict[str, Sighting]],
    silent: dict[str, str],
) -> None:
    plan = estate.plan
    by_host: dict[str, list[Resource]] = {}
    for machine in plan.machines:
        record, resource = estate.placed(machine.address, site)
        by_host.setdefault(record.name, []).append(resource)
    with ThreadPoolExecutor(max(1, len(by_host)), thread_name_prefix="whereabouts") as pool:
        asked = {
            host: pool.submit(_asked, estate, plan.endpoints[host], resources)
            for host, resources in by_host.items()
        }
        for host, future in asked.items():
            try:
                found = future.result()
            except (ProvisionerError, Retryable) as problem:
                silent[host] = diagnostic_of(problem).summary
                continue
            for address, sighting in found.items():
                seen[address][site] = sighting


def _asked(
    estate: Estate, record: EndpointRecord, resources: list[Resource]
) -> Mapping[Address, Sighting]:
    doing = f"looking where machines of {estate.plan.name} run"
    telling = _telling(resources, standby=estate.has(record, STANDBY))
    observed, marked = estate.ask(record, telling, doing, PATIENCE)
    lineage = str(estate.plan.lineage)
    return {
        address: Sighting(_power(answer, lineage), address in marked)
        for address, answer in observed.items()
        if not isinstance(answer, Undetermined)
    }


def _power(answer: Observation, lineage: str) -> str:
    if not isinstance(answer, Present) or answer.owner is None or answer.owner.lineage != lineage:
        return "absent"
    return power_of(answer)


def _telling(
    resources: list[Resource], *, standby: bool
) -> Callable[[Session], tuple[Mapping[Address, Observation], Mapping[Address, str]]]:
    """What there is, and what of it stands by: one question, so that a host is waited for once."""

    def question(
        session: Session,
    ) -> tuple[Mapping[Address, Observation], Mapping[Address, str]]:
        observed = session.observe(resources)
        if not standby:
            return observed, {}
        assert isinstance(session, Standby), "its provider says so"
        return observed, session.standing_by(resources)

    return question
