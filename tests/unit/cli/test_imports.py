"""What starting the program imports and costs: nothing heavy before a command needs it."""

import resource
import subprocess
import sys

import pytest

from provisioner.cli.root import COMMANDS

HEAVY = frozenset(
    {
        "deepdiff",
        "jsonschema",
        "jsonschema_rs",
        "libvirt",
        "networkx",
        "pyVmomi",
        "pycdlib",
        "rich",
        "sqlite3",
        "winrm",
        "yaml",
    }
)
CPU_SECONDS = 0.15

PROBE = """
import sys
from provisioner.cli.main import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + " ".join(sorted({name.partition(".")[0] for name in sys.modules})))
sys.exit(code)
"""


def imported_by(*arguments: str) -> set[str]:
    finished = subprocess.run(
        [sys.executable, "-c", PROBE, *arguments], capture_output=True, text=True, timeout=60
    )
    assert finished.returncode == 0, finished.stderr
    return set(finished.stderr.rpartition("\n")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["completion", "bash"]]
    + [[command, "--help"] for command in COMMANDS],
    ids=" ".join,
)
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    modules = imported_by(*arguments)
    assert "click" in modules
    assert set() == modules & HEAVY


def test_help_imports_neither_service_nor_engine() -> None:
    code = (
        "import sys; from provisioner.cli.main import run; run(['--help']);"
        "print([name for name in sys.modules if name.startswith('provisioner.')"
        " and name.split('.')[1] not in ('cli', 'core')])"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert finished.stdout.rpartition("[")[2].strip() == "]"


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_start_is_quick(option: str) -> None:
    """The best of three: other work on the machine only ever adds."""
    seconds = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [sys.executable, "-c", PROBE, option], capture_output=True, check=True, timeout=60
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    assert min(seconds) <= CPU_SECONDS
