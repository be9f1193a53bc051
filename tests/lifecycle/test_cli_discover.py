"""``provisioner discover`` as a person meets it: what it prints, refuses and leaves behind."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.golden_support import CheckGolden
from tests.lifecycle.commandline import OBJECTS, CommandLine
from tests.lifecycle.discovering import OTHERS

SILENT = {"call": "discover", "effect": "hang", "seconds": 60}


@pytest.fixture
def lab(cli: CommandLine) -> CommandLine:
    """A stack with a host on which others have made things."""
    outside = cli.outside
    outside.add("Network", "Lab Net", {"mode": "isolated", "cidr": "10.0.0.0/24"})
    outside.add("StoragePool", "Images", {"type": "dir", "path": "/images"})
    outside.add("Disk", "root", {"pool": "Images", "size": 2**30})
    machine = {"memory": {"size": 2**30}, "disks": {"root": {}}}
    outside.add("VirtualMachine", "Web 01", {**machine, "cpu": {"count": -1}})
    outside.add("VirtualMachine", "theirs", {"memory": {"size": 2**30}}, OTHERS)
    outside.add("VirtualMachine", "odd", {"memory": {}})
    return cli


@pytest.fixture
def uri(lab: CommandLine) -> str:
    return f"memory://{lab.root / OBJECTS}"


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("elsewhere")


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_a_new_stack(
    lab: CommandLine, uri: str, elsewhere: Path, check_golden: CheckGolden
) -> None:
    made = lab("discover", uri, "-o", elsewhere / "new")
    assert 0 == made.code
    check_golden("cli/discover.txt", made.out.replace(str(elsewhere), "FOLDER"))
    assert 0 == lab("validate", elsewhere / "new").code
    assert 0 == lab("adopt", "--stack", elsewhere / "new", "--yes").code
    assert 0 == lab("plan", "--detailed-exitcode", elsewhere / "new").code


def test_its_manifests(
    lab: CommandLine, uri: str, elsewhere: Path, check_golden: CheckGolden
) -> None:
    lab("discover", uri, "-o", elsewhere / "new", "--group", "kind")
    texts = [
        f"=== {path.name}\n{path.read_text()}"
        for path in sorted((elsewhere / "new").glob("*.yaml"))
    ]
    check_golden("cli/discover-manifests.txt", "".join(texts).replace(str(lab.root), "FOLDER"))


def test_into_a_stack(lab: CommandLine) -> None:
    made = lab("discover", "here", "-o", "found")
    assert 0 == made.code
    assert "Next:\n  provisioner adopt" in made.out
    assert 0 == lab("adopt", "--yes").code
    assert 0 == lab("plan", "--detailed-exitcode").code
    again = lab("discover", "here", "-o", "found")
    assert (0, "Nothing new was found on Host/here; nothing was written.") == (
        again.code,
        again.out.splitlines()[0],
    )


def test_what_cannot_be_expressed_is_told_once(lab: CommandLine) -> None:
    assert "VirtualMachine 'odd':" in lab("discover", "here", "-o", "found").out
    lab.outside.add("VirtualMachine", "new", {"memory": {}})
    again = lab("discover", "here", "-o", "found").out
    assert (False, True) == ("'odd'" in again, "VirtualMachine 'new':" in again)
    assert "1 that cannot be expressed, as their files say" in " ".join(again.split())


def test_as_json(lab: CommandLine) -> None:
    made = lab("discover", "here", "-o", ".", "--json")
    assert (0, []) == (made.code, made.codes)
    document = made.json
    assert ["declared", "files", "host", "new", "notExpressed", "provider", "root"] == sorted(
        document.keys() - {"stack", "toldBefore", "unselected", "written"}
    )
    assert [("VirtualMachine/theirs", True), ("VirtualMachine/web-01", False)] == sorted(
        (item["address"], item["observeOnly"])
        for item in document["written"]
        if item["file"].startswith("virtualmachines/")
    )
    assert [("VirtualMachine", "odd")] == [
        (item["kind"], item["name"]) for item in document["notExpressed"]
    ]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("her", "-o", "."), "PRV6050", "Did you mean 'here'?"),
        (("xen:///", "-o", "../new"), "PRV6051", "no provider knows the URI"),
        (("memory://host/x", "-o", "../new"), "PRV6051", "no provider knows the URI"),
        (("URI", "-o", "."), "PRV6052", "is not empty"),
        (("URI", "-o", "new"), "PRV6052", "is inside the stack of"),
        (("here", "-o", ".."), "PRV6052", "is outside of the stack"),
        (("here", "-o", ".hidden"), "PRV6052", "is hidden"),
        (("here", "-o", ".", "--kind", "virtualmachine"), "PRV6055", "mean 'VirtualMachine'?"),
        (("here", "-o", ".", "--match", "zz*"), "PRV6056", "is called 'zz*'"),
        (("here", "-o", ".", "--match", "odd", "--match", "zz*"), "PRV6056", "is called 'zz*'"),
        (("here", "-o", ".", "--match", "web*"), "PRV6056", "Did you mean 'Web 01'?"),
        (("here", "-o", ".", "--name", "x"), "PRV6001", "HOST has to be a URI"),
        (("here",), "PRV6001", "Missing option '-o'"),
        (("here", "-o", ""), "PRV6001", "the name of the folder is empty"),
        (("qemu+tcp://h/system", "-o", "../new"), "PRV5105", "write a stack with one, and name"),
    ],
)
def test_what_is_refused(
    lab: CommandLine, uri: str, arguments: tuple[str, ...], code: str, words: str
) -> None:
    before = files(lab.root)
    refused = lab("discover", *(uri if item == "URI" else item for item in arguments))
    said = " ".join(refused.err.split())
    assert (1, True, True) == (refused.code, code in said, words in said), said
    assert before == files(lab.root)


@pytest.mark.parametrize("stacks", [(), ("a",), ("a", "b")], ids=["none", "no Stack", "several"])
def test_a_host_of_no_stack(lab: CommandLine, elsewhere: Path, stacks: tuple[str, ...]) -> None:
    for name in stacks:
        (elsewhere / name).mkdir()
        kind = "Stack" if len(stacks) > 1 else "Network"
        text = f"apiVersion: provisioner/v1\nkind: {kind}\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        (elsewhere / name / "stack.yaml").write_text(text)
    refused = lab("discover", "nonsense", "-o", elsewhere, "--stack", elsewhere)
    assert (1, True, True) == (refused.code, "PRV6050" in refused.err, "'nonsense'" in refused.err)


def test_a_stack_in_flow_style_is_one(lab: CommandLine, uri: str) -> None:
    lab.write("../flow/stack.yaml", "{apiVersion: provisioner/v1, kind: Stack}\n")
    assert ["PRV6052"] == lab("discover", uri, "-o", "../flow/new", "--json").codes


def test_a_password_in_a_uri_is_not_shown(lab: CommandLine, elsewhere: Path) -> None:
    refused = lab("discover", "qemu://me:canary@host/system", "-o", elsewhere / "new")
    assert (1, False) == (refused.code, "canary" in refused.out + refused.err)
    assert [] == files(elsewhere)


def test_no_file_is_overwritten(lab: CommandLine) -> None:
    (lab.root / "virtualmachines").mkdir()
    (lab.root / "virtualmachines" / "web-01.yaml").write_text("# mine\n")
    before = files(lab.root)
    refused = lab("discover", "here", "-o", ".")
    assert (1, True) == (refused.code, "virtualmachines/web-01.yaml" in refused.err)
    assert before == files(lab.root)
    assert "# mine\n" == (lab.root / "virtualmachines" / "web-01.yaml").read_text()


def test_hidden_files_are_not_in_the_way_of_a_new_stack(
    lab: CommandLine, uri: str, elsewhere: Path
) -> None:
    """A repository is often there before."""
    (elsewhere / ".git").mkdir()
    assert 0 == lab("discover", uri, "-o", elsewhere).code


@pytest.fixture
def closed(elsewhere: Path) -> Path:
    """A folder in which nothing can be made."""
    (elsewhere / "file").write_text("")
    return elsewhere / "file" / "new"


def test_a_folder_that_cannot_be_made(lab: CommandLine, uri: str, closed: Path) -> None:
    refused = lab("discover", uri, "-o", closed)
    assert 1 == refused.code
    assert "PRV605" in refused.err


def test_nothing_is_left_of_a_run_that_cannot_write(
    lab: CommandLine, uri: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Path.hardlink_to

    def full(self: Path, target: Path) -> None:
        if self.name == "web-01.yaml":
            raise OSError(28, os.strerror(28), str(self))
        put(self, target)

    monkeypatch.setattr(Path, "hardlink_to", full)
    refused = lab("discover", uri, "-o", elsewhere / "new")
    assert (1, True) == (refused.code, "PRV6054" in refused.err)
    assert [] == list(elsewhere.iterdir())


def test_a_file_system_without_links(
    lab: CommandLine, uri: str, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(self: Path, target: Path) -> None:
        raise OSError(95, os.strerror(95), str(self))

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    assert 0 == lab("discover", uri, "-o", elsewhere / "new").code
    assert 0 == lab("validate", elsewhere / "new").code
    assert [] == list((elsewhere / "new").glob(".discover*"))


def test_an_endpoint_that_fails(lab: CommandLine) -> None:
    lab.faults({"call": "discover", "effect": "terminal"})
    before = files(lab.root)
    refused = lab("discover", "here", "-o", ".")
    assert (1, True) == (refused.code, "PRV5902" in refused.err)
    assert before == files(lab.root)


def test_an_endpoint_that_is_busy_is_asked_again(lab: CommandLine) -> None:
    lab.faults({"call": "discover", "effect": "retryable"})
    made = lab("discover", "here", "-o", ".")
    assert (0, True) == (made.code, "trying again in" in made.err)


def test_an_endpoint_that_is_silent_is_given_up(lab: CommandLine) -> None:
    lab.faults(SILENT)
    host = (lab.root / "host.yaml").read_text()
    limits = "spec: {limits: {readTimeout: 200ms}, provider"
    (lab.root / "host.yaml").write_text(host.replace("spec: {provider", limits))
    refused = lab("discover", "here", "-o", ".")
    assert (1, True) == (refused.code, "PRV3003" in refused.err)


def test_interrupted_it_leaves_nothing(lab: CommandLine) -> None:
    lab.faults(SILENT)
    before = files(lab.root)
    process = lab.start("discover", "here", "-o", ".", "--verbose")
    assert process.stderr is not None
    for line in process.stderr:
        if "Discovering" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert (130, True) == (process.returncode, "Interrupted" in err)
    assert before == files(lab.root)
