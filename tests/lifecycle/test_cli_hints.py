"""What a message tells people to do is what helps them."""

import pytest

from tests.lifecycle.commandline import CommandLine, Finished


def said(finished: Finished) -> str:
    """The error stream as one line."""
    return " ".join(finished.err.split())


@pytest.mark.parametrize(
    ("command", "option"), [("apply", "provisioner plan -o FILE"), ("destroy", "plan --destroy -o")]
)
def test_a_plan_file_in_place_of_a_confirmation(
    shop: CommandLine, command: str, option: str
) -> None:
    if command == "destroy":
        shop("apply", "--yes")
    refused = shop(command)
    assert (1, True) == (refused.code, option in said(refused))


def test_a_dry_run_of_destroying(shop: CommandLine) -> None:
    assert "'provisioner plan --destroy' shows what that is" in shop("destroy", "--help").out


def test_a_plan_file_in_the_wrong_folder(
    shop: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop("plan", "-o", "first.plan")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    lost = shop("apply", shop.root / "first.plan")
    assert "made for the stack test: name its folder with --stack" in said(lost)


@pytest.mark.parametrize("text", ["kind: Stack\n", ""])
def test_a_manifest_in_place_of_a_plan_file(shop: CommandLine, text: str) -> None:
    shop.write("s.yaml", f"{text}# ours\n")
    refused = shop("apply", "s.yaml")
    assert "error[PRV2022]: s.yaml is not a plan file" in refused.err
    assert "Name the folder of a stack, or a plan file" in said(refused)
    assert "line 1" not in refused.err


def test_show_takes_three_things(shop: CommandLine) -> None:
    refused = shop("show", shop.root / "gone")
    expected = "neither a stack's folder, nor a plan file, nor an address such as"
    assert (1, True) == (refused.code, expected in said(refused))


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("VirtualMachin/web", "Did you mean VirtualMachine/web?"),
        ("web", "Did you mean VirtualMachine/web?"),
        ("web-root", "Did you mean Disk/web-root?"),
        ("VirtualMachine/xyz*", "'provisioner show' lists the addresses there are."),
    ],
)
def test_a_pattern_that_matches_nothing(shop: CommandLine, pattern: str, hint: str) -> None:
    refused = shop("plan", "--target", pattern)
    assert f"--target {pattern} matches no resource" in said(refused)
    assert f"hint: {hint}" in said(refused)


@pytest.mark.parametrize(
    ("address", "hint"),
    [
        ("VirtualMachine/wbe", "Did you mean VirtualMachine/web?"),
        ("VirtualMachine/zz", "'provisioner show' lists what there is."),
    ],
)
def test_only_near_addresses_are_suggested(shop: CommandLine, address: str, hint: str) -> None:
    assert f"hint: {hint}" in said(shop("show", address))


@pytest.mark.parametrize("option", ["--env=prod", "--var=a=b", "--target=Disk", "--adopt=Disk"])
def test_options_of_plan_do_not_go_with_a_plan_file(shop: CommandLine, option: str) -> None:
    shop("plan", "-o", "first.plan")
    refused = shop("apply", "first.plan", option)
    assert (1, True) == (refused.code, option.partition("=")[0] in said(refused))
    assert "give such options to 'provisioner plan'" in said(refused)
    assert [] == shop.objects()


def test_the_state_of_a_copied_folder(shop: CommandLine) -> None:
    shop("apply", "--yes")
    shop.write(
        "stack.yaml",
        "apiVersion: provisioner/v1\nkind: Stack\nmetadata: {name: other}\nspec: {}\n",
    )
    refused = shop("plan")
    assert "PRV4010" in refused.err
    assert "If the folder is a copy" in said(refused)
