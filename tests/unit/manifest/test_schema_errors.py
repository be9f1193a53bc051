"""Documents that a schema does not accept: what is said, and where."""

import subprocess
import sys
from textwrap import dedent

import pytest

from tests.unit.manifest.stacks import (
    NETWORK,
    POOL,
    all_of,
    check,
    errors,
    load_stack,
    one,
    places,
)

VM = "apiVersion: provisioner/v1\nkind: VirtualMachine\n"
MACHINE = VM + "metadata: {name: web}\nspec:\n  memory: {size: 1GiB}\n"
NET = "apiVersion: provisioner/v1\nkind: Network\nmetadata: {name: lan}\n"
DISK = "apiVersion: provisioner/v1\nkind: Disk\nmetadata: {name: d}\n"


@pytest.mark.parametrize(
    ("text", "code", "summary", "hint"),
    [
        (
            "apiVersion: provisioner/v1\nkind: §VirtualMachin\n",
            "PRV1102",
            "unknown kind 'VirtualMachin'",
            "'VirtualMachine'",
        ),
        ("apiVersion: provisioner/v1\nkind: §vm\n", "PRV1102", "unknown kind 'vm'", ""),
        ("apiVersion: provisioner/v1\nkind: §7\n", "PRV1102", "found the number 7", ""),
        ("apiVersion: §apps/v1\nkind: Deployment\n", "PRV1101", "found 'apps/v1'", "another tool"),
        ("§metadata: {name: x}\n", "PRV1101", "'kind' is missing", ""),
        (
            NET.replace("v1\n", "v2\n").replace("provisioner/", "§provisioner/")
            + "spec: {mode: user}\n",
            "PRV1106",
            "found 'provisioner/v2', expected provisioner/v1",
            "",
        ),
        (MACHINE + "  §cpus: 2\n", "PRV1103", "unknown field 'cpus' in spec", "'cpu'"),
        (MACHINE + "  §count: 2\n", "PRV1103", "unknown field 'count' in spec", "spec.cpu.count"),
        (
            MACHINE + "  nics: [{name: a, network: lan, §adress: 10.0.0.1}]\n---\n" + NETWORK,
            "PRV1103",
            "unknown field 'adress' in spec.nics[0]",
            "'address'",
        ),
        (
            VM + "metadata: {name: web, §lables: {}}\nspec: {memory: {size: 1GiB}}\n",
            "PRV1103",
            "'lables'",
            "'labels'",
        ),
        (MACHINE + "  cpu: §two\n", "PRV1104", "found 'two', expected a mapping", ""),
        (
            MACHINE + "  cpu: {count: §'2'}\n",
            "PRV1104",
            "found '2', expected a whole number",
            "Remove the quotes",
        ),
        (
            MACHINE + "  cpu: {count: §1.5}\n",
            "PRV1104",
            "found the number 1.5, expected a whole number",
            "",
        ),
        (MACHINE + "  cpu: {count: §true}\n", "PRV1104", "found true, expected a whole number", ""),
        (MACHINE + "  cpu:§\n", "PRV1104", "found nothing, expected a mapping", "remove the field"),
        (
            MACHINE + "  autostart: §yes\n",
            "PRV1104",
            "found 'yes', expected true or false",
            "without quotes",
        ),
        (MACHINE + "  §disks: {disk: a}\n", "PRV1104", "found a mapping, expected a list", "'- '"),
        (
            MACHINE + "  description: §12\n",
            "PRV1104",
            "found the number 12, expected text",
            'quotes: "12"',
        ),
        (
            VM + "metadata: {name: web, labels: {port: §80}}\nspec: {memory: {size: 1GiB}}\n",
            "PRV1104",
            "found the number 80",
            'quotes: "80"',
        ),
        (
            VM + "metadata: {name: web}\n§spec: {}\n",
            "PRV1105",
            "the field 'memory' is missing in spec",
            "a mapping",
        ),
        (
            VM + "§metadata: {}\nspec: {memory: {size: 1GiB}}\n",
            "PRV1105",
            "the field 'name' is missing in metadata",
            "a name of",
        ),
        ("§" + VM + "metadata: {name: web}\n", "PRV1105", "the field 'spec' is missing", ""),
        (
            MACHINE + "  nics:\n    - §name: a\n",
            "PRV1105",
            "the field 'network' is missing in spec.nics[0]",
            "",
        ),
        (
            MACHINE + "  power: §runing\n",
            "PRV1106",
            "found 'runing', expected one of running, stopped, suspended",
            "'running'",
        ),
        (MACHINE + "  power: §true\n", "PRV1106", "found true, expected one of running", ""),
        (MACHINE + "  firmware: {type: §UEFI}\n", "PRV1106", "found 'UEFI'", "'uefi'"),
        (
            VM + "metadata: {name: §Web_1}\nspec: {memory: {size: 1GiB}}\n",
            "PRV1107",
            "found 'Web_1', expected a name",
            "",
        ),
        (
            VM + "metadata: {name: web, labels: {§-x: a}}\nspec: {memory: {size: 1GiB}}\n",
            "PRV1107",
            "found the name '-x', expected a label name",
            "",
        ),
        (
            VM + "metadata: {name: web}\nspec: {memory: {size: §4GX}}\n",
            "PRV1107",
            "found '4GX', expected a size with a unit",
            "",
        ),
        (
            VM + "metadata: {name: web}\nspec: {memory: {size: §0.3B}}\n",
            "PRV1107",
            "not a whole number of bytes",
            "",
        ),
        (
            VM + "metadata: {name: web}\nspec: {memory: {size: §4}}\n",
            "PRV1108",
            "a bare number (4) where a unit is needed",
            "4GiB",
        ),
        (
            VM + "metadata: {name: web}\nspec: {memory: {size: §'4'}}\n",
            "PRV1108",
            "a bare number (4)",
            "",
        ),
        (MACHINE + "  shutdownTimeout: §30\n", "PRV1108", "a bare number (30)", "30s"),
        (
            MACHINE + "  cpu: {count: §0}\n",
            "PRV1109",
            "found the number 0, expected at least 1",
            "",
        ),
        (MACHINE + "  cloudInit: {userDataFile: §''}\n", "PRV1109", "found empty text", ""),
        (
            MACHINE + f"  description: §{'x' * 5000}\n",
            "PRV1109",
            "found 5000 characters, expected at most 4096 characters",
            "",
        ),
        (
            MACHINE + "  §cloudInit: {userData: a, userDataFile: b}\n",
            "PRV1110",
            "expected only one of userData and userDataFile",
            "",
        ),
        (
            NET + "spec: {mode: nat, cidr6: 'fd00::/64', §gateway: 10.0.0.1}\n",
            "PRV1110",
            "'gateway' needs the field 'cidr'",
            "",
        ),
        (NET + "§spec: {mode: bridge}\n", "PRV1105", "'bridge' is missing in spec", ""),
        (
            DISK + "§spec: {pool: images}\n---\n" + POOL,
            "PRV1105",
            "'size' is missing in spec",
            "a size with a unit",
        ),
        (
            DISK + "spec: {pool: images, size: 1GiB, §clone: full}\n---\n" + POOL,
            "PRV1110",
            "'clone' needs the field 'image'",
            "",
        ),
        (
            NET + "spec: {mode: nat, cidr: §10.20.0.1/24}\n",
            "PRV1107",
            "an address within a network",
            "10.20.0.0/24",
        ),
        (NET + "spec: {mode: nat, cidr: §10.20.0.0/40}\n", "PRV1107", "is not an IP network", ""),
        (
            NET + "spec: {mode: nat, cidr: 10.20.0.0/24, gateway: §10.20.0.300}\n",
            "PRV1107",
            "is not an IP address",
            "",
        ),
        (
            NET + "spec: {mode: nat, cidr: 10.20.0.0/24, dns: {forwarders: [9.9.9.9, §9.9.9.9]}}\n",
            "PRV1109",
            "'9.9.9.9' stands in the list twice",
            "",
        ),
        (
            MACHINE
            + "  nics:\n    - {name: a, network: lan}\n    - {name: §a, network: lan}\n---\n"
            + NETWORK,
            "PRV1111",
            "'a' stands in the list twice",
            "",
        ),
        (
            MACHINE + "  nics: [{name: a, network: lan, mac: §52:54:00:12:34}]\n---\n" + NETWORK,
            "PRV1107",
            "expected a MAC address",
            "",
        ),
    ],
)
def test_a_mistake_is_explained(tmp_path, text, code, summary, hint):
    found = one(tmp_path, text, code)
    assert summary in found.summary
    assert hint in found.hint


def test_keys_that_are_the_same_after_all(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: Network
        metadata: {name: lan}
        spec:
          mode: nat
          cidr: 10.20.0.0/24
          dhcp:
            reservations:
              - {mac: 52:54:00:AA:BB:CC, address: 10.20.0.10}
              - {mac: §52-54-00-aa-bb-cc, address: 10.20.0.11}
        """
    assert "'52:54:00:aa:bb:cc' stands in the list twice" == one(tmp_path, text, "PRV1111").summary


def test_all_mistakes_of_one_document(tmp_path):
    text = """\
        apiVersion: provisioner/v1
        kind: VirtualMachine
        metadata: {name: web, §lables: {}}
        spec:
          §cpus: 2
          memory: {size: §4}
          nics:
            - {name: a, network: §lam}
            - {name: b, §networks: lan}
          power: §on
        """
    check(tmp_path, text, "PRV1103", "PRV1103", "PRV1108", "PRV1301", "PRV1103", "PRV1106")


def test_a_field_that_is_only_misspelt_is_not_missing_too(tmp_path):
    assert "Did you mean 'memory'?" == (
        one(tmp_path, VM + "metadata: {name: web}\nspec: {§memroy: {size: 4GiB}}\n", "PRV1103").hint
    )
    # The missing field stands where its section begins.
    text = VM + "metadata: {name: web}\n§spec: {§ram: {size: 4GiB}}\n"
    check(tmp_path, text, "PRV1105", "PRV1103")


@pytest.mark.parametrize(
    ("manage", "missing"), [("[observe]", []), ("[observe, create]", ["PRV1105"])]
)
def test_a_pool_that_is_only_observed_needs_no_type(tmp_path, manage, missing):
    text = "apiVersion: provisioner/v1\nkind: StoragePool\n"
    text += f"metadata: {{name: fast, externalName: Fast 1, manage: {manage}}}\n"
    found = errors(tmp_path, {"main.yaml": text + "spec: {}\n"})
    assert missing == [item.code for item in found]


def test_a_cluster_of_pools_may_have_none(tmp_path):
    text = "apiVersion: provisioner/v1\nkind: StoragePool\nmetadata: {name: all}\n"
    assert [] == errors(tmp_path, {"main.yaml": text + "spec: {type: cluster}\n"})


def test_a_secret_is_not_shown(tmp_path):
    text = (
        VM + "metadata: {name: web}\nspec: {memory: {size: 1GiB}, cloudInit: {userData: §12345}}\n"
    )
    found = one(tmp_path, text, "PRV1104")
    assert "12345" not in found.summary + found.detail


def test_an_overlay_that_breaks_the_schema_is_shown_where_it_stands(tmp_path):
    stack = """\
        apiVersion: provisioner/v1
        kind: Stack
        metadata: {name: shop}
        spec:
          environments:
            prod:
              overlays:
                StoragePool/images:
                  spec: {path: §relative, §size: 1}
        """
    text = dedent(stack) + "---\n" + POOL
    check(tmp_path, text, "PRV1107", "PRV1103", environment="prod")


def test_jsonschema_is_imported_only_to_report(tmp_path):
    load_stack(tmp_path, {"a.yaml": POOL})
    code = f"""
import sys
from pathlib import Path
from provisioner.manifest.catalog import SchemaCatalog
catalog = SchemaCatalog.installed()
catalog.kind("VirtualMachine").impact_of(("cpu", "count"))
assert not {{"yaml", "jsonschema", "jsonschema_rs"}} & set(sys.modules), "by the catalog"
from provisioner.manifest.loader import load
load(Path({str(tmp_path)!r}), catalog)
assert "jsonschema" not in sys.modules, "by loading"
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_a_valid_stack_needs_no_positions(tmp_path, monkeypatch):
    def forbidden(*_arguments, **_options):
        raise AssertionError("a document was read a second time")

    monkeypatch.setattr("provisioner.manifest.places.compose", forbidden)
    monkeypatch.setattr("provisioner.manifest.documents.compose", forbidden)
    assert 2 == len(load_stack(tmp_path, {"a.yaml": POOL + "---\n" + NETWORK}).declarations)


LONG_VALUES = [
    "kind: LONG\n",
    "apiVersion: LONG\nkind: x\n",
    "LONG\n",
    "'LONG': 1\n'LONG': 2\n",
    "a: !LONG 1\n",
    "a: *LONG\n",
    "LONG: LONG: LONG\n",
    "a: " + "9" * 5000 + "\n",
    MACHINE + "  LONG: 1\n",
    MACHINE + "  power: LONG\n",
    MACHINE + "  machineType: LONG/\n",
    MACHINE + "  shutdownTimeout: '" + "9" * 5000 + "'\n",
    MACHINE + "  description: ${var.LONG}\n",
    MACHINE + "  description: ${replica.LONG}\n",
    MACHINE + "  description: ${Network/LONG.x}\n",
    MACHINE + "  description: ${Network/lan.LONG}\n---\n" + NETWORK,
    MACHINE + "  nics: [{name: LONG, network: LONG}]\n",
    MACHINE + "  cloudInit: {metaData: {LONG: 1}, userDataFile: LONG}\n",
    MACHINE.replace("web", "LONG"),
    MACHINE.replace("name: web", "labels: {LONG: 1}, name: web"),
    "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: LONG}\nspec: {}\n",
    "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: s}\n"
    "spec: {variables: {LONG: {type: size, default: LONG}}, policy: {protect: [LONG, ALONG]}}\n",
    "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: s}\nspec: {environments: {e: "
    "{variables: {LONG: 1}, overlays: {Disk/LONG: {}}}}}\n",
]  # fmt: skip


@pytest.mark.parametrize("text", LONG_VALUES)
def test_long_values_are_shortened(tmp_path, text):
    found = all_of(tmp_path, {"a.yaml": text.replace("LONG", "x" * 100_000)})
    shown = [item.summary + item.detail + item.hint + str(item.address) for item in found]
    assert [] == [words for words in shown if len(words) > 700]


def test_a_value_is_shortened_in_the_middle(tmp_path):
    found = one(tmp_path, f"kind: §a{'x' * 5_000_000}z\n", "PRV1102")
    assert f"unknown kind 'a{'x' * 38}...{'x' * 37}z'" == found.summary


def test_of_one_file_no_more_is_shown_than_anybody_reads(tmp_path):
    disk = (
        "apiVersion: provisioner/v1\nkind: Disk\nmetadata: {{name: d{number}}}\nspec: "
        "{{pool: nowhere{number}, size: 1GiB}}\n---\n"
    )
    text = "".join(disk.format(number=number) for number in range(2000)) + "- a\n---\n" * 200
    found = all_of(tmp_path, {"a.yaml": text, "b.yaml": POOL.replace("dir", "dire")})
    assert ["PRV1301 a.yaml:4:14", "PRV1301 a.yaml:9:14"] == places(tmp_path, found[:2])
    assert ["PRV1301 a.yaml:499:14", "PRV1023 a.yaml:499:14"] == places(tmp_path, found[99:101])
    assert "2,100 more errors in this file are not shown" == found[100].summary
    assert ["PRV1106 b.yaml:4:14"] == places(tmp_path, found[101:])


def test_warnings_leave_room_for_errors(tmp_path):
    text = MACHINE + "  description: '" + "${var}" + "${var.x}\n    " * 1 + "'\n"
    text += "  cloudInit: {userData: '" + " ".join(f"${{Foo{n}/a.b}}" for n in range(150)) + "'}\n"
    found = all_of(tmp_path, {"a.yaml": text + "  cpu: two\n"})
    codes = [item.code for item in found]
    assert (100, 1) == (codes.count("PRV1224"), codes.count("PRV1104"))
    assert "51 more warnings in this file are not shown" == found[-1].summary


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("4G", "Did you mean 4GiB or 4GB?"),
        ("4gb", "Did you mean 4GiB or 4GB?"),
        ("1.5 k", "Did you mean 1.5KiB or 1.5kB?"),
        ("1gib", "Did you mean 1GiB?"),
        ("1Mi", "Did you mean 1MiB?"),
        ("4GX", ""),
        ("many", ""),
    ],
)
def test_a_size_in_other_words(tmp_path, written, hint):
    text = VM + f"metadata: {{name: web}}\nspec: {{memory: {{size: §{written}}}}}\n"
    assert hint == one(tmp_path, text, "PRV1107").hint


@pytest.mark.parametrize(
    ("written", "hint"),
    [
        ("30sec", "Did you mean 30s?"),
        ("5 min", "Did you mean 5m?"),
        ("2Hours", "Did you mean 2h?"),
        ("1day", "Did you mean 1d?"),
        ("1m30s", ""),
        ("soon", ""),
    ],
)
def test_a_duration_in_other_words(tmp_path, written, hint):
    text = MACHINE + f"  shutdownTimeout: §{written}\n"
    assert hint == one(tmp_path, text, "PRV1107").hint


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        (
            "§kind: Network\nmetadata: {name: n}\nspec: {mode: user}\n",
            "PRV1105",
            "Add 'apiVersion: provisioner/v1'.",
        ),
        (
            NET + "§spec: {}\n",
            "PRV1105",
            "Add 'mode': one of nat, isolated, routed, bridge, user, native.",
        ),
        (NET + "spec: {mode: user, §vlan: 7}\n", "PRV1418", "Remove 'vlan'."),
        (NET + "spec: {mode: user, §dhcp: {}}\n", "PRV1418", "Remove 'dhcp'."),
        (NET + "spec: {mode: nat, §dhcp: {}}\n", "PRV1110", "Add 'cidr', or remove 'dhcp'."),
        (
            NET + "spec: {mode: nat, cidr: 10.0.0.0/24, §vlan: 7}\n",
            "PRV1418",
            "Use mode bridge, with virtualSwitch: openvswitch or with a bridge over a VLAN device.",
        ),
        (
            NET + "spec: {mode: nat, cidr6: §'fd00::/999'}\n",
            "PRV1107",
            "Expected one such as fd00:20::/64.",
        ),
        (
            NET + "spec: {mode: nat, cidr: §10.0.0.0/99}\n",
            "PRV1107",
            "Expected one such as 10.20.0.0/24.",
        ),
        (
            MACHINE + "  nics: [{name: a, network: lan, link: §on}]\n---\n" + NETWORK,
            "PRV1106",
            "",
        ),
    ],
)
def test_hints_that_mend(tmp_path, text, code, hint):
    assert hint == one(tmp_path, text, code).hint
