"""The main job on a real guest, command by command. Run by scripts/demo."""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab import bootsector  # noqa: E402 - the root of the checkout has to be on the path
from tests.lab.daemon import Flavour, LibvirtDaemon  # noqa: E402 - as above

NOTHING_TO_DO, CHANGES = 0, 2
BOOT_SECONDS = 60.0
COUNT = re.compile(r"LAB-SEQ ([0-9a-f]{8})")


class Demo:
    """One run in a folder of its own."""

    def __init__(self, folder: Path, uri: str) -> None:
        self._stack = folder / "hello"
        self._uri = uri
        shutil.copytree(ROOT / "stacks" / "quickstart", self._stack)
        image = bootsector.build().copy(folder / "guest.qcow2")
        # The stack's own defaults are for a checkout; these are for this folder.
        self._variables = {"connection": uri, "folder": str(folder / "disks"), "image": str(image)}

    def run(self) -> None:
        """All of it; raises SystemExit with a message where something is not as it should be."""
        say(
            "A stack is a folder of manifests. This one describes a machine, its disk, its network."
        )
        self.provisioner("validate")
        say("What would have to be done?")
        self.provisioner("plan")
        say("Do it.")
        self.provisioner("apply", "--yes")
        say("The guest runs: this is what it says on its serial console.")
        first = self.counter()
        self.provisioner("console", "hello", "--log", tail=3)
        say("A second plan has nothing to do.")
        self.provisioner("plan", "--detailed-exitcode", expect=NOTHING_TO_DO)
        say("Give the running machine a second CPU.")
        self.edit("machine.yaml", "count: 1", "count: 2")
        self.provisioner("apply", "--yes")
        self.virsh("vcpucount", "hello", "--live", "--active")
        second = self.counter(above=first)
        say(f"It was not restarted: its counter went on from {first} to {second}.")
        say("Somebody changes the machine behind our back. Drift shows what.")
        self.virsh("desc", "hello", "--live", "--config", "do not touch, ask Bob")
        self.provisioner("drift", expect=CHANGES)
        say("Apply repairs it.")
        self.provisioner("apply", "--yes")
        self.virsh("desc", "hello")
        say("Remove everything. Disks are only removed if their loss is agreed to by name.")
        self.provisioner("destroy", "--yes", "--allow-data-loss", "Disk/hello-root")
        self.virsh("list", "--all", "--name")
        self.virsh("pool-list", "--all", "--name")
        say("That was all: a guest from YAML, changed, repaired, and gone.")

    def provisioner(self, command: str, *arguments: str, expect: int = 0, tail: int = 0) -> None:
        """Run a command of ours on the stack and show it."""
        options = [f"--var={name}={value}" for name, value in self._variables.items()]
        shown = ["provisioner", command, *arguments]
        print(f"\n$ {shlex.join(shown)}", flush=True)
        # `console` takes the machine's name; the stack is the folder it runs in.
        result = subprocess.run(
            [*shown, *options],
            cwd=self._stack,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        lines = result.stdout.splitlines()
        print("\n".join(lines[-tail:] if tail else lines), flush=True)
        if result.returncode != expect:
            sys.exit(f"demo: exit code {result.returncode}, expected {expect}")

    def virsh(self, *arguments: str) -> None:
        """Run a command of libvirt's own shell and show it."""
        print(f"\n$ virsh {shlex.join(arguments)}", flush=True)
        subprocess.run(["virsh", "--quiet", "-c", self._uri, *arguments], check=True)

    def edit(self, name: str, before: str, after: str) -> None:
        """Change a manifest and show the change."""
        path = self._stack / name
        text = path.read_text(encoding="utf-8")
        if before not in text:
            sys.exit(f"demo: {name} does not say {before!r}")
        path.write_text(text.replace(before, after), encoding="utf-8")
        print(f"\n--- {name}\n-   {before}\n+   {after}", flush=True)

    def counter(self, above: int = -1) -> int:
        """The guest's counter as its console shows it, once it is more than ``above``."""
        deadline = time.monotonic() + BOOT_SECONDS
        options = [f"--var={name}={value}" for name, value in self._variables.items()]
        while time.monotonic() < deadline:
            log = subprocess.run(
                ["provisioner", "console", "hello", "--log", *options],
                cwd=self._stack,
                capture_output=True,
                text=True,
                check=False,
            )
            counts = [int(count, 16) for count in COUNT.findall(log.stdout)]
            if len(counts) > 2 and counts[-1] > above:
                return counts[-1]
            time.sleep(0.5)
        sys.exit(f"demo: the guest's counter was not seen above {above}\n{log.stdout}{log.stderr}")


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n# {text}", flush=True)


@contextlib.contextmanager
def connection() -> Iterator[str]:
    """The URI of a libvirt that needs no set-up."""
    if os.geteuid() != 0:
        yield "qemu:///session"
        return
    with LibvirtDaemon(Flavour.SESSION) as daemon:
        yield daemon.uri


def main() -> None:
    """Run the demo and remove its folder."""
    with (
        connection() as uri,
        tempfile.TemporaryDirectory(prefix="provisioner-demo-", dir="/var/tmp") as name,
    ):
        folder = Path(name)
        folder.chmod(0o755)  # the guest may run as another user than the one who starts it
        Demo(folder, uri).run()


if __name__ == "__main__":
    main()
