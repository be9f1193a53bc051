"""Fixed addresses that machines have once they were recovered at another site.

Called by :mod:`provisioner.manifest.loader` before addresses are settled: the network there has to
know them beforehand, since nobody may be left to tell it then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from provisioner.core.address import Address
from provisioner.manifest import protection
from provisioner.manifest.addressing import Elsewhere
from provisioner.manifest.protection import MACHINE, PLAN, SITE, SITE_PAIR, section
from provisioner.manifest.references import Draft


def addresses_elsewhere(
    policies: Mapping[Address, Draft], drafts: Mapping[Address, Draft]
) -> Iterator[Elsewhere]:
    """What the recovery plans of a stack say about addresses at the site where a machine is not
    (``real``). The addresses at its own site stand in its manifest.
    """
    site_of = {
        host: site.name
        for site, draft in policies.items()
        if site.kind == SITE
        for host in protection.hosts_of(draft.spec)
    }
    for plan in (draft for address, draft in policies.items() if address.kind == PLAN):
        pair = _pair_of(plan, policies)
        if pair is None:
            continue
        ways = {
            from_first: protection.counterparts(pair.spec, from_first=from_first)
            for from_first in (True, False)
        }
        for name, own in section(plan.spec, "machines").items():
            machine = drafts.get(Address(MACHINE, name))
            here = None if machine is None or machine.host is None else site_of.get(machine.host)
            if machine is None or here is None:
                continue
            way = ways[here == pair.spec.get("first")]
            for site, change in section(own, "real").items():
                if site == here:
                    continue
                for card, told in section(change, "nics").items():
                    network = section(section(machine.spec, "nics"), card).get("network")
                    target = way.get(Address("Network", str(network)))
                    address, mac = told.get("address"), told.get("mac")
                    if target is not None and isinstance(address, str):
                        yield Elsewhere(
                            machine,
                            card,
                            target,
                            address,
                            mac if isinstance(mac, str) else None,
                            plan,
                            ("spec", "machines", name, "real", site, "nics", card),
                        )


def _pair_of(plan: Draft, policies: Mapping[Address, Draft]) -> Draft | None:
    for group in protection.groups_of(plan.spec):
        draft = policies.get(group)
        name = None if draft is None else draft.spec.get("sitePair")
        if isinstance(name, str):
            return policies.get(Address(SITE_PAIR, name))
    return None
