"""Packaging, the lock file and the set-up scripts."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import provisioner

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "provisioner": "provisioner",
    "plugins": "provisioner_plugins",
    "schemas": "provisioner_schemas",
}
DATA = {".py", ".json", ".css", ".js", ".typed"}
NOBODY = 65534


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def locked_versions() -> dict[str, str]:
    entries = re.findall(r"(?m)^([^\s#=]+)==(\S+)", (ROOT / "constraints.txt").read_text())
    return dict(entries)


def requirements() -> list[Requirement]:
    extras = project()["optional-dependencies"].values()
    return [Requirement(r) for group in (project()["dependencies"], *extras) for r in group]


def test_installed_entry_points() -> None:
    providers = metadata.entry_points(group="provisioner.providers")
    assert {
        "kvm": "provisioner_plugins.kvm:provider",
        "memory": "provisioner_plugins.memory:provider",
        "vcenter": "provisioner_plugins.vmware:vcenter",
        "esxi": "provisioner_plugins.vmware:esxi",
    } == {point.name: point.value for point in providers}
    (command,) = metadata.entry_points(group="console_scripts", name="provisioner")
    assert command.value == "provisioner.__main__:main"


def test_installed_version() -> None:
    assert provisioner.__version__ == metadata.version(project()["name"])


def test_the_distribution_has_a_name_of_its_own() -> None:
    """``provisioner`` is somebody else's on the public index: docs/decisions/0024."""
    assert "provisioner-iac" == project()["name"]
    owner = metadata.entry_points(name="kvm")["kvm"].dist
    assert owner is not None
    assert project()["name"] == owner.name


def test_nothing_tells_people_to_install_a_package_of_ours_by_name() -> None:
    """A name that we do not own on an index would be installed from whoever does."""
    folders = ("provisioner", "plugins", "docs", "scripts", "stacks", "tests")
    found = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    files = [path for path in found if path.is_file() and path.suffix != ".pyc"]
    told = re.compile(r"pip install[^\n]*\bprovisioner(?!_)")
    files = [path for path in (*ROOT.glob("*.md"), *files) if path != Path(__file__)]
    assert [] == [path for path in files if told.search(path.read_bytes().decode(errors="replace"))]


def test_package_root_imports_nothing() -> None:
    code = "import sys; old = set(sys.modules); import provisioner; print(set(sys.modules) - old)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "{'provisioner'}"


def test_lock_names_no_host() -> None:
    text = (ROOT / "constraints.txt").read_text()
    assert [] == re.findall(
        r"(?i)://|index-url|find-links|trusted-host|\.(?:org|com|io|net)\b", text
    )


def test_lock_has_a_hash_for_every_entry() -> None:
    text = re.sub(r"(?m)^#.*\n", "", (ROOT / "constraints.txt").read_text())
    entry = r"[a-z0-9-]+==[^\s;]+(?: \\\n    --hash=sha256:[0-9a-f]{64})+\n"
    assert re.fullmatch(f"(?:{entry})+", text), "an entry is not of the form name==version hash..."


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_lock_satisfies(requirement: Requirement) -> None:
    assert requirement.specifier.contains(locked_versions()[canonicalize_name(requirement.name)])


def test_every_dependency_is_accounted_for() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text()
    rows = re.findall(r"(?m)^\| ([^ |]+) \| [^|]+ \| [^|]+ \| [^|]+ \|$", text)
    named = [name for name in rows if name != "package"]
    assert sorted(requirement.name for requirement in requirements()) == sorted(named)


def test_base_install_needs_no_libvirt() -> None:
    assert "libvirt-python" not in {Requirement(r).name for r in project()["dependencies"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The project's files, to be built without leaving anything in the checkout."""
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, source / folder)
    return source


def test_the_documented_commands_install_the_locked_versions(source: Path) -> None:
    """Where everything is there already, nothing is downloaded and nothing is missing."""
    if importlib.util.find_spec("libvirt") is None:
        pytest.skip("the environment was set up without libvirt")
    text = (ROOT / "docs" / "dependencies.md").read_text()
    commands = re.findall(r"(?m)^    pip (install .+)$", text)
    assert 2 == len(commands)
    for command in commands:
        run = subprocess.run(
            [sys.executable, "-m", "pip", *command.split(), "--dry-run", "--no-index"],
            cwd=source,
            capture_output=True,
            text=True,
        )
        assert 0 == run.returncode, run.stderr


def test_wheel_holds_every_module_and_schema(tmp_path: Path, source: Path) -> None:
    (source / "schemas" / "probe.v1.json").write_text("{}")
    (source / "plugins" / "probe").mkdir()
    (source / "plugins" / "probe" / "__init__.py").write_text('"""A package."""\n')
    (source / "plugins" / "probe" / "native.json").write_text("{}")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation"]
    run = subprocess.run(
        [*build, "--wheel-dir", str(tmp_path), str(source)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    (wheel,) = tmp_path.glob("*.whl")
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        f"{package}/{path.relative_to(source / folder).as_posix()}"
        for folder, package in FOLDERS.items()
        for path in (source / folder).rglob("*")
        if path.suffix in DATA
    }
    assert expected == packed


def test_debian_packages_are_listed_once_with_a_reason() -> None:
    lines = (ROOT / "scripts" / "debian-packages.txt").read_text().splitlines()
    rows = [line.split(maxsplit=2) for line in lines if line and not line.startswith("#")]
    assert {"python", "kvm", "guest", "lab"} == {row[0] for row in rows}
    assert [] == [row for row in rows if len(row) != 3]
    names = [row[1] for row in rows]
    assert sorted(set(names)) == sorted(names)


@pytest.fixture
def shared_checkout() -> Iterator[Path]:
    """The scripts in a folder that every user may read, with a dpkg that knows no package."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        shutil.copytree(ROOT / "scripts", root / "scripts")
        dpkg = root / "bin" / "dpkg-query"
        dpkg.parent.mkdir()
        dpkg.write_text("#!/bin/sh\nexit 1\n")
        dpkg.chmod(0o755)
        yield root


def test_user_without_packages_is_told_what_to_run(shared_checkout: Path) -> None:
    command = ["bash", str(shared_checkout / "scripts" / "test")]
    if os.geteuid() == 0:
        drop = ["--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
        command = ["setpriv", *drop, *command]
    run = subprocess.run(
        command,
        env={"PATH": f"{shared_checkout}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert (1, "") == (run.returncode, run.stdout)
    message = (
        r"(?m)^    sudo apt-get update && sudo apt-get install -y .* libvirt-dev .*python3-venv"
    )
    assert re.search(message, run.stderr), run.stderr
    assert not (shared_checkout / ".venv").exists()


@pytest.mark.parametrize(
    "name",
    [
        path.name
        for path in sorted((ROOT / "scripts").iterdir())
        if os.access(path, os.X_OK) and path.is_file()
    ],
)
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_explains_and_does_nothing_else(shared_checkout: Path, name: str, option: str) -> None:
    """Packages are missing here, so a set-up would fail, or begin."""
    run = subprocess.run(
        ["bash", str(shared_checkout / "scripts" / name), option],
        env={"PATH": f"{shared_checkout}/bin:/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert (0, "") == (run.returncode, run.stderr)
    assert re.match(r"[A-Z].+\.", run.stdout, re.DOTALL)


def test_services_of_installed_packages_are_neither_started_nor_enabled() -> None:
    """In mounts of its own: nothing of this machine's is touched."""
    script = """
        mount -t tmpfs none /etc/systemd && source scripts/lib/setup.sh
        look() { cat /etc/systemd/system-preset/*; sh /usr/sbin/policy-rc.d; echo $?; }
        (_without_services look)
        ls /etc/systemd
    """
    run = subprocess.run(
        ["unshare", "--mount", "bash", "-c", script], cwd=ROOT, capture_output=True, text=True
    )
    if os.geteuid() != 0 or "permission denied" in run.stderr.lower():
        pytest.skip("needs root and the right to mount")
    assert "disable *\n101\n" == run.stdout, run.stderr


def test_the_demo_takes_nothing_that_its_guest_does_not_need() -> None:
    text = (ROOT / "scripts" / "demo").read_text()
    assert re.search(r"(?m)^set_up python kvm guest$", text)


def test_locked_entries_can_be_left_out() -> None:
    script = "source scripts/lib/setup.sh; cd $ROOT; _locked except libvirt-python pip"
    run = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )
    kept = set(re.findall(r"(?m)^([^\s#=]+)==", run.stdout))
    assert set(locked_versions()) - {"libvirt-python", "pip"} == kept
    hashes = (ROOT / "constraints.txt").read_text().count("--hash=")
    assert 0 < run.stdout.count("--hash=") < hashes
