"""Replicas and overlays."""

from textwrap import dedent

import pytest

from provisioner.core.address import Address
from tests.unit.manifest.stacks import NETWORK, POOL, check, errors, load_stack, one, places

DISKS = """\
apiVersion: provisioner/v1
kind: Disk
metadata:
  name: data-${replica.index:02}
  replicas: {count: 3}
spec: {pool: images, size: 1GiB}
"""
MACHINE = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: {size: 1GiB}
"""
WEB = Address("VirtualMachine", "web")


def names(stack, kind):
    return [address.name for address in stack.declarations if address.kind == kind]


def test_replicas_are_numbered(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": DISKS + "---\n" + POOL})
    assert ["data-01", "data-02", "data-03"] == names(stack, "Disk")


def test_replicas_may_start_elsewhere_and_be_none(tmp_path):
    text = DISKS.replace("{count: 3}", "{count: 2, start: 10}") + "---\n" + POOL
    assert ["data-10", "data-11"] == names(load_stack(tmp_path, {"a.yaml": text}), "Disk")
    text = DISKS.replace("{count: 3}", "{count: 0}") + "---\n" + POOL
    assert [] == names(load_stack(tmp_path, {"a.yaml": text}), "Disk")


def test_the_number_has_the_type_of_its_field(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: VirtualMachine
        metadata:
          name: web${replica.index}
          labels: {number: "${replica.index}", padded: "${replica.index:03}"}
          replicas: {count: 1, start: 4}
        spec: {memory: {size: 1GiB}, cpu: {count: "${replica.index}"}}
        """
    spec = (
        load_stack(tmp_path, {"a.yaml": text}).declarations[Address("VirtualMachine", "web4")].spec
    )
    assert 4 == spec["cpu"]["count"]
    assert {"number": "4", "padded": "004"} == spec["labels"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("data-${replica.index:02}", "§data", "PRV1223"),
        ("{count: 3}", "{count: §three}", "PRV1104"),
        ("{count: 3}", "{count: §-1}", "PRV1109"),
        ("{count: 3}", "{count: §20000}", "PRV1109"),
        ("  replicas: {count: 3}", "  §replicas: {}", "PRV1105"),
        ("{count: 3}", "{count: '§${var.n}'}", "PRV1220"),
        ("${replica.index:02}", "§${replica.number}", "PRV1221"),
        ("${replica.index:02}", "§${replica.index:x}", "PRV1221"),
        ("\n  replicas: {count: 3}", "", "PRV1222"),
    ],
)
def test_wrong_replicas(tmp_path, old, new, code):
    text = DISKS.replace(old, new)
    if code == "PRV1222":
        text = text.replace("data-", "data-§")
    check(tmp_path, text + "---\n" + POOL, code)


def test_one_mistake_in_all_replicas_is_reported_once(tmp_path):
    check(tmp_path, DISKS.replace("size: 1GiB", "size: §1") + "---\n" + POOL, "PRV1108")


def test_two_documents_with_one_address(tmp_path):
    text = DISKS + "---\n" + DISKS.replace("data-${replica.index:02}", "§data-0${replica.index}")
    found = errors(tmp_path, {"a.yaml": text.replace("§", "") + "---\n" + POOL})
    assert ["PRV1311 a.yaml:11:9"] * 3 == places(tmp_path, found)
    assert [f"Disk/data-0{number} is declared twice" for number in (1, 2, 3)] == [
        item.summary for item in found
    ]


STACK = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec:
  environments:
    dev: {}
    prod:
      overlays:
"""
WEBS = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata:
  name: web${replica.index}
  labels: {tier: web, old: x}
  replicas: {count: 1}
spec:
  cpu: {count: 1, max: 2}
  memory: {size: 1GiB}
  disks:
    - disk: root${replica.index}
      bus: scsi
      bootOrder: 1
    - disk: scratch
  nics: [{name: a, network: lan}]
---
apiVersion: provisioner/v1
kind: Disk
metadata: {name: 'root${replica.index}', replicas: {count: 2}}
spec: {pool: images, size: 1GiB}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {name: scratch}
spec: {pool: images, size: 1GiB}
---
"""


def overlaid(overlay: str) -> str:
    below = dedent(overlay).replace("\n", "\n        ").rstrip(" ")
    return STACK + "        " + below + "---\n" + WEBS + POOL + "---\n" + NETWORK


OVERLAY = """\
VirtualMachine/web${replica.index}:
  metadata: {replicas: {count: 2}, labels: {env: prod, old: null}}
  spec:
    cpu: {count: 4, max: null}
    disks:
      - {disk: scratch, $remove: true}
      - {disk: 'root${replica.index}', bus: virtio, cache: none}
    nics:
      - {name: b, network: lan}
"""


def test_an_overlay_is_merged(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": overlaid(OVERLAY)}, "prod")
    assert ["web1", "web2"] == names(stack, "VirtualMachine")
    assert {
        "cpu": {"count": 4},
        "memory": {"size": 2**30},
        "disks": {"root2": {"bus": "virtio", "bootOrder": 1, "cache": "none"}},
        "nics": {"a": {"network": "lan"}, "b": {"network": "lan"}},
        "labels": {"tier": "web", "env": "prod"},
    } == stack.declarations[Address("VirtualMachine", "web2")].spec


def test_other_environments_do_not_have_it(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": overlaid(OVERLAY)}, "dev")
    assert {"count": 1, "max": 2} == stack.declarations[Address("VirtualMachine", "web1")].spec[
        "cpu"
    ]


@pytest.mark.parametrize("environment", ["prod", "dev", None])
def test_an_overlay_for_nothing(tmp_path, environment):
    text = overlaid("§VirtualMachine/wob${replica.index}:\n  spec: {autostart: true}\n")
    found = one(tmp_path, text, "PRV1230", environment=environment)
    assert "'VirtualMachine/web${replica.index}'" in found.hint


@pytest.mark.parametrize(
    ("element", "code"),
    [
        ("{disk: scrotch, §$remove: true}", "PRV1232"),
        ("{disk: scratch, $remove: §false}", "PRV1232"),
        ("{disk: scratch, bus: §ede}", "PRV1106"),
        ("{disk: §fresh}", "PRV1301"),
        ("{§bus: ide}", "PRV1105"),
    ],
)
def test_mistakes_in_an_overlay_are_shown_there(tmp_path, element, code):
    overlay = f"VirtualMachine/web${{replica.index}}:\n  spec:\n    disks:\n      - {element}\n"
    if code == "PRV1105":
        overlay = overlay.replace("{§", "§{")
    check(tmp_path, overlaid(overlay), code, environment="prod")


def test_elements_of_an_overlay_are_shown_by_their_own_numbers(tmp_path):
    overlay = """\
VirtualMachine/web${replica.index}:
  spec:
    disks:
      - {disk: scratch, $remove: §yes}
      - {disk: 'root${replica.index}', §buss: ide}
      - §{bus: scsi}
      - §foo
    nics:
      - {name: a, mac: §x}
      - {name: b, network: §nope}
"""
    codes = ["PRV1232", "PRV1103", "PRV1105", "PRV1104", "PRV1107", "PRV1301"]
    check(tmp_path, overlaid(overlay), *codes, environment="prod")


def test_elements_of_the_base_are_shown_by_their_own_numbers(tmp_path):
    overlay = """\
VirtualMachine/web${replica.index}:
  spec:
    disks: [{disk: 'root${replica.index}', $remove: true}, {disk: new, bus: ide}]
"""
    text = overlaid(overlay).replace("- disk: scratch\n", "- disk: scratch\n    - §7\n")
    text = text.replace("disk: new", "disk: §new")
    check(tmp_path, text, "PRV1301", "PRV1104", environment="prod")


def test_a_key_stands_once_in_a_list_of_an_overlay(tmp_path):
    overlay = """\
VirtualMachine/web${replica.index}:
  spec:
    nics:
      - {name: a, model: e1000}
      - {name: §a, model: rtl8139}
      - {name: b, network: lan}
      - {name: §b, network: lan}
"""
    check(tmp_path, overlaid(overlay), "PRV1111", "PRV1111", environment="prod")


def test_an_element_may_be_put_in_the_place_of_one_that_is_taken_out(tmp_path):
    overlay = """\
VirtualMachine/web${replica.index}:
  spec:
    disks:
      - {disk: 'root${replica.index}', $remove: true}
      - {disk: 'root${replica.index}', cache: none}
"""
    stack = load_stack(tmp_path, {"a.yaml": overlaid(overlay)}, "prod")
    disks = stack.declarations[Address("VirtualMachine", "web1")].spec["disks"]
    assert {"scratch": {}, "root1": {"cache": "none"}} == disks


def test_elements_whose_key_is_a_placeholder_have_their_places(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec: {variables: {card: {type: string, default: front}}}
        ---
        apiVersion: provisioner/v1
        kind: VirtualMachine
        metadata: {name: "web${replica.index}", replicas: {count: 1}}
        spec:
          memory: {size: 1GiB}
          disks:
            - disk: other
            - disk: §nope-${replica.index}
          nics:
            - {name: other, network: lan}
            - {name: "${var.card}-${replica.index:02}", network: lan, address: §10.0.0.1}
        ---
        apiVersion: provisioner/v1
        kind: Network
        metadata: {name: "lan"}
        spec:
          mode: nat
          cidr: 10.20.0.0/24
          dhcp:
            reservations:
              - {mac: 52-54-00-AA-00-01, address: 10.20.0.9}
              - {mac: 52-54-00-AA-00-02, address: §10.0.0.2}
        ---
        apiVersion: provisioner/v1
        kind: Disk
        metadata: {name: other}
        spec: {pool: images, size: 1GiB}
        """
    check(tmp_path, dedent(text) + "---\n" + POOL, "PRV1301", "PRV1404", "PRV1404")


@pytest.mark.parametrize("environment", ["prod", "dev", None])
def test_overlays_of_every_environment_are_checked_once(tmp_path, environment):
    overlay = """\
VirtualMachine/web${replica.index}:
  metadata: {replicas: {count: 1}}
  spec:
    memory: {§sizes: 2GiB, max: §7}
    description: "§${var.nope} ${replica.index}"
    disks: [{disk: scrotch, §$remove: true}]
    nics: [§{name: b, mac: §x}, {name: a, mac: §00:00:00:00:00}]
"""
    codes = ["PRV1103", "PRV1108", "PRV1220", "PRV1232", "PRV1105", "PRV1107", "PRV1107"]
    check(tmp_path, overlaid(overlay), *codes, environment=environment)


@pytest.mark.parametrize("environment", ["prod", "dev", None])
def test_a_mistake_in_the_base_is_told_once_for_all_environments(tmp_path, environment):
    overlay = """\
VirtualMachine/web${replica.index}:
  metadata: {replicas: {count: 1}}
  spec: {cpu: {count: 2}}
"""
    text = overlaid(overlay).replace("  memory: {size: 1GiB}\n", "").replace("bus: scsi", "bus: §x")
    text = text.replace("spec:\n  cpu: {count: 1, max: 2}", "§spec:\n  cpu: {count: 1, max: 2}")
    check(tmp_path, text, "PRV1105", "PRV1106", environment=environment)


def test_the_name_cannot_be_changed_in_an_overlay(tmp_path):
    overlay = "VirtualMachine/web${replica.index}:\n  §metadata: {name: x}\n"
    found = one(tmp_path, overlaid(overlay), "PRV1110", environment="prod")
    assert "fields of metadata other than name" in found.summary


@pytest.mark.parametrize(
    ("name", "code"), [("!x scratch", "PRV1015"), ("7", "PRV1104"), ("Scratch", "PRV1107")]
)
def test_an_overlay_for_a_manifest_whose_name_is_wrong(tmp_path, name, code):
    """It may be the one that is meant."""
    overlay = "Disk/scratch:\n  spec: {size: 2GiB}\n"
    text = overlaid(overlay).replace("    - disk: scratch\n", "")
    text = text.replace("metadata: {name: scratch}", f"metadata: {{name: §{name}}}")
    check(tmp_path, text, code)
    found = errors(tmp_path, {"main.yaml": text.replace("§", "").replace("Disk/s", "Image/s")})
    assert {code, "PRV1230"} == {item.code for item in found}


@pytest.mark.parametrize("environment", ["prod", "dev", None])
def test_an_overlay_for_the_stack_itself(tmp_path, environment):
    text = overlaid("§Stack/shop:\n  spec: {policy: {maxImpact: restart}}\n")
    assert "--max-impact" in one(tmp_path, text, "PRV1231", environment=environment).hint


def test_a_mistake_in_the_base_is_shown_in_the_base(tmp_path):
    text = overlaid("VirtualMachine/web${replica.index}:\n  spec: {autostart: true}\n")
    check(tmp_path, text.replace("bus: scsi", "bus: §scsy"), "PRV1106", environment="prod")


def test_a_document_without_replicas_is_checked_all_the_same(tmp_path):
    text = DISKS.replace("{count: 3}", "{count: 0}").replace("1GiB", "§1")
    check(tmp_path, text + "---\n" + POOL, "PRV1108")


def test_nothing_is_missing_while_replicas_cannot_be_counted(tmp_path):
    machine = MACHINE + "  disks: [{disk: data-01}]\n---\n"
    text = DISKS.replace("{count: 3}", "{count: §x}")
    check(tmp_path, machine + text + "---\n" + POOL, "PRV1104")


def test_names_that_would_have_to_wait(tmp_path):
    text = POOL.replace(
        "name: images", "name: 'a${Network/lan.bridge}', renamedFrom: §'${Network/lan.bridge}'"
    )
    check(tmp_path, text.replace("'a$", "§'a$") + "---\n" + NETWORK, "PRV1310", "PRV1310")


@pytest.mark.parametrize("value", ["${anything}", "$${var.x}"])
def test_what_stands_for_nothing_passes_no_pattern(tmp_path, value):
    found = one(tmp_path, MACHINE + f"  machineType: §'{value}'\n", "PRV1107")
    assert (
        f"found '{value.replace('$$', '$')}', expected the name of a machine type" == found.summary
    )
