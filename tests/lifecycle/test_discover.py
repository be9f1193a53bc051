"""What is on an endpoint as manifests: names, references, what is left out and what is said about
it.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.core.address import Address
from provisioner.core.diagnostics import ProvisionerError
from provisioner.core.identity import Stamp
from provisioner.providers.api import Description
from provisioner_plugins.memory.provider import MemoryProvider
from tests.lifecycle.discovering import OTHERS, Found
from tests.lifecycle.scenario import outline

VM = "VirtualMachine"
POOL = {"type": "dir", "path": "/images"}
LAN = {"mode": "isolated", "cidr": "10.0.0.0/24"}
WHOLE = {
    "cpu": {"count": 2, "max": 2},
    "memory": {"size": 2**32, "max": 2**32},
    "disks": {"root.qcow2": {"bus": "virtio", "readOnly": False}},
    "nics": {"lan": {"network": "Lab Net", "mac": "52:54:00:00:00:01", "model": "virtio"}},
    "console": {"serial": True, "graphics": "none", "listen": "127.0.0.1"},
    "firmware": {"type": "bios", "tpm": False},
    "power": "running",
    "labels": {},
}


@pytest.fixture
def found(tmp_path: Path) -> Found:
    return Found(tmp_path)


@pytest.fixture
def lab(found: Found) -> Found:
    """A machine with a disk in a pool and a card in a network."""
    found.outside.add("Network", "Lab Net", LAN)
    found.outside.add("StoragePool", "Images", POOL)
    found.outside.add("Disk", "root.qcow2", {"pool": "Images", "size": 2**30})
    found.machine("Web 01", WHOLE)
    return found


def test_a_manifest_says_what_an_author_would(lab: Found) -> None:
    lab.discover()
    assert {
        "apiVersion": "provisioner/v1",
        "kind": VM,
        "metadata": {"name": "web-01", "externalName": "Web 01"},
        "spec": {
            "cpu": {"count": 2},
            "memory": {"size": "4GiB"},
            "disks": [{"disk": "root.qcow2"}],
            "nics": [{"name": "lan", "network": "lab-net", "mac": "52:54:00:00:00:01"}],
        },
    } == lab.document(VM, "web-01")
    assert {"pool": "images", "size": "1GiB"} == lab.spec("Disk", "root.qcow2")


def test_the_law(lab: Found) -> None:
    """Discover, adopt, plan: nothing to do."""
    lab.discover()
    plan = lab.adopt()
    assert 4 == len(plan.steps)
    assert [] == outline(lab.plan())


def test_one_edit_plans_one_change(lab: Found) -> None:
    lab.discover()
    lab.adopt()
    path = lab.folder / "virtualmachines" / "web-01.yaml"
    path.write_text(path.read_text().replace("size: 4GiB", "size: 8GiB"))
    plan = lab.plan()
    assert [f"update {VM}/web-01"] == outline(plan)
    assert [("memory", "size")] == [change.path for change in plan.steps[0].changes]


def test_everything_is_found_once(lab: Found) -> None:
    assert 4 == len(lab.discover().written)
    before = {path: path.read_text() for path in lab.folder.rglob("*.yaml")}
    for _ in range(2):
        again = lab.discover_more()
        assert ((), 4) == (again.files, len(again.declared))
        lab.adopt()
    assert before == {path: path.read_text() for path in lab.folder.rglob("*.yaml")}


def test_what_comes_later_is_added(lab: Found) -> None:
    lab.discover()
    lab.adopt()
    lab.machine("db", {"nics": {"lan": {"network": "Lab Net"}}})
    made = lab.discover_more("more")
    assert [("more/virtualmachines/db.yaml", "db")] == [(w.file, w.name) for w in made.written]
    lab.adopt()
    assert [] == outline(lab.plan())


def test_what_another_stack_owns_is_only_observed(found: Found) -> None:
    found.machine("theirs", owner=OTHERS)
    before = found.outside.objects()
    (written,) = found.discover().written
    assert written.observe_only
    assert ["observe"] == found.document(VM, "theirs")["metadata"]["manage"]
    assert f"# It is {OTHERS.address} of another stack, so it is only observed." in found.text(
        VM, "theirs"
    )
    assert () == found.adopt().steps
    assert ([], before) == (outline(found.plan()), found.outside.objects())


class Unmarked(MemoryProvider):
    """Has no room for stamps on what holds data."""

    def describe(self) -> Description:
        return replace(super().describe(), unmarked=frozenset({"StoragePool", "Disk"}))


@pytest.mark.parametrize(
    ("owner", "observed"),
    [(OTHERS, {"Disk", "StoragePool", VM}), (None, set())],
    ids=["another stack's", "nobody's"],
)
def test_what_can_have_no_mark_is_of_whom_its_users_are(
    lab: Found, owner: Stamp | None, observed: set[str]
) -> None:
    lab.provider = Unmarked()
    lab.outside.add("StoragePool", "Empty", {"type": "dir", "path": "/empty"})
    lab.outside.remove(VM, "Web 01")
    lab.machine("Web 01", WHOLE, owner=owner)
    written = lab.discover().written
    assert observed == {item.address.kind for item in written if item.observe_only}
    assert {"empty", "lab-net"} <= {item.address.name for item in written if not item.observe_only}
    said = f"# It is used only by {OTHERS.address} of another stack, so it is only observed."
    assert (owner is not None) == (said in lab.text("StoragePool", "images"))


def test_everything_can_be_only_observed(lab: Found) -> None:
    before = lab.outside.objects()
    lab.discover(observe=True)
    assert ([], 4) == (outline(lab.plan()), len(lab.plan().observed))
    assert before == lab.outside.objects()


def test_what_is_ours_and_was_forgotten_comes_back_under_its_name(lab: Found) -> None:
    lab.discover()
    lab.adopt()
    (lab.folder / "virtualmachines" / "web-01.yaml").unlink()
    workspace = lab.workspace()
    with workspace.store("stack") as store:
        operation = store.begin("forget", "tester", None)
        intent = store.intend(operation, "x", "forget", Address(VM, "web-01"), {})
        store.settle(intent, remove=[Address(VM, "web-01")])
        store.finish(operation, "done", {})
    (written,) = lab.discover_more().written
    assert (Address(VM, "web-01"), False) == (written.address, written.observe_only)
    lab.adopt()
    assert [] == outline(lab.plan())


def test_what_is_recorded_and_declared_no_more_is_not_declared_again(lab: Found) -> None:
    """Its removal is under way."""
    lab.discover()
    lab.adopt()
    (lab.folder / "virtualmachines" / "web-01.yaml").unlink()
    assert () == lab.discover_more().files


def test_secrets_are_left_out(found: Found) -> None:
    seed = {"userData": "#cloud-config\npassword: canary\n", "metaData": {"a": "b"}}
    found.machine(spec={"cloudInit": seed})
    found.discover()
    assert {"metaData": {"a": "b"}} == found.spec(VM, "web")["cloudInit"]
    assert "canary" not in found.text(VM, "web")
    assert "# not expressed: cloudInit.userData: it may be a secret" in found.text(VM, "web")
    found.adopt()
    assert [] == outline(found.plan())


def test_what_waits_for_a_restart_is_left_alone(found: Found) -> None:
    found.machine(spec={"cpu": {"count": 4, "max": 8}})
    with found.outside._inventory.changing():
        (machine,) = found.outside._inventory.objects()
        found.outside._inventory.put(replace(machine, running={("cpu", "count"): 2}))
    found.discover()
    assert {"cpu": {"max": 8}, "memory": {"size": "1GiB"}} == found.spec(VM, "web")
    assert "# not expressed: cpu.count: 4\n#   it is configured and not in force" in found.text(
        VM, "web"
    )
    found.adopt()
    assert ([], ()) == (outline(found.plan()), found.plan().pending)


def test_a_list_that_waits_can_be_taken_out_of_its_comment(found: Found) -> None:
    """It stands there as an author would write it, with the names of the manifests."""
    found.outside.add("StoragePool", "Images", {"type": "dir", "path": "/images"})
    for name in ("root", "Data 01"):
        found.outside.add("Disk", name, {"pool": "Images", "size": 2**30})
    found.machine(spec={"disks": {"root": {}, "Data 01": {"bus": "virtio", "readOnly": True}}})
    with found.outside._inventory.changing():
        machine = next(it for it in found.outside._inventory.objects() if it.kind == VM)
        found.outside._inventory.put(replace(machine, running={("disks", "Data 01"): None}))
    found.discover()
    assert (
        "# not expressed: disks[data-01]: it is configured and not in force: a restart is waited "
        "for\n#   disks:\n#   - disk: data-01\n#     readOnly: true\n#   - disk: root\n"
    ) in found.text(VM, "web")


@pytest.mark.parametrize(
    ("spec", "left", "remark"),
    [
        ({"cpu": {"count": -1}}, {}, "cpu.count: -1\n#   found the number -1"),
        ({"firmware": {"type": "odd"}}, {}, "firmware.type: odd\n#   found 'odd'"),
        (
            {"hologram": {"a": 1}},
            {},
            "hologram: unknown field 'hologram' in spec\n#   hologram:\n#     a: 1\n",
        ),
        (
            {"disks": {"gone": {}}},
            {},
            "disks.gone: 'gone' is no Disk that was found on the host\n#   disks:\n#   - disk: ",
        ),
        ({"nics": {"no good": {"network": "lan"}}}, {}, "nics"),
        ({"description": "a\x07b"}, {}, 'description: "a\\ab"\n#   '),
        ({"cpu": {"count": 4, "max": 2}}, {"cpu": {"max": 2}}, "cpu.count: 4\n#   the machine has"),
    ],
)
def test_what_a_manifest_cannot_say_is_a_comment(
    found: Found, spec: dict, left: dict, remark: str
) -> None:
    """And nothing else is lost with it."""
    found.outside.add("Network", "lan", LAN)
    found.machine(spec={**spec, "autostart": True})
    found.discover()
    assert {"memory": {"size": "1GiB"}, "autostart": True, **left} == found.spec(VM, "web")
    assert f"# not expressed: {remark}" in found.text(VM, "web")
    found.adopt()
    assert [] == outline(found.plan())


def test_what_no_manifest_can_say_is_told(found: Found) -> None:
    found.outside.add(VM, "no memory", {"memory": {}})
    found.outside.add("Snapshot", "before", {"machine": "no memory"})
    made = found.discover()
    assert () == made.written
    assert [(VM, "no memory"), ("Snapshot", "before")] == [
        (item.kind, item.name) for item in made.not_expressed
    ]
    lines = found.text(VM, "no-memory").splitlines()
    assert [] == [line for line in lines if not line.startswith("#")]
    assert "#   kind: VirtualMachine" in lines
    again = found.discover_more()
    assert ((), (), 2) == (again.files, again.not_expressed, again.told)


def test_two_machines_with_one_disk(lab: Found) -> None:
    """No manifest may have that; the second one is told without."""
    lab.machine("Web 02", {"disks": {"root.qcow2": {}}})
    lab.discover()
    assert [{"disk": "root.qcow2"}] == lab.spec(VM, "web-01")["disks"]
    assert "disks" not in lab.spec(VM, "web-02")
    assert "Disk/root.qcow2 is plugged into VirtualMachine/web-01 already" in lab.text(VM, "web-02")
    lab.adopt()
    assert [] == outline(lab.plan())


def test_text_means_what_it_is(found: Found) -> None:
    text = "${Network/lan.bridge} ${var.x} 0755: no # \n  two\n"
    found.machine(spec={"description": text, "native": {"memory": {"note": "<a>\n  <b/>\n</a>\n"}}})
    found.discover()
    block = "      note: |\n        <a>\n          <b/>\n        </a>\n"
    assert block in found.text(VM, "web")
    (declaration,) = found.workspace().load().declarations.values()
    assert text == declaration.spec["description"]


@pytest.mark.parametrize("name", ["${var.x}.img", "${n}", "$${a} ${var.x}", "${VM/web.id}"])
def test_a_name_means_what_it_is(found: Found, name: str) -> None:
    found.machine(name)
    found.discover()
    adopted = found.adopt()
    assert [name] == [step.known.name for step in adopted.steps]
    assert [] == outline(found.plan())


def test_objects_called_alike_are_told_apart(found: Found) -> None:
    for name in ("fast", "slow"):
        found.outside.add("StoragePool", name, {"type": "dir", "path": f"/{name}"})
    for pool in ("fast", "slow"):
        found.outside.add("Disk", "root", {"pool": pool, "size": 2**30})
    found.machine("Web", {"cpu": {"count": 2}})
    found.machine("web", {"cpu": {"count": 3}})
    found.discover()
    assert {"count": 3} == found.spec(VM, "web")["cpu"]
    found.adopt()
    assert [] == outline(found.plan())
    assert 6 == len(found.workspace().load().declarations)


def test_what_is_wanted_brings_what_it_refers_to(lab: Found) -> None:
    lab.machine("db")
    made = lab.discover(match=("Web*",))
    assert ["lab-net", "images", "root.qcow2", "web-01"] == [w.address.name for w in made.written]
    assert 1 == made.unselected


def test_without_dependencies_references_are_left_out(lab: Found) -> None:
    made = lab.discover(match=("Web*",), dependencies=False)
    assert ["web-01"] == [w.address.name for w in made.written]
    assert {"cpu": {"count": 2}, "memory": {"size": "4GiB"}} == lab.spec(VM, "web-01")
    text = lab.text(VM, "web-01").replace("\n# ", "\n")
    assert "it refers to Disk/root.qcow2, which is not written" in " ".join(text.split())
    assert "  nics:\n  - name: lan\n    network: lab-net\n" in text
    lab.adopt()
    assert [] == outline(lab.plan())


def test_a_kind_alone(lab: Found) -> None:
    made = lab.discover(kinds=("Network", "StoragePool"))
    assert ["Network", "StoragePool"] == [w.address.kind for w in made.written]


def test_a_later_run_refers_to_what_the_stack_has(lab: Found) -> None:
    lab.discover(kinds=("Network", "Disk"))
    lab.discover_more()
    assert "lab-net" == lab.spec(VM, "web-01")["nics"][0]["network"]
    lab.adopt()
    assert [] == outline(lab.plan())


def test_a_file_for_each_kind(lab: Found) -> None:
    made = lab.discover(grouped=True)
    assert (
        "stack.yaml",
        "host.yaml",
        "networks.yaml",
        "storagepools.yaml",
        "disks.yaml",
        "virtualmachines.yaml",
    ) == made.files
    lab.adopt()
    assert [] == outline(lab.plan())


def test_a_file_for_each_kind_of_many(found: Found) -> None:
    for number in range(3):
        found.machine(f"web{number}")
    found.outside.add(VM, "odd", {"memory": {}})
    found.discover(grouped=True)
    assert 3 == len(found.workspace().load().declarations)
    text = (found.folder / "virtualmachines.yaml").read_text()
    assert "# No manifest: the VirtualMachine 'odd'" in text


def test_on_several_hosts_each_manifest_names_its_own(lab: Found) -> None:
    lab.discover(kinds=("Network",))
    host = (lab.folder / "host.yaml").read_text()
    (lab.folder / "other.yaml").write_text(
        host.replace("name: local", "name: other").replace("endpoint.jsonl", "other.jsonl")
    )
    for path in (lab.folder / "networks").iterdir():
        path.write_text(path.read_text() + "  host: local\n")
    lab.discover_more()
    assert {"host": "local"} == lab.spec(VM, "web-01")["placement"]
    assert "local" == lab.spec("StoragePool", "images")["host"]
    lab.adopt()
    assert [] == outline(lab.plan())


def test_every_manifest_points_to_its_schema(lab: Found) -> None:
    lab.discover()
    for path in lab.folder.rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        target = first.removeprefix("# yaml-language-server: $schema=")
        assert (path.parent / target).is_file(), path


def test_a_file_name_that_looks_like_a_variable(found: Found) -> None:
    found.outside.add("StoragePool", "images", POOL)
    spec = {"pool": "images", "source": {"file": "${var.x}.raw"}, "format": "raw"}
    found.outside.add("Image", "base", spec)
    found.discover()
    found.adopt()
    assert [] == outline(found.plan())


def test_file_names_stay_relative_to_the_stack(found: Found) -> None:
    """Where an endpoint tells the file that an image came from, the manifest names the same."""
    found.outside.add("StoragePool", "images", POOL)
    spec = {"pool": "images", "source": {"file": "base.raw"}, "format": "raw"}
    found.outside.add("Image", "base", spec)
    found.discover()
    assert {"file": "../base.raw"} == found.spec("Image", "base")["source"]
    found.adopt()
    assert [] == outline(found.plan())


def test_the_same_whatever_the_order_in_which_things_were_made(tmp_path: Path) -> None:
    texts = []
    for turn in (1, -1):
        (tmp_path / str(turn)).mkdir()
        found = Found(tmp_path / str(turn))
        for name in ("Web", "WEB", "web")[::turn]:
            found.machine(name, {"description": name})
        found.discover()
        texts.append(
            {
                p.name: p.read_text()
                for p in (found.folder / "virtualmachines").iterdir()
                if p.name == "web.yaml"
            }
        )
    assert texts[0] == texts[1]


def test_nothing_is_recorded(lab: Found) -> None:
    lab.discover()
    lab.discover_more()
    assert not (lab.folder / ".provisioner").exists()


def refused(found: Found, **choices: object) -> str:
    with pytest.raises(ProvisionerError) as caught:
        found.discover(**choices)
    (problem,) = caught.value.diagnostics
    assert not found.folder.exists()
    return problem.code


def test_a_choice_that_leaves_nothing(lab: Found) -> None:
    assert "PRV6056" == refused(lab, match=("nobody*",))
    assert "PRV6055" == refused(lab, kinds=("Machine",))


def test_what_lies_in_one_another_is_found_once(found: Found) -> None:
    """Also what has been written already, and nobody has adopted."""
    add = found.outside.add
    add("Folder", "Europe", {"type": "datacenter"})
    add("Datacenter", "Frankfurt", {"folder": "Europe"})
    add("Folder", "Shop", {"datacenter": "Frankfurt"})
    add("Folder", "Frontend", {"datacenter": "Frankfurt", "parent": "Shop"})
    add("Role", "Operator", {"privileges": ["A.one", "B.one"]})
    add("Permission", "ops", {"role": "Operator", "principal": "ops", "on": {"folder": "Shop"}})
    assert 6 == len(found.discover().written)
    assert {"folder": "europe"} == found.spec("Datacenter", "frankfurt")
    assert {"parent": "shop", "datacenter": "frankfurt"} == found.spec("Folder", "frontend")
    assert {"role": "operator", "principal": "ops", "on": {"folder": "shop"}} == (
        found.spec("Permission", "ops")
    )
    assert () == found.discover_more().written
    found.adopt()
    assert [] == outline(found.plan())
