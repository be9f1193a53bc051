"""The main job on a real guest, command by command. Run by scripts/demo.

Whatever it makes has names of its own, and is removed by the program itself however the run ends.
Only if that fails the stack's folder stays, for it holds the only record.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Until something is made, an interrupt has nothing to clean up.
    signal.signal(signal.SIGINT, lambda *_: os._exit(130))

import contextlib
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab import bootsector  # noqa: E402 - the root of the checkout has to be on the path
from tests.lab.daemon import Flavour, LibvirtDaemon  # noqa: E402 - as above
from tests.lab.launcher import LabError  # noqa: E402 - as above

SESSION = "qemu:///session"
NOTHING_TO_DO, CHANGES = 0, 2
BOOT_SECONDS = 60.0
COUNT = re.compile(r"LAB-SEQ ([0-9a-f]{8})")


class DemoError(Exception):
    """Something is not as it should be; the text says what."""


class Demo:
    """One run on a stack of its own below ``folder``."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.name = f"demo-{secrets.token_hex(3)}"
        self.stack = folder / self.name
        self._uri = uri
        self._made = False
        shutil.copytree(ROOT / "stacks" / "quickstart", self.stack)
        bootsector.build().copy(folder / "guest.qcow2")
        for path in self.stack.glob("*.yaml"):
            text = path.read_text(encoding="utf-8")
            path.write_text(re.sub(r"\bhello\b", self.name, text), encoding="utf-8")
        self._replace("stack.yaml", f"default: {SESSION}", f"default: {uri}")
        disks = "default: /var/tmp/provisioner-quickstart"
        self._replace("stack.yaml", disks, f"default: {folder / 'disks'}")

    def run(self) -> None:
        """All of it; raises DemoError where something is not as it should be."""
        say(
            "A stack is a folder of manifests. This one describes a machine, its disk, its network."
        )
        self.provisioner("validate")
        say("What would have to be done?")
        self.provisioner("plan")
        say("Do it.")
        self._made = True
        self.provisioner("apply", "--yes")
        say("The guest runs: this is what it says on its serial console.")
        first = self.counter()
        self.provisioner("console", self.name, "--log", tail=3)
        say("A second plan has nothing to do.")
        self.provisioner("plan", "--detailed-exitcode", expect=NOTHING_TO_DO)
        say("Give the running machine a second CPU.")
        self.edit("machine.yaml", "count: 1", "count: 2")
        self.provisioner("apply", "--yes")
        self.virsh("vcpucount", self.name, "--live", "--active")
        second = self.counter(above=first)
        say(f"It was not restarted: its counter went on from {first} to {second}.")
        say("Somebody changes the machine behind our back. Drift shows what.")
        self.virsh("desc", self.name, "--live", "--config", "do not touch, ask Bob")
        self.provisioner("drift", expect=CHANGES)
        say("Apply repairs it.")
        self.provisioner("apply", "--yes")
        self.virsh("desc", self.name)
        say("Remove everything. A disk is only removed if its loss is agreed to by name.")
        self.provisioner("destroy", "--yes", "--allow-data-loss", f"Disk/{self.name}-root")
        self._made = False
        if self.name in self.virsh("list", "--all", "--name"):
            raise DemoError(f"the machine {self.name} is still there")
        say("That was all: a guest from YAML, changed, repaired, and gone.")

    def clean_up(self) -> bool:
        """Remove what was made by then; whether nothing is left."""
        if not self._made or not (self.stack / ".provisioner").exists():
            return True
        say(f"Removing what was made ({self.name}); this takes some seconds.")
        result = finish(self.removal(), self.stack)
        if result.returncode:
            print(result.stdout, flush=True)
        self._made = bool(result.returncode)
        return not self._made

    def removal(self) -> list[str]:
        """The command that removes everything, also what was left half done."""
        consent = f"--allow-data-loss=Disk/{self.name}-root"
        return ["provisioner", "destroy", str(self.stack), "--recorded", "--yes", consent]

    def provisioner(self, command: str, *arguments: str, expect: int = 0, tail: int = 0) -> None:
        """Run a command of ours on the stack and show it."""
        argv = ["provisioner", command, *arguments]
        print(f"\n$ {shlex.join(argv)}", flush=True)
        result = finish(argv, self.stack)
        lines = result.stdout.splitlines()
        print("\n".join(lines[-tail:] if tail else lines), flush=True)
        if result.returncode != expect:
            raise DemoError(f"exit code {result.returncode}, expected {expect}")

    def virsh(self, *arguments: str) -> str:
        """Run a command of libvirt's own shell and show it."""
        print(f"\n$ virsh {shlex.join(arguments)}", flush=True)
        result = finish(["virsh", "--quiet", "-c", self._uri, *arguments], self.stack)
        print(result.stdout.strip(), flush=True)
        if result.returncode:
            raise DemoError(f"virsh ended with exit code {result.returncode}")
        return result.stdout

    def edit(self, name: str, before: str, after: str) -> None:
        """Change a manifest and show the change."""
        self._replace(name, before, after)
        print(f"\n--- {name}\n-   {before}\n+   {after}", flush=True)

    def counter(self, above: int = -1) -> int:
        """The guest's counter as its console shows it, once it is more than ``above``."""
        deadline = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < deadline:
            log = finish(["provisioner", "console", self.name, "--log"], self.stack).stdout
            counts = [int(count, 16) for count in COUNT.findall(log)]
            if len(counts) > 2 and counts[-1] > above:
                return counts[-1]
            time.sleep(0.5)
        raise DemoError(f"the guest's counter was not seen above {above}\n{log}")

    def _replace(self, name: str, before: str, after: str) -> None:
        path = self.stack / name
        text = path.read_text(encoding="utf-8")
        if before not in text:
            raise DemoError(f"{name} does not say {before!r}")
        path.write_text(text.replace(before, after), encoding="utf-8")


def finish(argv: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and return what it wrote, errors among the rest.

    It does not see Ctrl-C itself: interrupted is this program, which then asks the command once to
    come to an orderly end, and waits for that.
    """
    process = subprocess.Popen(
        argv,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        out, _ = process.communicate()
    except KeyboardInterrupt:
        ignore_interrupts()
        process.send_signal(signal.SIGINT)
        process.communicate()
        raise
    return subprocess.CompletedProcess(argv, process.returncode, out)


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n# {text}", flush=True)


def ignore_interrupts() -> None:
    """From now on nothing but the removal goes on, which has to come to its end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


class Connection(NamedTuple):
    """A libvirt; what is left on a private one goes with it."""

    uri: str
    private: bool


@contextlib.contextmanager
def connection() -> Iterator[Connection]:
    """A libvirt that needs no set-up."""
    if os.geteuid() != 0:
        yield Connection(SESSION, private=False)
        return
    with LibvirtDaemon(Flavour.SESSION) as daemon:
        yield Connection(daemon.uri, private=True)


def carry_out(folder: Path) -> tuple[int, str]:
    """The whole demo; its exit code and last words."""
    code, ended = 0, ""
    demo = None
    with connection() as libvirt:
        try:
            demo = Demo(folder, libvirt.uri)
            demo.run()
        except KeyboardInterrupt:
            code, ended = 130, "interrupted"
        except Exception as problem:  # noqa: BLE001 - whatever it is, what was made is removed
            code, ended = 1, f"failed: {problem}"
        ignore_interrupts()
        clean = demo is None or demo.clean_up()
    if clean or libvirt.private:
        shutil.rmtree(folder)
        return code, f"{ended}. Nothing of it is left." if ended else ""
    assert demo is not None
    return code or 1, (
        f"{ended or 'failed'}. {demo.name} could not be removed, see above; its record is in\n"
        f"{folder}. Try again with:\n    PATH={ROOT}/.venv/bin:$PATH {shlex.join(demo.removal())}"
    )


def main() -> int:
    """Run the demo, however it ends without a trace of it."""
    folder = Path(tempfile.mkdtemp(prefix="provisioner-demo-", dir="/var/tmp"))
    folder.chmod(0o755)  # the guest may run as another user than the one who starts it
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        code, last_words = carry_out(folder)
    except (KeyboardInterrupt, LabError) as problem:
        # While the private daemon was started or ended: whatever ran on it went with it.
        shutil.rmtree(folder, ignore_errors=True)
        interrupted = isinstance(problem, KeyboardInterrupt)
        code = 130 if interrupted else 1
        ended = "interrupted" if interrupted else f"failed: {problem}"
        last_words = f"{ended}. Nothing of it is left."
    if last_words:
        print(f"\ndemo: {last_words}", flush=True)
    return code


if __name__ == "__main__":
    sys.exit(main())
