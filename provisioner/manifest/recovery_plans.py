"""Rules for a recovery plan by itself: whom it names, what its steps are, what changes where.

Called by :mod:`provisioner.manifest.recovery`, which knows the plan's machines and sites.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

from provisioner.core.address import Address
from provisioner.manifest.problems import MISSING, Problem
from provisioner.manifest.protection import MACHINE, section
from provisioner.manifest.references import Draft

_PROOFS = ("serial", "tcp", "agent", "command", "guestCommand")
_DONE_BY = ("command", "guestCommand", "prompt")


def check_plan(
    plan: Draft,
    machines: Collection[Address],
    sites: Sequence[Address],
    drafts: Mapping[Address, Draft],
    site_of: Callable[[str | None], Address | None],
) -> Iterator[Problem]:
    """What is wrong with a plan whose ``machines`` are those of its groups; ``sites`` are those of
    its pair, none where that cannot be told.
    """
    yield from _strangers(plan, machines, drafts)
    for name, own in section(plan.spec, "machines").items():
        path = ("spec", "machines", name)
        yield from _health(own, path)
        for other, edge in section(own, "after").items():
            yield from _health(edge, (*path, "after", other))
        for mode in ("test", "real"):
            yield from _changes(section(own, mode), (*path, mode), sites, drafts.get(_named(name)))
    yield from _steps(plan)
    for number, proof in enumerate(plan.spec.get("fencing", ())):
        yield from _one_of(proof, ("command", "prompt"), ("spec", "fencing", str(number)))
    yield from _bubble(plan, sites, drafts, site_of)


def _named(name: str) -> Address:
    return Address(MACHINE, name)


def _health(own: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Problem]:
    health = own.get("health")
    if isinstance(health, Mapping) and not set(_PROOFS) & health.keys():
        yield _missing((*path, "health"), "nothing proves that the machine is up", _PROOFS)


def _strangers(
    plan: Draft, machines: Collection[Address], drafts: Mapping[Address, Draft]
) -> Iterator[Problem]:
    """Machines that the plan names and that none of its groups has."""
    its_own = frozenset(machines)
    named: list[tuple[tuple[str, ...], str]] = []
    for name, own in section(plan.spec, "machines").items():
        named.append((("spec", "machines", name), name))
        named += [
            (("spec", "machines", name, "after", other), other) for other in section(own, "after")
        ]
    for name, step in section(plan.spec, "steps").items():
        if isinstance(step.get("machine"), str):
            named.append((("spec", "steps", name, "machine"), step["machine"]))
    for path, name in named:
        if _named(name) not in its_own and _named(name) in drafts:
            yield Problem(
                path,
                "PRV1446",
                f"{_named(name)} is in no group of {plan.address}",
                "Add the machine to one of its groups, or name another one.",
            )
    for name in section(plan.spec, "suspend"):
        if _named(name) in its_own:
            yield Problem(
                ("spec", "suspend", name),
                "PRV1446",
                f"{_named(name)} is recovered by {plan.address} itself",
                "Name machines that make room for those of the plan.",
            )


def _changes(
    changes: Mapping[str, Any],
    path: tuple[str, ...],
    sites: Sequence[Address],
    machine: Draft | None,
) -> Iterator[Problem]:
    """Changes of a machine are for a site of the pair, and of cards that it has."""
    for site, change in changes.items():
        if sites and site not in {item.name for item in sites}:
            yield Problem(
                (*path, site),
                "PRV1432",
                f"Site/{site} is not of the plan's pair of sites",
                f"Name {sites[0].name} or {sites[1].name}.",
            )
        if machine is None or machine.failed:
            continue
        own = section(machine.spec, "nics")
        for place in (("nics",), ("customization", "nics")):
            cards: Any = change
            for part in place:
                cards = section(cards, part)
            for card in sorted(cards.keys() - own.keys()):
                yield Problem(
                    (*path, site, *place, card),
                    "PRV1432",
                    f"{machine.address} has no network card {card!r}",
                    f"Name one of its cards: {', '.join(sorted(own))}."
                    if own
                    else "It has no cards.",
                )


def _steps(plan: Draft) -> Iterator[Problem]:
    for name, step in section(plan.spec, "steps").items():
        path = ("spec", "steps", name)
        yield from _one_of(step, _DONE_BY, path)
        if "tier" in step and "machine" in step:
            yield _together((*path, "machine"), "machine", "tier")
        if "guestCommand" not in step:
            continue
        if "machine" not in step:
            yield _missing(path, "nothing says in whose guest the command runs", ("machine",))
        elif step.get("when") == "before":
            yield Problem(
                (*path, "when"),
                "PRV1110",
                "a command in the guest cannot come before its machine is up",
                "Write 'when: after'.",
            )


def _one_of(
    given: Mapping[str, Any], names: Sequence[str], path: tuple[str, ...]
) -> Iterator[Problem]:
    found = [name for name in names if name in given]
    if not found:
        yield _missing(path, "nothing says what is done", names)
    for name in found[1:]:
        yield _together((*path, name), name, found[0])


def _missing(path: tuple[str, ...], summary: str, names: Sequence[str]) -> Problem:
    *first, last = names
    return Problem(
        path,
        MISSING,
        summary,
        f"Add {', '.join(first)}{' or ' if first else ''}{last}.",
        at_key=True,
    )


def _together(path: tuple[str, ...], name: str, other: str) -> Problem:
    return Problem(
        path,
        "PRV1110",
        f"the field {name!r} does not go with {other!r}",
        f"Remove one of the two: {name!r} or {other!r}.",
        at_key=True,
    )


def _bubble(
    plan: Draft,
    sites: Sequence[Address],
    drafts: Mapping[Address, Draft],
    site_of: Callable[[str | None], Address | None],
) -> Iterator[Problem]:
    """What takes the place of a network in drills is isolated, and on the same host."""
    for name, own in section(plan.spec, "bubble").items():
        path = ("spec", "bubble", name)
        network = drafts.get(Address("Network", name))
        if network is None:
            continue
        if sites and network.host is not None and site_of(network.host) not in sites:
            yield Problem(
                path,
                "PRV1449",
                f"{network.address} is at neither site of the plan",
                f"Name a network of {sites[0].name} or {sites[1].name}.",
            )
        isolated = drafts.get(Address("Network", str(own.get("isolated"))))
        if isolated is None or isolated.failed:
            continue
        mode = isolated.spec.get("mode", "nat")
        if mode != "isolated":
            found = f"{isolated.address} has the mode {mode}, expected isolated"
        elif None not in (isolated.host, network.host) and isolated.host != network.host:
            found = f"{isolated.address} lives on {isolated.host}, expected {network.host}"
        else:
            continue
        yield Problem(
            (*path, "isolated"),
            "PRV1449",
            found,
            f"Machines of a drill must reach nothing else: name a network of mode isolated on the "
            f"host of {network.address}, or leave 'isolated' out.",
        )
