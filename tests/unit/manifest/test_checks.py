"""Rules that go beyond a schema."""

import pytest

from tests.unit.manifest.stacks import NETWORK, POOL, check, one

VM = """\
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {name: NAME}
spec:
  memory: {size: 1GiB}
"""
NET = "apiVersion: provisioner/v1\nkind: Network\nmetadata: {name: net}\nspec:\n"
POOLS = "apiVersion: provisioner/v1\nkind: StoragePool\nmetadata: {name: p}\nspec:\n"
DISKS = (
    "".join(
        f"apiVersion: provisioner/v1\nkind: Disk\nmetadata: {{name: {name}}}\nspec: "
        f"{{pool: images, size: 1GiB}}\n---\n"
        for name in ("root", "data")
    )
    + POOL
)


def vm(text: str, name: str = "web") -> str:
    return VM.replace("NAME", name) + text


@pytest.mark.parametrize(
    ("text", "code", "summary"),
    [
        (vm("  cpu: {count: §4, max: 2}\n"), "PRV1410", "4 processors, more than its max of 2"),
        (
            vm("  cpu: {max: 4, §topology: {sockets: 1, cores: 2, threads: 1}}\n"),
            "PRV1411",
            "1 sockets x 2 cores x 1 threads are 2 processors, expected 4",
        ),
        (
            vm("  cpu: {count: 2, §topology: {sockets: 3, cores: 1, threads: 1}}\n"),
            "PRV1411",
            "expected 2",
        ),
        (
            vm("").replace("{size: 1GiB}", "{size: §2GiB, max: 1GiB}"),
            "PRV1412",
            "2GiB of memory are more than the max of 1GiB",
        ),
        (
            vm("").replace("{size: 1GiB}", "{size: §1500B}"),
            "PRV1109",
            "found '1500B', expected a multiple of 1KiB",
        ),
        (
            vm("").replace("{size: 1GiB}", "{size: §0MiB}"),
            "PRV1109",
            "found '0MiB', expected at least 1KiB",
        ),
        (
            DISKS.replace("size: 1GiB", "size: §0B", 1),
            "PRV1109",
            "found '0B', expected at least 1B",
        ),
        (
            DISKS.replace("size: 1GiB", "size: §99999999999999999999999PiB", 1),
            "PRV1107",
            "'99999999999999999999999PiB' is too large for a size",
        ),
        (
            vm("  shutdownTimeout: §99999999999999999999999d\n"),
            "PRV1107",
            "is too long for a duration",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, gateway: §10.0.1.1}\n",
            "PRV1414",
            "the gateway, 10.0.1.1, lies outside of 10.0.0.0/24",
        ),
        (
            NET
            + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {start: §10.0.1.1, end: 10.0.1.9}}\n".replace(
                "end: ", "end: §"
            ),
            "PRV1414 PRV1414",
            "the start of the DHCP range",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {start: §10.0.0.9, end: 10.0.0.2}}\n",
            "PRV1415",
            "begins with 10.0.0.9, behind its end 10.0.0.2",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {leaseTime: §90s}}\n",
            "PRV1109",
            "found '90s', expected at least 2m",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {leaseTime: §120500ms}}\n",
            "PRV1109",
            "found '120500ms', expected a multiple of 1s",
        ),
        (NET + "  {mode: nat, cidr: §10.77.0.0/32}\n", "PRV1423", "a single address"),
        (NET + "  {mode: nat, cidr6: §'fd00::/128'}\n", "PRV1423", "a single address"),
        (NET + "  {mode: nat, cidr: §0.0.0.0/0}\n", "PRV1423", "0.0.0.0/8 (this network)"),
        (NET + "  {mode: user, cidr: §224.0.0.0/24}\n", "PRV1423", "224.0.0.0/4 (multicast)"),
        (NET + "  {mode: nat, cidr6: §'ff00::/64'}\n", "PRV1423", "ff00::/8 (multicast)"),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, gateway: §10.0.0.0}\n",
            "PRV1414",
            "the gateway, 10.0.0.0, is the address of the network 10.0.0.0/24 itself",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, gateway: §10.0.0.255}\n",
            "PRV1414",
            "the gateway, 10.0.0.255, is the broadcast address of 10.0.0.0/24",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {start: §10.0.0.0, end: 10.0.0.9}}\n",
            "PRV1414",
            "the start of the DHCP range, 10.0.0.0, is the address of the network",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {start: 10.0.0.9, end: §10.0.0.255}}\n",
            "PRV1414",
            "the end of the DHCP range, 10.0.0.255, is the broadcast address",
        ),
        (NET + "  {mode: nat, cidr: 10.0.0.0/31, gateway: 10.0.0.0}\n", "", ""),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, dhcp: {leaseTime: §49711d}}\n",
            "PRV1109",
            "found '49711d', expected at most 49710d",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, forwardDevice: §..}\n",
            "PRV1107",
            "a device name",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, forwardDevice: §a/b}\n",
            "PRV1107",
            "a device name",
        ),
        (
            NET + "  {mode: nat, cidr: 10.0.0.0/24, forwardDevice: §a234567890123456}\n",
            "PRV1107",
            "at most 15",
        ),
        (NET + f"  {{mode: isolated, bridge: §{'s' * 81}}}\n", "PRV1109", "80"),
        (NET + f"  {{mode: isolated, bridge: {'s' * 80}}}\n", "", ""),
        (NET + "  {mode: nat, cidr: 10.0.0.0/24, dns: {domain: §a..b}}\n", "PRV1107", "'a..b'"),
        (NET + "  {mode: user, §mtu: 1500}\n", "PRV1418", "a network of mode user has no 'mtu'"),
        (
            NET + "  {mode: bridge, bridge: br0, §cidr: 10.0.0.0/24}\n",
            "PRV1418",
            "mode bridge has no 'cidr'",
        ),
        (
            NET + "  {mode: bridge, bridge: br0, §mtu: 9000}\n",
            "PRV1418",
            "uses a switch of others, and has no 'mtu'",
        ),
        (NET + "  {mode: bridge, bridge: sw, uplinks: [vmnic1], mtu: 9000}\n", "", ""),
        (
            NET + "  {mode: isolated, §forwardDevice: eth0}\n",
            "PRV1418",
            "mode isolated has no 'forwardDevice'",
        ),
        (
            NET + "  {mode: bridge, bridge: br0, §vlan: 3, virtualSwitch: linux}\n",
            "PRV1418",
            "a bridge of the Linux kernel cannot",
        ),
        (NET + "  {mode: bridge, bridge: sw, vlan: 3}\n", "", ""),
        (
            NET + "  {mode: bridge, bridge: br0, §trunk: ['3'], virtualSwitch: linux}\n",
            "PRV1418",
            "a bridge of the Linux kernel cannot",
        ),
        (
            NET + "  {mode: bridge, bridge: br0, §security: {}, virtualSwitch: openvswitch}\n",
            "PRV1418",
            "a switch of the kind openvswitch has no 'security'",
        ),
        (NET + "  {mode: isolated, vlan: 3, §trunk: ['4']}\n", "PRV1418", "with a vlan has no"),
        (NET + "  {mode: isolated, trunk: [§4]}\n", "PRV1104", "in quotes, such as '10'"),
        (NET + "  {mode: isolated, trunk: ['3', §'9-4']}\n", "PRV1427", "9-4, expected a tag"),
        (NET + "  {mode: isolated, trunk: [§'4000-4095']}\n", "PRV1427", "from 0 to 4094"),
        (NET + "  {mode: isolated, trunk: ['0-4094', '7']}\n", "", ""),
        (
            NET + "  {mode: isolated, teaming: {active: [a, b], standby: [c, §b]}}\n",
            "PRV1409",
            "the uplink b is in active already",
        ),
        (POOLS + "  {type: dir, path: /p, §drs: true}\n", "PRV1418", "type dir has no 'drs'"),
        (
            POOLS + "  {type: cluster, §path: /p, members: []}\n",
            "PRV1418",
            "type cluster has no 'path'",
        ),
        (
            POOLS + "  {type: vmfs, source: {devices: [naa.1], §host: nas}}\n",
            "PRV1418",
            "type vmfs has no 'host'",
        ),
        (
            POOLS + "  {type: logical, source: {volumeGroup: v, devices: [§naa.1]}}\n",
            "PRV1107",
            "an absolute path",
        ),
        (
            POOLS + "  {type: cluster, members: [{pool: images}]}\n---\n"
            "apiVersion: provisioner/v1\nkind: StoragePool\nmetadata: {name: q}\n"
            "spec: {type: cluster, members: [{pool: §images}]}\n---\n" + POOL,
            "PRV1433",
            "StoragePool/images is in StoragePool/p already",
        ),
        (
            POOLS + "  {type: cluster, members: []}\n---\n"
            "apiVersion: provisioner/v1\nkind: StoragePool\nmetadata: {name: q}\n"
            "spec: {type: cluster, members: [{pool: §p}]}\n",
            "PRV1433",
            "StoragePool/p is a cluster itself",
        ),
        (
            vm("  cpu: {reservationMhz: §2000, limitMhz: 1000}\n"),
            "PRV1442",
            "a reservation of 2000 MHz is more than the limit of 1000 MHz",
        ),
        (
            vm("").replace("{size: 1GiB}", "{size: 1GiB, reservation: §2GiB}"),
            "PRV1442",
            "a reservation of 2GiB is more than the size of 1GiB",
        ),
        (
            vm("").replace(
                "{size: 1GiB}", "{size: 1GiB, max: 4GiB, limit: 1GiB, reservation: §2GiB}"
            ),
            "PRV1442",
            "a reservation of 2GiB is more than the limit of 1GiB",
        ),
        (
            vm("").replace("{size: 1GiB}", "{size: 1GiB, max: 4GiB, reservation: 2GiB}"),
            "",
            "",
        ),
        (vm("  cpu: {shares: §0}\n"), "PRV1109", "expected at least 1"),
        (vm("  cpu: {shares: §most}\n"), "PRV1107", "low, normal, high or a number"),
        (
            vm("  nics: [{name: a, network: lan}]\n")
            + "  customization: {nics: [{name: §b}]}\n---\n"
            + NETWORK,
            "PRV1408",
            "the machine has no network card 'b'",
        ),
        (
            vm("  nics: [{name: a, network: lan}]\n")
            + "  customization: {nics: [{name: a, address: §10.0.0.0/24}]}\n---\n"
            + NETWORK,
            "PRV1414",
            "the address, 10.0.0.0, is the address of the network",
        ),
        (
            vm("  nics: [{name: a, network: lan}]\n")
            + "  customization: {nics: [{name: a, address: 10.0.0.9/24, gateway: §10.0.1.1}]}\n"
            + "---\n"
            + NETWORK,
            "PRV1414",
            "the gateway, 10.0.1.1, lies outside of 10.0.0.0/24",
        ),
        (
            vm("  nics: [{name: a, network: lan}]\n")
            + "  customization: {nics: [{name: a, address: §10.0.0.9/99}]}\n---\n"
            + NETWORK,
            "PRV1107",
            "no address with network bits",
        ),
        (NET + "  {mode: §routed}\n", "PRV1419", "mode routed needs addresses"),
        (
            POOLS + "  {type: dir, path: /p, §source: {host: nas}}\n",
            "PRV1418",
            "type dir has no 'source'",
        ),
        (
            POOLS + "  {type: netfs, path: /p, source: {host: n, directory: /d, §target: "
            "iqn.2024-01.a:b}}\n",
            "PRV1418",
            "type netfs has no 'target'",
        ),
        (
            DISKS.replace("1GiB}", "1GiB, format: raw}", 1)
            + "---\n"
            + vm("  disks: [{disk: root}]\n"),
            "",
            "",
        ),
        (
            vm("  disks: [{disk: root, bootOrder: 1}, {disk: data, bootOrder: §1}]\n---\n") + DISKS,
            "PRV1416",
            "bootOrder 1 belongs to disks[root]",
        ),
        (
            vm(
                "  disks: [{disk: root, bootOrder: 2}]\n  nics: [{name: a, network: lan, "
                "bootOrder: §2}]\n---\n"
            )
            + DISKS
            + "---\n"
            + NETWORK,
            "PRV1416",
            "disks[root]",
        ),
        (
            vm("  disks: [{disk: root}]\n---\n")
            + vm("  disks: [{disk: §root}]\n---\n", "db")
            + DISKS,
            "PRV1420",
            "Disk/root is plugged into VirtualMachine/web already",
        ),
        (
            vm("  disks: [{disk: root, readOnly: true}]\n---\n")
            + vm("  disks: [{disk: §root}]\n---\n", "db")
            + DISKS,
            "PRV1420",
            "",
        ),
        (
            vm("  disks: [{disk: root, readOnly: true}]\n---\n")
            + vm("  disks: [{disk: root, readOnly: true}]\n---\n", "db")
            + DISKS,
            "",
            "",
        ),
    ],
)
def test_figures_that_do_not_fit(tmp_path, text, code, summary):
    found = check(tmp_path, text, *code.split())
    assert not found or summary in found[0].summary


IMAGE = """\
apiVersion: provisioner/v1
kind: Image
metadata: {name: i}
spec: {pool: images, source: {volume: v}, format: FORM}
---
"""
FROM_IMAGE = """\
apiVersion: provisioner/v1
kind: Disk
metadata: {name: d}
spec: {pool: images, §image: i}
---
"""


USES = {
    "disk": FROM_IMAGE.replace("§image: i", "image: §i"),
    "drive": vm("  cdroms: [{name: c, image: §i}]\n---\n"),
    "clone": vm("  clone: {image: §i}\n---\n"),
}


@pytest.mark.parametrize(
    ("form", "fitting"),
    [
        ("qcow2", "disk"),
        ("raw", "disk"),
        ("vmdk", "disk"),
        ("iso", "drive"),
        ("ova", "clone"),
        ("template", "clone"),
    ],
)
def test_images_have_the_right_kind_of_format(tmp_path, form, fitting):
    source = "libraryItem: {library: l, item: i}" if form == "template" else "volume: v"
    image = IMAGE.replace("FORM", form).replace("volume: v", source) + POOL
    for use, text in USES.items():
        if use == fitting:
            check(tmp_path, text.replace("§", "") + image)
        else:
            found = one(tmp_path, text + image, "PRV1421")
            assert f"Image/i has the format {form}" in found.summary


@pytest.mark.parametrize(
    ("source", "form"), [("template: t", "ova"), ("volume: v", "template"), ("file: f", "template")]
)
def test_only_a_template_has_the_format_template(tmp_path, source, form):
    image = IMAGE.replace("volume: v", source).replace("FORM", f"§{form}") + POOL
    (tmp_path / "f").write_text("x")
    assert f"has the format {form}" in one(tmp_path, image, "PRV1428").summary


def test_a_raw_disk_is_no_linked_clone(tmp_path):
    image = IMAGE.replace("FORM", "qcow2") + POOL
    disk = FROM_IMAGE.replace("§image: i", "image: i, format: §raw")
    check(tmp_path, disk + image, "PRV1422")
    check(tmp_path, disk.replace("§raw", "raw, clone: full") + image)


def renamed(name: str, old: str) -> str:
    return POOL.replace("{name: images}", f"{{name: {name}, renamedFrom: {old}}}") + "---\n"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (
            renamed("a", "§images") + POOL.replace("/images", "/b"),
            "StoragePool/images is still in the stack",
        ),
        (renamed("a", "§a"), "is its own old name"),
        (
            renamed("a", "x") + renamed("b", "§x").replace("/images", "/b"),
            "was renamed to StoragePool/a already",
        ),
    ],
)
def test_renames_that_cannot_be(tmp_path, text, summary):
    assert summary in one(tmp_path, text, "PRV1430").summary


@pytest.mark.parametrize("reference", ["vault://x", "env://", "env://1A", "password", "${HOME}"])
def test_forms_of_secret_references(tmp_path, reference):
    text = vm(f"  cloudInit: {{userData: {{secretRef: §'{reference}'}}}}\n")
    check(tmp_path, text, "PRV1107")


@pytest.mark.parametrize(
    ("reference", "code"),
    [("'§${Network/lan.bridge}'", "PRV1305"), ("§'env://${Network/lan.bridge}'", "PRV1407")],
)
def test_an_output_cannot_be_a_secret_reference(tmp_path, reference, code):
    text = vm(f"  cloudInit: {{userData: {{secretRef: {reference}}}}}\n---\n") + NETWORK
    check(tmp_path, text, code)


def test_a_word_that_is_not_known_yet_decides_nothing(tmp_path):
    output = "§${VirtualMachine/nope.uuid}"
    networks = NET + f"  mode: {output}\n  bridge: br0\n---\n"
    networks += networks.replace("name: net", "name: other") + NET.replace("net}", "last}")
    pools = POOLS + f"  type: {output}\n  path: /images\n---\n"
    text = f"{networks}  mode: nat\n  cidr: 10.0.0.0/24\n---\n{pools}{POOL}"
    check(tmp_path, text, "PRV1301", "PRV1301", "PRV1301")


TEXT = "text without control characters other than tab and line feed"
LINE = "text of one line without control characters"


@pytest.mark.parametrize(
    ("text", "summary"),
    [
        (vm('  description: §"a\\x01b\\uffff"\n'), f"found 'a\\x01b\\uffff', expected {TEXT}"),
        (vm('  description: §"a\\rb"\n'), f"found 'a\\rb', expected {TEXT}"),
        (vm('  boot: {kernel: /k, cmdline: §"a\\x0bb"}\n'), f"found 'a\\x0bb', expected {TEXT}"),
        (vm('  boot: {kernel: §"/k\\x01"}\n'), "found '/k\\x01', expected an absolute path"),
        (vm('  boot: {kernel: §"/k "}\n'), "found '/k ', expected an absolute path"),
        (
            vm("").replace("NAME", "web").replace("name: web", 'name: web, labels: {a: §"x\\x01"}'),
            f"found 'x\\x01', expected {LINE}",
        ),
        (vm("").replace("name: web", 'name: web, labels: {a: §"x\\ny"}'), f"expected {LINE}"),
        (vm("").replace("name: web", 'name: web, tenant: §"x\\ufffe"'), f"expected {LINE}"),
        (POOLS + '  {type: dir, path: §"/p\\x1f"}\n', "expected an absolute path"),
    ],
)
def test_control_characters_have_no_place_in_definitions(tmp_path, text, summary):
    assert summary in one(tmp_path, text, "PRV1107").summary


def test_text_may_have_lines_and_tabs(tmp_path):
    check(tmp_path, vm('  description: "two\\n\\tlines \\u00e9 \\U0001F600\\n"\n'))
