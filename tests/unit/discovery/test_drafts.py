"""What a manifest in the making says of an object."""

from typing import Any

import pytest

from provisioner.core.address import Address
from provisioner.core.values import Json
from provisioner.discovery.drafts import Named, draft_of
from provisioner.manifest.fields import Field
from provisioner.providers.api import Discovered, Present
from tests.lifecycle.scenario import CATALOG

DEFAULTS: dict[str, dict[str, Any]] = {
    "Disk": {"format": "qcow2"},
    "VirtualMachine": {"disks": {"*": {"bus": "virtio"}}},
}


def named(_field: Field, external_id: str) -> Named:
    return Named(external_id)


@pytest.mark.parametrize(
    ("kind", "found", "field", "said"),
    [
        ("Disk", {"pool": "p", "size": 1, "format": "qcow2"}, "format", None),
        ("Disk", {"pool": "p", "size": 1, "format": "raw"}, "format", "raw"),
        ("VirtualMachine", {"disks": {"a": {"bus": "virtio"}}}, "disks", {"a": {}}),
        ("VirtualMachine", {"disks": {"a": {"bus": "ide"}}}, "disks", {"a": {"bus": "ide"}}),
    ],
)
def test_what_the_provider_would_choose_is_left_out(
    kind: str, found: dict[str, Any], field: str, said: Json
) -> None:
    item = Discovered(kind, "a", Present("1", None, found, ""))
    info = CATALOG.kind(kind)
    draft = draft_of(item, Address(kind, "a"), info, named, defaults=DEFAULTS[kind])
    assert said == draft.spec.get(field)
    full = draft_of(item, Address(kind, "a"), info, named, defaults=DEFAULTS[kind], full=True)
    assert found == full.spec
