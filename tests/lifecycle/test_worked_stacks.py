"""The worked stacks are examples: with an image in its place, nothing in them gives cause for a
warning. (That they run is proven by tests/live/test_stacks.py.)"""

from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine

STACKS = Path(__file__).parents[2] / "stacks"
AUTHORITY = f"--var=authority={__file__}"
"""Any file: nothing is asked of an endpoint."""
FENCE = "--var=fence=/usr/local/bin/cut-power"


@pytest.mark.parametrize(
    "arguments",
    [
        ["quickstart"],
        ["three-tier"],
        ["three-tier", "--env=vcenter", AUTHORITY],
        ["three-tier", "--env=esxi", AUTHORITY],
        ["environments", "--env=dev"],
        ["environments", "--env=prod"],
        [
            "dr-two-sites",
            "--var=siteA=qemu+ssh://a/system",
            "--var=siteB=qemu+ssh://b/system",
            FENCE,
        ],
    ],
    ids=" ".join,
)
def test_without_a_warning(
    cli: CommandLine, arguments: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSPHERE_PASSWORD", "any")
    (cli.root / "guest.qcow2").write_bytes(b"")
    stack, *options = arguments
    image = f"--var=image={cli.root}/guest.qcow2"
    checked = cli("validate", STACKS / stack, image, *options)
    assert (0, "") == (checked.code, checked.err)


def test_a_stack_that_needs_an_environment_names_those_it_has(cli: CommandLine) -> None:
    refused = cli("plan", STACKS / "environments")
    assert "--env dev or --env prod" in " ".join(refused.err.split())
