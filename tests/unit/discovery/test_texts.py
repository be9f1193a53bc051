"""What stands in the file of an object that a manifest cannot express."""

from pathlib import PurePosixPath

from provisioner.core.address import Address
from provisioner.discovery.drafts import Draft
from provisioner.discovery.texts import text_of
from provisioner.providers.api import Discovered, Present
from tests.lifecycle.scenario import CATALOG


def test_the_providers_reason_comes_before_what_is_missing_for_it() -> None:
    notes = ("the type fs has no counterpart",)
    found = Discovered("StoragePool", "fsp", Present("1", None, {}, ""), notes)
    draft = Draft(
        Address("StoragePool", "fsp"),
        found,
        CATALOG.kind("StoragePool"),
        {},
        remarks=[*found.notes, "autostart: true\nit is odd"],
        problem="the field 'type' is missing in spec",
    )
    reason = "the type fs has no counterpart; the field 'type' is missing in spec"
    assert reason == draft.reason
    text = text_of(draft, PurePosixPath("storagepools"), "lab").replace("\n# ", " ")
    assert "cannot be expressed: the type fs has no counterpart;" in text
    assert 1 == text.count("no counterpart")
    assert "autostart: true" in text
