"""References, hosts and outputs."""

import pytest

from provisioner.core.actions import Impact
from provisioner.core.address import Address
from provisioner.manifest.model import Reference
from tests.unit.manifest.stacks import (
    BASE,
    NETWORK,
    POOL,
    all_of,
    check,
    errors,
    load_stack,
    one,
    places,
)

DISK = """\
apiVersion: provisioner/v1
kind: Disk
metadata: {name: root}
spec: {pool: images, image: debian, size: 2GiB}
---
"""
IMAGE = """\
apiVersion: provisioner/v1
kind: Image
metadata: {name: debian}
spec: {pool: images, source: {volume: debian.qcow2}, format: qcow2}
---
"""
WEB = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: {size: 1GiB}
  disks: [{disk: root, readOnly: true}]
  nics: [{name: a, network: lan}]
  description: on ${Network/lan.bridge}
  cloudInit: {userData: "${Disk/root.path}"}
---
"""
ALL = DISK + IMAGE + WEB + POOL + "---\n" + NETWORK
MACHINE = Address("VirtualMachine", "web")


def test_references_are_collected(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": ALL})
    assert (
        Reference(("disks", "root"), Address("Disk", "root")),
        Reference(("nics", "a", "network"), Address("Network", "lan")),
        Reference(("description",), Address("Network", "lan"), "bridge"),
        Reference(("cloudInit", "userData"), Address("Disk", "root"), "path"),
    ) == stack.declarations[MACHINE].references
    assert (
        Reference(("pool",), Address("StoragePool", "images")),
        Reference(("image",), Address("Image", "debian")),
    ) == stack.declarations[Address("Disk", "root")].references


def test_outputs_become_markers(tmp_path):
    spec = load_stack(tmp_path, {"a.yaml": ALL}).declarations[MACHINE].spec
    assert {"$template": ["on ", {"$unknown": "Network/lan:bridge"}]} == spec["description"]
    assert {"$unknown": "Disk/root:path"} == spec["cloudInit"]["userData"]


@pytest.mark.parametrize(
    ("old", "new", "code", "summary", "hint"),
    [
        ("disk: root", "disk: §rot", "PRV1301", "there is no Disk 'rot'", "'root'"),
        ("disk: root", "disk: §zzz", "PRV1301", "there is no Disk 'zzz'", "root"),
        ("disk: root", "disk: §lan", "PRV1302", "'lan' is a Network, expected a Disk", "root"),
        (
            "network: lan",
            "network: §images",
            "PRV1302",
            "'images' is a StoragePool, expected a Network",
            "lan",
        ),
        (
            "pool: images, image",
            "pool: §lab, image",
            "PRV1302",
            "'lab' is a Host, expected a StoragePool",
            "",
        ),
        (
            "{pool: images, source",
            "{pool: §imags, source",
            "PRV1301",
            "no StoragePool 'imags'",
            "'images'",
        ),
        (
            "Network/lan.bridge",
            "§${Network/lam.bridge}",
            "PRV1301",
            "there is no Network 'lam'",
            "'lan'",
        ),
        ("Network/lan.bridge", "§${Disk/lan.path}", "PRV1302", "'lan' is a Network", ""),
        ("Network/lan.bridge", "§${Network/lan.bridg}", "PRV1304", "no output 'bridg'", "'bridge'"),
        ("Network/lan.bridge", "§${Network/lan.x}", "PRV1304", "no output 'x'", "bridge"),
        ("Network/lan.bridge", "§${Network/lan.bridge.x}", "PRV1304", "no output 'bridge.x'", ""),
        (
            "Network/lan.bridge",
            "§${VirtualMachine/web.address}",
            "PRV1306",
            "an output of its own",
            "",
        ),
        (
            "network: lan",
            "network: '§${Disk/root.path}'",
            "PRV1310",
            "cannot come from another",
            "",
        ),
        ("network: lan", "network: '§${lan}'", "PRV1107", "found '${lan}', expected a name", ""),
    ],
)
def test_wrong_references(tmp_path, old, new, code, summary, hint):  # noqa: PLR0917 - a table's columns
    text = (
        ALL.replace("${Network/lan.bridge}", new)
        if old == "Network/lan.bridge"
        else ALL.replace(old, new)
    )
    text = text.replace("network: '§", "network: §'")
    found = one(tmp_path, text, code)
    assert summary in found.summary
    assert hint in found.hint
    assert found.address in {"VirtualMachine/web", "Disk/root", "Image/debian", None}


def test_a_mapping_of_outputs_cannot_stand_alone(tmp_path):
    other = (
        WEB.replace("web", "db")
        .replace("disks: [{disk: root}]", "")
        .replace("Network/lan.bridge", "VirtualMachine/web.mac")
    )
    text = ALL + "---\n" + other.replace("${Virt", "§${Virt").replace("---\n", "")
    assert "${VirtualMachine/web.mac.NAME}" in one(tmp_path, text, "PRV1305").hint


def test_names_with_dots_are_read_as_the_longest_that_exists(tmp_path):
    other = NETWORK.replace("lan", "lan.bridge").replace("10.20", "10.21")
    text = (ALL + "---\n" + other).replace("${Network/lan.bridge}", "${Network/lan.bridge.bridge}")
    stack = load_stack(tmp_path, {"a.yaml": text})
    assert {"$unknown": "Network/lan.bridge:bridge"} == stack.declarations[MACHINE].spec[
        "description"
    ]["$template"][1]


def test_an_output_may_stand_where_its_values_have_the_form_of_the_field(tmp_path):
    text = ALL.replace("  description:", '  machineType: "${Network/lan.bridge}"\n  description:')
    spec = load_stack(tmp_path, {"a.yaml": text}).declarations[MACHINE].spec
    assert {"$unknown": "Network/lan:bridge"} == spec["machineType"]


UUID = "the output 'uuid' is text such as '6fa459ea-ee8a-5ca4-894e-db77e160355e', expected "


@pytest.mark.parametrize(
    ("field", "summary", "hint"),
    [
        ("cpu: {count: '§${VirtualMachine/db.uuid}'}", UUID + "a whole number", "No output"),
        ("autostart: '§${VirtualMachine/db.uuid}'", UUID + "true or false", "No output"),
        ("power: '§${VirtualMachine/db.uuid}'", UUID + "one of running, stopped", "No output"),
        ("shutdownTimeout: '§${VirtualMachine/db.uuid}'", UUID + "a duration", "No output"),
        (
            "nics: [{name: a, network: lan, mac: '§${VirtualMachine/db.uuid}'}]",
            UUID + "a MAC",
            "mac.NAME",
        ),
        (
            "nics: [{name: a, network: lan, address: '§${VirtualMachine/db.uuid}'}]",
            UUID,
            ": address.",
        ),
        (
            "description: '§${VirtualMachine/db.addresses}'",
            "'addresses' is a list, expected text",
            ": uuid, id, address, mac.NAME.",
        ),
        (
            "description: 'at §${VirtualMachine/db.addresses}'",
            "is a list, expected a single value",
            "address",
        ),
        (
            "disks: [{disk: root, readOnly: true, serial: '§${Disk/root.path}'}]",
            "expected at most 36 letters",
            ": volume.",
        ),
    ],
)
def test_an_output_has_to_fit_the_field_that_it_stands_in(tmp_path, field, summary, hint):
    machine = WEB.partition("  disks:")[0]
    db, other = machine.replace("web", "db"), machine.replace("web", "x") + f"  {field}\n"
    found = one(tmp_path, "---\n".join([ALL, db, other]), "PRV1305")
    assert summary in found.summary
    assert hint in found.hint


@pytest.mark.parametrize(
    ("output", "summary", "hint"),
    [
        (
            "VirtualMachine/web.mac.b",
            "VirtualMachine/web has no output 'mac.b'",
            "Did you mean 'mac.a'?",
        ),
        ("Host/lab.x", "Host/lab has no output 'x'", "It has: none."),
    ],
)
def test_outputs_that_cannot_exist(tmp_path, output, summary, hint):
    network = NETWORK.replace("name: lan", f"name: other, tenant: '§${{{output}}}'").replace(
        "20", "21"
    )
    found = one(tmp_path, ALL + "---\n" + network, "PRV1304")
    assert (summary, hint) == (found.summary, found.hint)


def test_an_output_within_text_is_no_number(tmp_path):
    text = ALL.replace(
        "  description:", '  cpu: {count: §"1${Network/lan.bridge}"}\n  description:'
    )
    check(tmp_path, text, "PRV1104")


def test_nothing_is_missing_while_a_document_cannot_be_read(tmp_path):
    assert ["PRV1010 b.yaml:1:4"] == places(
        tmp_path, errors(tmp_path, {"a.yaml": WEB + POOL, "b.yaml": "a: [\n "})
    )


def test_elements_without_a_key_of_their_own_are_looked_through(tmp_path):
    text = (
        WEB.split("spec:", maxsplit=1)[0]
        + """\
spec:
  memory: {size: 1GiB}
  nics:
    - §{network: §nope}
    - {name: §"a b", network: §nope2}
    - {name: c, network: lan}
    - §7
    - {name: §c, network: §nope3}
    - {name: d, network: §nope4}
  cdroms: [§{image: §nope5}]
---
"""
    )
    missing = "PRV1301"
    codes = [
        "PRV1105", missing, "PRV1107", missing, "PRV1104", "PRV1111", missing, missing,
        "PRV1105", missing,
    ]  # fmt: skip
    check(tmp_path, text + NETWORK, *codes)


@pytest.mark.parametrize("name", ["web", "Web_1"])
def test_a_resource_whose_name_cannot_be_its_own_is_checked(tmp_path, name):
    other = WEB.replace("name: web", f"name: §{name}").replace("network: lan", "network: §nope")
    other = other.replace("1GiB}", "1GiB, max: 1MiB}").replace("size: 1GiB", "size: §1GiB")
    code = "PRV1311" if name == "web" else "PRV1107"
    check(tmp_path, ALL + "---\n" + other, code, "PRV1412", "PRV1301")


def test_a_host_whose_name_cannot_be_its_own_is_checked(tmp_path):
    host = BASE.split("---\n")[1].replace("{provider", "{§port: 1, provider")
    check(tmp_path, BASE + "---\n" + host.replace("lab", "§lab"), "PRV1311", "PRV1103")


def test_an_unknown_variable_hides_no_wrong_output_beside_it(tmp_path):
    text = ALL.replace(
        "on ${Network/lan.bridge}", "'§${var.x} §${Disk/nope.path} ${Disk/root.path}'"
    )
    check(tmp_path, text, "PRV1220", "PRV1301")


def test_a_resource_with_mistakes_is_there_all_the_same(tmp_path):
    check(tmp_path, ALL.replace("size: 2GiB", "size: §2"), "PRV1108")


HOSTS = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {name: shop}
spec: {DEFAULTS}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: one}
spec: {provider: memory}
---
apiVersion: provisioner/v1
kind: Host
metadata: {name: two}
spec: {provider: memory}
---
"""


def two_hosts(defaults: str = "", text: str = ALL) -> str:
    return HOSTS.replace("DEFAULTS", defaults) + text


def test_the_only_host_is_meant(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": ALL})
    assert {"lab"} == {declaration.host for declaration in stack.declarations.values()}


def test_the_default_host_is_meant(tmp_path):
    stack = load_stack(tmp_path, {"a.yaml": two_hosts("defaults: {host: two}")})
    assert {"two"} == {declaration.host for declaration in stack.declarations.values()}


def test_a_disk_lives_where_its_pool_is(tmp_path):
    text = ALL.replace("path: /images", "path: /images, host: one")
    text = text.replace("mode: nat", "mode: nat, host: one").replace(
        "  memory:", "  placement: {host: one}\n  memory:"
    )
    stack = load_stack(tmp_path, {"a.yaml": two_hosts("defaults: {host: two}", text)})
    assert {"one"} == {declaration.host for declaration in stack.declarations.values()}
    host = Reference(("host",), Address("Host", "one"))
    assert host not in stack.declarations[Address("Network", "lan")].references


def test_a_host_that_cannot_be_told(tmp_path):
    found = errors(tmp_path, {"a.yaml": two_hosts()})
    assert {"PRV1312"} == {item.code for item in found}
    assert ["VirtualMachine/web", "StoragePool/images", "Network/lan"] == [
        item.address for item in found
    ]
    assert "spec.placement.host" in found[0].hint
    assert "one, two" in found[0].detail


def test_no_host_at_all_is_said_once(tmp_path):
    text = (
        BASE.split("---\n")[0]
        + "---\n§"
        + WEB.replace("§", "")
        + DISK
        + IMAGE
        + POOL
        + "---\n"
        + NETWORK
    )
    (tmp_path / "zz-base.yaml").touch()
    from tests.unit.manifest import stacks  # noqa: PLC0415

    stacks.write(tmp_path, {"main.yaml": text})
    assert ["PRV1312 main.yaml:6:1"] == places(tmp_path, stacks.errors_of(tmp_path))


@pytest.mark.parametrize(
    ("defaults", "old", "new", "code"),
    [
        ("defaults: {host: §tow}", "", "", "PRV1301"),
        ("defaults: {host: §lan}", "", "", "PRV1302"),
        ("defaults: {host: one}", "mode: nat", "mode: nat, host: §three", "PRV1301"),
        ("defaults: {host: one}", "path: /images", "path: /images, host: §lan", "PRV1302"),
    ],
)
def test_wrong_hosts(tmp_path, defaults, old, new, code):
    text = ALL.replace(old, new) if old else ALL
    check(tmp_path, two_hosts(defaults, text), code)


def test_what_is_used_lives_on_the_same_host(tmp_path):
    text = ALL.replace("mode: nat", "mode: nat, host: two").replace("network: lan", "network: §lan")
    found = one(tmp_path, two_hosts("defaults: {host: one}", text), "PRV1313")
    assert "Network/lan lives on two, and VirtualMachine/web on one" == found.summary


def test_protection_and_policy(tmp_path):
    text = two_hosts(
        "defaults: {host: one}, policy: {maxImpact: restart, protect: [Disk, 'Net*/l*', Snapshot]}"
    )
    stack = load_stack(
        tmp_path, {"a.yaml": text.replace("{name: debian}", "{name: debian, protect: true}")}
    )
    assert Impact.RESTART is stack.max_impact
    protected = {str(address) for address, item in stack.declarations.items() if item.protect}
    assert {"Disk/root", "Network/lan", "Image/debian"} == protected
    assert ["PRV1431"] == [item.code for item in stack.warnings]


@pytest.mark.parametrize(
    ("pattern", "near"),
    [("Dsk", "'Disk'"), ("Disks/data", "'Disk'"), ("Virtual/*", ""), ("X*", "")],
)
def test_an_unknown_kind_protects_nothing(tmp_path, pattern, near):
    text = two_hosts(f"defaults: {{host: one}}, policy: {{protect: [Network, §{pattern}]}}")
    (found,) = all_of(tmp_path, {"main.yaml": text.replace("§", "")})
    assert near in found.hint
    check(tmp_path, text, "PRV1102")


def test_a_pattern_may_name_several_kinds(tmp_path):
    check(tmp_path, two_hosts("defaults: {host: one}, policy: {protect: ['D*sk', '*', '[DN]*/x']}"))


def test_a_pattern_may_match_what_cannot_be_read(tmp_path):
    text = two_hosts("defaults: {host: one}, policy: {protect: [Snapshot]}")
    for kind, warned in (("Snapshot", False), ("Disk", True)):
        broken = f"apiVersion: provisioner/v1\nkind: {kind}\nmetadata: [\n"
        found = all_of(tmp_path, {"a.yaml": text, "b.yaml": broken})
        assert warned == ("PRV1431" in {item.code for item in found})


def test_a_pattern_that_matches_nothing_is_shown(tmp_path):
    text = two_hosts("defaults: {host: one}, policy: {protect: [Network, 'Disk/db*']}")
    (found,) = load_stack(tmp_path, {"a.yaml": text}).warnings
    assert found.source is not None
    assert ("PRV1431", 4) == (found.code, found.source.line)
    assert "'Disk/db*'" == found.source.text[found.source.column - 1 :][: found.source.length]


def test_metadata_of_a_declaration(tmp_path):
    text = ALL.replace(
        "{name: root}",
        "{name: root, renamedFrom: old, replace: delete-first, tenant: t, labels: {a: b}}",
    )
    disk = load_stack(tmp_path, {"a.yaml": text}).declarations[Address("Disk", "root")]
    assert ("old", "delete-first", False) == (disk.renamed_from, disk.replace_order, disk.protect)
    assert ("t", {"a": "b"}) == (disk.spec["tenant"], disk.spec["labels"])


def test_places_of_fields(tmp_path):
    stack = load_stack(
        tmp_path,
        {
            "main.yaml": WEB.replace("{name: web}", "{name: web, labels: {tier: a}}")
            + DISK
            + IMAGE
            + POOL
            + "---\n"
            + NETWORK
        },
    )

    def place(*path):
        found = stack.locate(MACHINE, path)
        assert found is not None
        return f"{found.line}:{found.column} {found.text[found.column - 1 :][: found.length]}"

    assert "1:1 a" == place()
    assert "6:18 root" == place("disks", "root")
    assert "6:11 {" == place("disks", "root", "bus")
    assert "7:29 lan" == place("nics", "a", "network")
    assert "3:38 a" == place("labels", "tier")
    assert "5:3 memory" == place("memory", "max")
    assert stack.locate(Address("Disk", "none")) is None
    assert stack.declarations[MACHINE].source == stack.locate(MACHINE)


def test_a_host_cannot_wait_for_an_output(tmp_path):
    text = BASE.replace(
        "{provider: memory}",
        "{provider: memory, connection: {uri: 'x§${Network/lan.bridge}', a: '$${x}'}}",
    )
    check(tmp_path, text + "---\n" + NETWORK, "PRV1307")
    stack = load_stack(tmp_path, {"main.yaml": text.replace("§${Network/lan.bridge}", "")})
    assert {"uri": "x", "a": "${x}"} == stack.hosts["lab"].spec["connection"]
