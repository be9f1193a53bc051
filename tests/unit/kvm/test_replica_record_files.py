"""The file of a replica's record, which a caller that is killed leaves whole."""

from pathlib import Path

import pytest

pytest.importorskip("libvirt")

from provisioner.core.clock import Deadline, SystemClock
from provisioner.providers.api import Terminal
from provisioner_plugins.kvm.replication.shell import Shell
from provisioner_plugins.kvm.replication.store import READ_RECORDS, WRITE_RECORD

HERE = Shell("lab")
WHOLE = b'{"version": 1}\n'


def soon() -> Deadline:
    return Deadline.after(20, SystemClock())


@pytest.mark.parametrize("came", [b"", WHOLE[:5]])
def test_what_comes_of_a_caller_that_was_killed_replaces_nothing(
    tmp_path: Path, came: bytes
) -> None:
    path = tmp_path / "it's.json"
    HERE.script(WRITE_RECORD, (str(path), str(len(WHOLE))), soon(), WHOLE)
    with pytest.raises(Terminal):
        HERE.script(WRITE_RECORD, (str(path), str(len(WHOLE))), soon(), came)
    assert (WHOLE, [path]) == (path.read_bytes(), list(tmp_path.iterdir()))


def test_each_file_that_is_asked_for_gives_a_line(tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    (tmp_path / "whole").write_bytes(WHOLE)
    (tmp_path / "cut").write_bytes(WHOLE.rstrip())
    names = ("empty", "none", "whole", "cut")
    given = "".join(f"{tmp_path / name}\n" for name in names).encode()
    told = HERE.script(READ_RECORDS, (), soon(), given).splitlines()
    assert ["", "-", *[WHOLE.decode().rstrip()] * 2] == told
