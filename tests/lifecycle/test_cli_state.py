"""``provisioner state``: what was recorded is looked after even where the manifests are broken."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.person import Person


@pytest.fixture
def broken(shop: CommandLine) -> CommandLine:
    """Applied once, and then somebody broke the manifests."""
    shop("apply", "--yes")
    shop.write("stack.yaml", "a: [\n")
    return shop


def test_list_and_show(broken: CommandLine) -> None:
    listed = broken("state", "list")
    assert 0 == listed.code
    assert 5 == len(listed.out.splitlines())
    shown = broken("state", "show", "VirtualMachine/web")
    assert 0 == shown.code
    assert "256MiB" in shown.out


def test_show_of_what_is_not_there(broken: CommandLine) -> None:
    missing = broken("state", "show", "VirtualMachine/other")
    assert (1, True) == (missing.code, "PRV6007" in missing.err)


def test_nothing_recorded(shop: CommandLine) -> None:
    missing = shop("state", "list")
    assert (1, True) == (missing.code, "PRV6004" in missing.err)
    assert not (shop.root / ".provisioner").exists()


def test_a_plan_leaves_no_trace(shop: CommandLine) -> None:
    for command in (["plan"], ["plan", "--destroy"], ["show"], ["validate"], ["destroy", "--yes"]):
        assert 0 == shop(*command).code
    assert not (shop.root / ".provisioner").exists()


def test_a_plan_file_belongs_to_the_state_that_it_finds(shop: CommandLine) -> None:
    lineage = shop("plan", "-o", "first.plan", "--json").json["lineage"]
    assert lineage == shop("state", "list", "--json").json["lineage"]
    assert lineage == shop("plan", "--json").json["lineage"]


def test_history_and_journal(broken: CommandLine) -> None:
    (operation,) = broken("state", "history", "--json").json
    assert ("apply", "done", 4) == (
        operation["kind"],
        operation["outcome"],
        operation["summary"]["done"],
    )
    journal = broken("state", "history", "--operation", operation["operation"], "--json").json
    assert ["intent", "done"] == [
        item["phase"] for item in journal if item["address"] == "VirtualMachine/web"
    ]
    unknown = broken("state", "history", "--operation", "never")
    assert (1, True) == (unknown.code, "PRV6006" in unknown.err)


def test_backup_and_restore(broken: CommandLine) -> None:
    assert 0 == broken("state", "backup", "saved.db").code
    assert 0 == broken("state", "forget", "*/*", "--yes").code
    assert [] == broken("state", "list", "--json").json["resources"]
    assert 0 == broken("state", "restore", "saved.db", "--yes").code
    assert 4 == len(broken("state", "list", "--json").json["resources"])


def test_history_names_who_restored_and_what_was_forgotten(broken: CommandLine) -> None:
    broken("state", "backup", "saved.db")
    broken("state", "forget", "*/*", "--yes")
    broken("state", "restore", "saved.db", "--yes")
    broken("state", "forget", "Disk/*", "--yes")
    shown = broken("state", "history").out.splitlines()
    newest, restored, *_ = broken("state", "history", "--json").json
    assert restored["actor"].startswith(newest["actor"].partition("@")[0] + "@")
    assert "    1 forgotten: Disk/web-root" in shown or shown[1].endswith(
        "1 forgotten: Disk/web-root"
    )


def test_what_is_to_be_forgotten_is_listed_and_then_asked(broken: CommandLine) -> None:
    person = Person(broken.root, "state", "forget", "*/*")
    person.see("Forget these 4 resources? [y/N]")
    assert "To be forgotten: Disk/web-root, Network/lan, StoragePool/pool and" in person.screen
    person.type("n\n")
    assert 130 == person.leave()


def test_a_backup_overwrites_nothing(broken: CommandLine) -> None:
    broken("state", "backup", "saved.db")
    again = broken("state", "backup", "saved.db")
    assert (1, True) == (again.code, "PRV4011" in again.err)


def test_restore_over_damage(broken: CommandLine) -> None:
    broken("state", "backup", "saved.db")
    database = broken.root / ".provisioner" / "default" / "state.db"
    for path in database.parent.glob("state.db*"):
        if path.name != "state.db-mark":
            path.write_bytes(b"rubbish" * 1000)
    assert 1 == broken("state", "verify").code
    # Nothing tells the stack's name any more but the manifests.
    broken.write(
        "stack.yaml",
        "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: test}\nspec: {}\n",
    )
    assert 0 == broken("state", "restore", "saved.db", "--yes").code
    assert 0 == broken("state", "verify").code
    assert 0 == broken("plan", "--detailed-exitcode").code


def test_forget_leaves_the_object_alone(broken: CommandLine) -> None:
    forgotten = broken("state", "forget", "VirtualMachine/web", "--yes")
    assert (0, "Forgotten: VirtualMachine/web.\n") == (forgotten.code, forgotten.out)
    assert "VirtualMachine/web" in broken.objects()
    assert 3 == len(broken("state", "list", "--json").json["resources"])


@pytest.mark.parametrize("command", [["forget", "*/*"], ["restore", "x.db"]])
def test_nobody_to_ask(broken: CommandLine, command: list[str]) -> None:
    refused = broken("state", *command)
    assert (1, True) == (refused.code, "PRV6002" in refused.err)
    assert 4 == len(broken("state", "list", "--json").json["resources"])


def test_destroy_without_manifests(broken: CommandLine) -> None:
    assert 1 == broken("destroy", "--yes").code
    assert 0 == broken("destroy", "--yes", "--recorded").code
    assert ["Disk/web-root"] == broken.objects()


def test_drift_without_manifests(broken: CommandLine) -> None:
    found = broken("drift")
    assert (0, True) == (found.code, "warning[PRV6015]" in found.err)


def test_drift_connects_as_the_host_manifest_says_now(shop: CommandLine) -> None:
    shop("apply", "--yes")
    shop.faults({"call": "observe", "effect": "terminal"})
    found = shop("drift")
    assert (2, True) == (found.code, "PRV5902" in found.out)
