"""The stack ``stacks/dr-two-sites`` on two sites, with the power switch that fences them. Called by
the live tests of recovery and by the demo.

Commands run as a user runs them: by the manifests in ``stack``, or in the empty folder
``elsewhere`` with nothing but the signed plan, the trusted key and a journal.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.lab import bootsector
from tests.lab.serial import SerialLog
from tests.lab.sites import Site, TwoSites

_ROOT = Path(__file__).resolve().parents[2]
STACK = _ROOT / "stacks" / "dr-two-sites"
MACHINES = ("db", "mail", "orders", "queue", "stock", "web")
CONTINUOUS = ("db", "queue")

Show = Callable[[list[str], str], None]
"""Is told each command, without what every one of them has, and what it wrote."""


class ShopError(Exception):
    """A command did not end as expected; the text holds what it wrote."""


class Shop:
    """The shop in ``folder``, on ``sites``. ``show``: who is told of the commands."""

    def __init__(self, sites: TwoSites, folder: Path, show: Show | None = None) -> None:
        self.sites = sites
        self.stack, self.elsewhere = folder / "stack", folder / "elsewhere"
        self.plan, self.key, self.journal = folder / "shop.plan", folder / "ops", folder / "shop.db"
        self._show = show
        self._switch = _PowerSwitch(sites, folder)
        shutil.copytree(STACK, self.stack)
        self.elsewhere.mkdir()
        image = bootsector.build().copy(folder / "guest.qcow2")
        a, b = sites.a, sites.b
        values = {
            "siteA": a.uri,
            "siteB": b.uri,
            "folderA": a.folder / "shop",
            "folderB": b.folder / "shop",
            "image": image,
            "fence": self._switch.program,
        }
        self._variables = [f"--var={name}={value}" for name, value in values.items()]

    def __enter__(self) -> Self:
        self._switch.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._switch.end()

    def begin(self) -> None:
        """Its machines run at site a and are copied to site b; the signed plan is there."""
        self.run("apply", "--yes")
        self.run("dr", "key", str(self.key))
        self.run("dr", "compile", "shop", f"--output={self.plan}", f"--key={self.key}")
        self.run("replicate", "run")
        self.wait_for_counts(self.sites.a)

    # Commands

    def run(self, *command: str, expect: int = 0) -> str:
        """A command by the manifests; returns what it wrote. Raises ShopError if it ends otherwise
        than with the exit code ``expect``.
        """
        return self._finished(list(command), self._variables, self.stack, expect)

    def run_stored(self, *command: str, expect: int = 0) -> str:
        """A command of ``dr`` by the stored plan and nothing else."""
        return self._finished(list(command), self.stored, self.elsewhere, expect)

    def results(self, *command: str, expect: int = 0) -> dict[str, dict[str, Any]]:
        """What the tasks of a run by the stored plan came to, by their ids."""
        lines = self.run_stored(*command, "--json", expect=expect).splitlines()
        finished = next(line for line in reversed(lines) if line.startswith("{"))
        return {task["id"]: task["result"] for task in json.loads(finished)["tasks"]}

    @property
    def stored(self) -> list[str]:
        """What commands by the stored plan have."""
        trusted = f"--trusted={self.key}.pub"
        return [f"--from={self.plan}", trusted, f"--journal={self.journal}"]

    def run_killed(self, seen: Path, stride: int, *command: str) -> bool:
        """A command by the stored plan, which is killed as :mod:`tests.live.recoverykilled` says.
        Whether it was: it may have got to its end.
        """
        program = [sys.executable, "-m", "tests.live.recoverykilled", str(seen), str(stride)]
        environ = {**os.environ, "PYTHONPATH": str(_ROOT)}
        done = subprocess.run(
            [*program, *command, *self.stored],
            cwd=self.elsewhere,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if "PRV7003" in done.stdout and "has succeeded" in done.stdout:
            return False  # the one before was killed after the last that it wrote
        if done.returncode not in (0, -signal.SIGKILL):
            raise ShopError(f"{command}: exit code {done.returncode}\n{done.stdout}")
        return done.returncode != 0

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Replication goes on for as long as the block lasts, by a process that is ended then."""
        with tempfile.TemporaryFile() as log:
            argv = [*_PROGRAM, "replicate", "watch", *self._variables]
            process = subprocess.Popen(argv, cwd=self.stack, stdout=log, stderr=log)
            try:
                yield
            finally:
                process.terminate()
                process.wait()

    def _finished(self, command: list[str], more: list[str], folder: Path, expect: int) -> str:
        argv = [*_PROGRAM, *command, *more]
        done = subprocess.run(
            argv,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        if self._show is not None:
            self._show(command, done.stdout)
        if done.returncode != expect:
            raise ShopError(f"{command}: exit code {done.returncode}, not {expect}\n{done.stdout}")
        return done.stdout

    # What is there

    def log(self, site: Site, machine: str) -> SerialLog:
        """What a machine has printed since its last start at a site."""
        found = sorted((site.folder / "shop").glob(f"{machine}.*.console.log"))
        return SerialLog(found[0] if found else site.folder / "shop" / "none.log")

    def count(self, site: Site, machine: str) -> int:
        """The latest count that a machine has printed at a site."""
        count = self.log(site, machine).sequence()
        if count is None:
            raise ShopError(f"{machine} has printed nothing at site {site.name}")
        return count

    def wait_for_counts(self, site: Site, above: int = 0, seconds: float = 60.0) -> None:
        """Until every machine has printed a count above a number at a site."""
        end = time.monotonic() + seconds
        while any((self.log(site, name).sequence() or 0) <= above for name in MACHINES):
            if time.monotonic() > end:
                counts = {name: self.log(site, name).sequence() for name in MACHINES}
                raise ShopError(f"not all machines count at site {site.name}: {counts}")
            time.sleep(0.1)

    def objects(self, site: Site) -> list[str]:
        """All that is there for the shop at a site: files, as ``web.qcow2``, with all recovery
        points of a disk as one, machines and networks.
        """
        found = {_POINT.sub(".", path.name) for path in (site.folder / "shop").iterdir()}
        with site.connected() as connection:
            defined = [*connection.listAllDomains(), *connection.listAllNetworks()]
            names = [f"{type(item).__name__} {item.name()}" for item in defined]
        return sorted([_IDENTITY.sub(".", name) for name in found] + names)

    def refuse_fencing(self) -> None:
        """From now on the power switch does not work."""
        self._switch.broken = True

    def allow_fencing(self) -> None:
        """From now on it works again."""
        self._switch.broken = False


_POINT = re.compile(r"(?<=\.replica)\.\d{8}\.")
_IDENTITY = re.compile(r"\.[0-9a-f]{8}\.|-[0-9a-f]{16}\.")
_PROGRAM = [sys.executable, "-m", "provisioner"]


class _PowerSwitch:
    """A power switch that a program operates: it asks by a file and waits until that is gone. Ends
    with 0 once the site has no power.
    """

    def __init__(self, sites: TwoSites, folder: Path) -> None:
        self._sites = {f"site-{site.name}": site for site in (sites.a, sites.b)}
        self._lose = sites.lose
        self._requests = folder / "switch"
        self._requests.mkdir()
        self.program = folder / "cut-power"
        self.program.write_text(
            f'#!/bin/sh\nasked="{self._requests}/$PROVISIONER_SITE"\n'
            'touch "$asked"\nwhile [ -e "$asked" ]; do sleep 0.05; done\n[ ! -e "$asked.failed" ]\n'
        )
        self.program.chmod(0o755)
        self.broken = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="power-switch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _serve(self) -> None:
        while not self._ended.wait(0.02):
            for name, site in self._sites.items():
                asked = self._requests / name
                if not asked.exists():
                    continue
                failed = asked.with_suffix(".failed")
                failed.unlink(missing_ok=True)
                if self.broken:
                    failed.touch()
                elif site.daemon.is_running:
                    self._lose(site)
                asked.unlink()
