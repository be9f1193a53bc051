"""Sites, pairs, protection groups and recovery plans: what they may say, and what is refused."""

from pathlib import Path
from typing import Any

import pytest

from provisioner.cli.render.diagnostics import render_diagnostics
from provisioner.core.address import Address
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.model import Excuse, Stack
from provisioner.manifest.printer import print_stack
from provisioner.service import candidates
from tests.golden_support import CheckGolden
from tests.unit.manifest.stacks import comparable, errors, load_stack, one

SITES = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {}
---
{apiVersion: provisioner/v1, kind: Host, metadata: {name: h1}, spec: {provider: memory}}
---
{apiVersion: provisioner/v1, kind: Host, metadata: {name: h2}, spec: {provider: memory}}
---
{apiVersion: provisioner/v1, kind: Host, metadata: {name: h3}, spec: {provider: memory}}
---
{apiVersion: provisioner/v1, kind: Site, metadata: {name: east}, spec: {hosts: [{host: h1}]}}
---
{apiVersion: provisioner/v1, kind: Site, metadata: {name: west}, spec: {hosts: [{host: h2}]}}
"""
PAIR = """\
first: east, second: west, networks: [{first: lan1, second: lan2}], \
pools: [{first: pool1, second: pool2}]"""
GROUP = "sitePair: both, selector: {matchLabels: {app: shop}}"
PLAN = "groups: [{group: all}], machines: [{machine: web, tier: 4, after: [{machine: db}]}]"
CARD = "nics: [{name: lan, network: lan1}]"
MEMORY = "memory: {size: 1GiB}"


def document(kind: str, name: str, spec: str, labels: str = "") -> str:
    metadata = f"{{name: {name}{labels and f', labels: {{{labels}}}'}}}"
    return f"""\
---
apiVersion: provisioner/v1
kind: {kind}
metadata: {metadata}
spec: {{{spec}}}
"""


def machine(name: str, spec: str = "", host: str = "h1", labels: str = "app: shop") -> str:
    placed = f", placement: {{host: {host}}}" if host else ""
    own = spec or f"disks: [{{disk: {name}-root}}], {CARD}"
    return document("VirtualMachine", name, f"{MEMORY}, {own}{placed}", labels)


def disk(name: str, pool: str = "pool1") -> str:
    return document("Disk", name, f"pool: {pool}, size: 1GiB")


ESTATE = "".join(
    [
        *(
            document("StoragePool", f"pool{n}", f"host: h{n}, type: dir, path: /{n}")
            for n in (1, 2)
        ),
        *(document("Network", f"lan{n}", f"host: h{n}, mode: isolated") for n in (1, 2)),
        *(disk(f"{name}-root") for name in ("db", "web")),
    ]
)
MACHINES = machine("db") + machine("web")
BOTH = document("SitePair", "both", PAIR)
ALL = document("ProtectionGroup", "all", GROUP)
SHOP = document("RecoveryPlan", "shop", PLAN)
WHOLE = SITES + ESTATE + MACHINES + BOTH + ALL + SHOP


def whole(old: str = "", new: str = "", more: str = "") -> str:
    """The whole estate with one thing that is different."""
    assert old in WHOLE
    return WHOLE.replace(old, new, 1) + more


def test_policies_are_apart_from_resources_and_refer_to_them(tmp_path: Path) -> None:
    stack = load_stack(tmp_path, {"main.yaml": WHOLE})
    kinds = SchemaCatalog.installed().policy_kinds
    assert kinds == {address.kind for address in stack.policies}
    assert kinds.isdisjoint({address.kind for address in stack.declarations})
    plan = stack.policies[Address("RecoveryPlan", "shop")]
    assert {
        "ProtectionGroup/all",
        "VirtualMachine/db",
        "VirtualMachine/web",
    } == {str(reference.target) for reference in plan.references}
    assert {"web": {"tier": 4, "after": {"db": {}}}} == plan.spec["machines"]


def test_printed_policies_are_the_same_when_they_are_loaded_again(tmp_path: Path) -> None:
    def policies(stack: Stack) -> dict[Address, Any]:
        return {address: item.spec for address, item in stack.policies.items()}

    first = load_stack(tmp_path / "a", {"main.yaml": WHOLE})
    text = print_stack(first, SchemaCatalog.installed())
    again = load_stack(tmp_path / "b", {"main.yaml": text})
    assert policies(first) == policies(again)
    assert comparable(first)[0] == comparable(again)[0]


def test_an_overlay_changes_a_plan_in_one_environment(tmp_path: Path) -> None:
    environments = (
        "{environments: {prod: {overlays: {RecoveryPlan/shop: "
        "{spec: {machines: [{machine: web, tier: 5}], drillEvery: 7d}}}}}}"
    )
    text = WHOLE.replace("spec: {}", f"spec: {environments}", 1)
    stack = load_stack(tmp_path, {"main.yaml": text}, "prod")
    spec = stack.policies[Address("RecoveryPlan", "shop")].spec
    assert (5, 7 * 86_400_000) == (spec["machines"]["web"]["tier"], spec["drillEvery"])


def test_machines_that_are_excused_have_a_reason(tmp_path: Path) -> None:
    excused = "{recovery: {excused: [{machine: cache-*, reason: holds nothing}]}}"
    stack = load_stack(tmp_path, {"main.yaml": WHOLE.replace("spec: {}", f"spec: {excused}", 1)})
    assert (Excuse("cache-*", "holds nothing"),) == stack.excused


def test_completion_of_resources_leaves_policies_out() -> None:
    assert SchemaCatalog.installed().policy_kinds == set(candidates.POLICIES)


OTHER = machine("lone", "cdroms: []", "h1", "app: other")
NORTH = document("Site", "north", "hosts: [{host: h3}]")
AGAIN = document("RecoveryPlan", "again", "groups: [{group: §all}]")
TOO = document("ProtectionGroup", "too", "sitePair: both, machines: [{machine: §db}]")
LATER = document("StoragePool", "pool1b", "host: h1, type: dir, path: /1b")
NAMED = "sitePair: both, machines: [{machine: db}, {machine: web}]"
DB = "disks: [{disk: db-root}]"
WEB = "disks: [{disk: web-root}]"

REFUSED: dict[str, tuple[str, str, str]] = {
    "a host at two sites": (
        whole("spec: {hosts: [{host: h2}", "spec: {hosts: [{host: §h1}, {host: h2}"),
        "PRV1434",
        "Host/h1 stands at Site/east already",
    ),
    "a pair of one site": (
        whole("first: east, second: west", "first: east, second: §east"),
        "PRV1434",
        "Site/east is both sites of the pair",
    ),
    "a mapping within one site": (
        whole("{first: lan1, second: lan2}", "{first: lan1, second: §lan1}"),
        "PRV1435",
        "Network/lan1 is at Site/east, expected Site/west",
    ),
    "no way back": (
        whole("second: pool2}", "second: pool2}, {first: pool1b, second: §pool2}", LATER),
        "PRV1435",
        "StoragePool/pool2 takes the place of StoragePool/pool1 already",
    ),
    "a selector of nothing": (
        whole(
            "all}], machines: [{machine: web, tier: 4, after: [{machine: db}]}]", "all}]"
        ).replace("selector: {matchLabels: {app: shop}}", "§selector: {matchLabels: {app: stop}}"),
        "PRV1436",
        "ProtectionGroup/all has no machine",
    ),
    "a machine in two groups": (
        whole(more=TOO),
        "PRV1436",
        "VirtualMachine/db is in ProtectionGroup/all already",
    ),
    "a network that is not mapped": (
        whole("networks: [{first: lan1, second: lan2}], ").replace(
            "spec: {first: east", "§spec: {first: east"
        ),
        "PRV1437",
        "nothing takes the place of Network/lan1 at the other site",
    ),
    "a machine that its host starts": (
        whole(DB, f"autostart: §true, {DB}"),
        "PRV1438",
        "a protected machine may not start by itself when its host boots",
    ),
    "an excluded disk of nobody": (
        whole(GROUP, f"{GROUP}, excludeDisks: [{{disk: §spare}}]", disk("spare")),
        "PRV1439",
        "Disk/spare is plugged into no machine of ProtectionGroup/all",
    ),
    "nothing left to replicate": (
        whole(GROUP, f"{GROUP}, §excludeDisks: [{{disk: db-root}}]"),
        "PRV1439",
        "nothing of VirtualMachine/db is replicated: all of its disks are excluded",
    ),
    "an interval beyond the objective": (
        whole(GROUP, f"{GROUP}, replication: {{interval: §1h}}"),
        "PRV1448",
        "a recovery point every 1h cannot keep an objective of 15m",
    ),
    "two plans of one machine": (
        whole(more=AGAIN),
        "PRV1445",
        "VirtualMachine/db is recovered by RecoveryPlan/shop already",
    ),
    "a stranger": (
        whole(
            "machines: [{machine: web, tier",
            "machines: [{machine: §lone}, {machine: web, tier",
            OTHER,
        ),
        "PRV1446",
        "VirtualMachine/lone is in no group of RecoveryPlan/shop",
    ),
    "a machine that makes room for itself": (
        whole(PLAN, f"{PLAN}, suspend: [{{machine: §db}}]"),
        "PRV1446",
        "VirtualMachine/db is recovered by RecoveryPlan/shop itself",
    ),
    "a later tier": (
        whole("tier: 4, after: [{machine: db}]", "tier: 1, after: [{machine: §db}]"),
        "PRV1447",
        "VirtualMachine/web of tier 1 cannot wait for VirtualMachine/db of tier 3",
    ),
    "a ring": (
        whole(
            "tier: 4, after: [{machine: db}]}",
            "after: [{machine: db}]}, {machine: db, §after: [{machine: web}]}",
        ),
        "PRV1447",
        "machines wait for each other in a ring: "
        "VirtualMachine/db -> VirtualMachine/web -> VirtualMachine/db",
    ),
    "another site": (
        whole("tier: 4,", "real: [{site: §north}], tier: 4,", NORTH),
        "PRV1432",
        "Site/north is not of the plan's pair of sites",
    ),
    "no such card": (
        whole("tier: 4,", "test: [{site: west, nics: [{name: §wan}]}], tier: 4,"),
        "PRV1432",
        "VirtualMachine/web has no network card 'wan'",
    ),
    "no proof of health": (
        whole("tier: 4,", "§health: {timeout: 3m}, tier: 4,"),
        "PRV1105",
        "nothing proves that the machine is up",
    ),
    "no proof for one machine": (
        whole("after: [{machine: db}]", "after: [{machine: db, §health: {onFailure: stop}}]"),
        "PRV1105",
        "nothing proves that the machine is up",
    ),
    "two ways to fence at once": (
        whole(PLAN, f"{PLAN}, fencing: [{{command: {{argv: [cut]}}, §prompt: Cut?}}]"),
        "PRV1110",
        "the field 'prompt' does not go with 'command'",
    ),
    "a guest that is not up yet": (
        whole(
            PLAN,
            PLAN + ", steps: [{name: a, when: §before, machine: db, guestCommand: {argv: [x]}}]",
        ),
        "PRV1110",
        "a command in the guest cannot come before its machine is up",
    ),
    "a bubble on another host": (
        whole(PLAN, f"{PLAN}, bubble: [{{network: lan2, isolated: §lan1}}]"),
        "PRV1449",
        "Network/lan1 lives on h1, expected h2",
    ),
    "a bubble with a way out": (
        whole(
            PLAN,
            f"{PLAN}, bubble: [{{network: lan2, isolated: §wan2}}]",
            document("Network", "wan2", "host: h2, mode: nat, cidr: 10.1.0.0/24"),
        ),
        "PRV1449",
        "Network/wan2 has the mode nat, expected isolated",
    ),
    "a machine outside of the pair": (
        whole(
            GROUP,
            f"{GROUP}, machines: [{{machine: §lone}}]",
            machine("lone", "cdroms: []", "h3", "app: other"),
        ),
        "PRV1435",
        "VirtualMachine/lone lives on h3, which is at neither Site/east nor Site/west",
    ),
    "an output of a later machine": (
        whole(
            WEB, "cloudInit: {pool: pool1, userData: '${VirtualMachine/db.address}'}, " + WEB
        ).replace("tier: 4, after: [{machine: db}]", "tier: §1"),
        "PRV1447",
        "VirtualMachine/web of tier 1 cannot wait for VirtualMachine/db of tier 3",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be(tmp_path: Path, what: str) -> None:
    text, code, summary = REFUSED[what]
    assert summary == one(tmp_path, text, code).summary


def test_how_it_is_said(tmp_path: Path, check_golden: CheckGolden) -> None:
    lines: list[str] = []
    for what, (text, _, _) in REFUSED.items():
        folder = tmp_path / what.replace(" ", "-")
        found = errors(folder, {"main.yaml": text.replace("§", "")})
        lines += [f"# {what}", "", *render_diagnostics(found, 100), ""]
    check_golden("recovery/manifests.txt", "\n".join(lines).replace(f"{tmp_path}/", ""))


def test_a_group_between_two_other_sites_is_not_of_the_same_plan(tmp_path: Path) -> None:
    more = "".join(
        [
            NORTH,
            document("SitePair", "other", "first: west, second: north"),
            document("ProtectionGroup", "rest", "sitePair: other, machines: [{machine: lone}]"),
            document("VirtualMachine", "lone", f"{MEMORY}, placement: {{host: h2}}"),
        ]
    )
    text = whole("groups: [{group: all}]", "groups: [{group: all}, {group: rest}]", more)
    found = errors(tmp_path, {"main.yaml": text})
    assert ["PRV1445", "PRV1435"] == [item.code for item in found]


NATTED = document("Network", "lan2", "host: h2, mode: nat, cidr: 10.2.0.0/24, dhcp: {}")


def moved(address: str) -> str:
    """The estate with a network at the other site that gives addresses, one of them to a machine
    that will come there.
    """
    text = WHOLE.replace(document("Network", "lan2", "host: h2, mode: isolated"), NATTED)
    change = f"real: [{{site: west, nics: [{{name: lan, address: {address}}}]}}], tier: 4,"
    return text.replace("tier: 4,", change)


def test_a_network_reserves_the_addresses_of_machines_that_may_come(tmp_path: Path) -> None:
    stack = load_stack(tmp_path, {"main.yaml": moved("10.2.0.20")})
    card = stack.declarations[Address("VirtualMachine", "web")].spec["nics"]["lan"]
    network = stack.declarations[Address("Network", "lan2")].spec
    assert {card["mac"]: {"address": "10.2.0.20"}} == network["dhcp"]["reservations"]
    assert "address" not in card


def test_an_address_that_the_network_at_the_other_site_has_not(tmp_path: Path) -> None:
    found = one(tmp_path, moved("§10.3.0.20"), "PRV1404")
    assert "the address 10.3.0.20 lies outside of 10.2.0.0/24" == found.summary
