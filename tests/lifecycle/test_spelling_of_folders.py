"""A stack is the same from wherever its folder is named."""

import pytest

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import POOL

IMAGE = "Image/guest\npool: pool\nsource: {file: ../guest.raw}\nformat: raw\n"


def test_a_file_beside_the_folder(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    (cli.root.parent / "guest.raw").write_bytes(b"x" * 512)
    cli.declare(POOL, IMAGE)
    assert 0 == cli("apply", "--yes").code
    monkeypatch.chdir(cli.root.parent)
    for folder in (cli.root, cli.root.name, f"./{cli.root.name}/"):
        assert 0 == cli("plan", "--detailed-exitcode", folder).code
    shown = cli("show", "Image/guest", cli.root).out
    assert f"{cli.root.parent}/guest.raw" in shown
    assert ".." not in shown
