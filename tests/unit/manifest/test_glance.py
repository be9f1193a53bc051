"""What a file is at a glance, however its documents are written and however broken they are."""

from pathlib import Path

import pytest

from provisioner.manifest.glance import holds_manifest, holds_stack

STACKS = {
    "block": "apiVersion: provisioner/v1\nkind: Stack\n",
    "the other order": "kind: Stack # ours\napiVersion: 'provisioner/v1'\n",
    "block between broken lines": "\tx\n<<<<<<<\napiVersion: provisioner/v1\nkind: Stack\n",
    "flow": "{apiVersion: provisioner/v1, kind: Stack, metadata: {name: shop}, spec: {}}\n",
    "flow beside the separator": "--- {kind: Stack, apiVersion: provisioner/v1}\n",
    "flow over lines": "# ours\n\n{\n  apiVersion: provisioner/v1, # first\n  kind: Stack,\n}\n",
    "JSON": '{"metadata": {"kind": "x"}, "apiVersion":"provisioner\\/v1","kind":"Stack"}',
    "an indented mapping": "  apiVersion: provisioner/v1\n  kind: Stack\n",
    "a long key": "? apiVersion\n: provisioner/v1\n? kind\n: Stack\n",
    "anchors": "{spec: &a {}, other: *a, apiVersion: &v provisioner/v1, kind: Stack}\n",
    "a broken end": "{apiVersion: provisioner/v1, kind: Stack, metadata: {name: shop}\n",
    "a byte order mark": "\ufeff{apiVersion: provisioner/v1, kind: Stack}\n",
    "a second document": "a: 1\n---\n{apiVersion: provisioner/v1, kind: Stack}\n",
    "control characters": "{apiVersion: provisioner/v1, kind: Stack, spec: {a: '\x00\x07'}}\n",
    "a directive": "%YAML 1.2\n---\n{apiVersion: provisioner/v1, kind: Stack}\n",
}
OTHERS = {
    "another program's": "{apiVersion: pulumi.com/v1, kind: Stack, labels: {of: provisioner}}\n",
    "one within another": "{items: [{apiVersion: provisioner/v1, kind: Stack}]}\n",
    "one in a list": "[apiVersion, provisioner/v1, kind, Stack]\n",
    "text": "the provisioner/v1 of a Stack\n",
    "something very deep": f"{'[' * 5000} provisioner",
    "nothing": "",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.yaml"


@pytest.mark.parametrize("text", STACKS.values(), ids=STACKS)
def test_stack_manifests_are_found(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert (True, True) == (holds_manifest(file), holds_stack(file))


@pytest.mark.parametrize("text", STACKS.values(), ids=STACKS)
def test_manifests_of_other_kinds_are_no_stacks(file: Path, text: str) -> None:
    file.write_text(text.replace("Stack", "Host"), encoding="utf-8")
    assert (True, False) == (holds_manifest(file), holds_stack(file))


@pytest.mark.parametrize("text", OTHERS.values(), ids=OTHERS)
def test_what_is_of_others_is_none(file: Path, text: str) -> None:
    file.write_text(text, encoding="utf-8")
    assert (False, False) == (holds_manifest(file), holds_stack(file))


def test_the_kind_and_the_version_stand_in_one_document(file: Path) -> None:
    file.write_text("{apiVersion: provisioner/v1, kind: Host}\n---\n{apiVersion: v1, kind: Stack}")
    assert (True, False) == (holds_manifest(file), holds_stack(file))


def test_what_cannot_be_read_is_none(file: Path) -> None:
    file.mkdir()
    assert not holds_manifest(file)
