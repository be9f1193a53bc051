"""docs/remote-hosts.md: its manifests are valid, and what it calls refused is refused."""

import re
from pathlib import Path

import pytest

from provisioner.core.diagnostics import ProvisionerError
from provisioner.service.validate import validate
from provisioner.service.workspace import Workspace

TEXT = (Path(__file__).parents[2] / "docs" / "remote-hosts.md").read_text(encoding="utf-8")
MANIFESTS = re.findall(r"^```yaml\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
REFUSED = re.findall(r"^\| `(qemu[^`]*)` \| (PRV\d{4}) \|", TEXT, re.MULTILINE)
STACK = "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: hosts}\nspec: {}\n"
HOST = (
    "apiVersion: provisioner/v1\nkind: Host\nmetadata: {{name: lab}}\n"
    "spec: {{provider: kvm, connection: {{uri: '{uri}'{more}}}}}\n"
)


def check(folder: Path, *documents: str) -> None:
    (folder / "stack.yaml").write_text("---\n".join([STACK, *documents]), encoding="utf-8")
    validate(Workspace(folder, environ={}))


def test_the_page_has_manifests_and_refusals() -> None:
    assert (9, 7) == (len(MANIFESTS), len(REFUSED))


def test_its_manifests_are_valid(tmp_path: Path) -> None:
    check(tmp_path, *MANIFESTS)


@pytest.mark.parametrize(("uri", "code"), REFUSED)
def test_what_it_calls_refused_is_refused(tmp_path: Path, uri: str, code: str) -> None:
    with pytest.raises(ProvisionerError) as refused:
        check(tmp_path, HOST.format(uri=uri, more=""))
    assert [code] == [item.code for item in refused.value.diagnostics]


@pytest.mark.parametrize("uri", [uri for uri, code in REFUSED if code == "PRV5105"])
def test_the_risk_can_be_accepted(tmp_path: Path, uri: str) -> None:
    check(tmp_path, HOST.format(uri=uri, more=", insecure: true"))
