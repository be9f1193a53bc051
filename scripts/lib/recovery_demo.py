"""Recovery on two real sites, command by command. Run by scripts/demo --dr.

Both sites are libvirt daemons of its own, each with networks of its own, so that nothing of this
machine is touched and nothing is left. That needs root.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.lab.daemon import Flavour  # noqa: E402 - the root of the checkout has to be on the path
from tests.lab.launcher import LabError  # noqa: E402 - as above
from tests.lab.shop import CONTINUOUS, MACHINES, Shop, ShopError  # noqa: E402 - as above
from tests.lab.sites import Site, TwoSites  # noqa: E402 - as above

TAKEN = re.compile(r"steps of \d+ done in (.+)\.$", re.MULTILINE)
BUSY = re.compile(r"(: \.\.\.|: done (already )?in .*|replicating .*|observing .*)$")
SHOWN = 12


class Demo:
    """One run."""

    def __init__(self, sites: TwoSites, shop: Shop) -> None:
        self._sites, self._shop = sites, shop
        self._figures: list[str] = []

    def run(self) -> None:
        """All of it; raises ShopError where something is not as it should be."""
        shop, a, b = self._shop, self._sites.a, self._sites.b
        say("Six machines in three tiers run at site a.")
        shop.run("apply", "--yes")
        shop.wait_for_counts(a)
        say("Copy them to site b: the data tier write by write, the rest every few seconds.")
        shop.run("replicate", "run")
        with shop.watching():
            shop.run("replicate", "status")
            say("Compile the recovery plan into one signed file, to be kept at site b.")
            shop.run("dr", "key", str(shop.key))
            shop.run("dr", "compile", "shop", f"--output={shop.plan}", f"--key={shop.key}")
            say("A drill: copies of all six start at site b, in a network that leads nowhere.")
            before = self._counts(a)
            self._time("drill", shop.run("dr", "test", "shop"))
            self._go_on(a, before, "Meanwhile the machines at site a went on")
            say("Clear it away, and count what is left.")
            shop.run("dr", "cleanup", "shop")
            shop.run("dr", "check", "shop")
            say("Site a loses power, in the middle of writing.")
            seen = self._counts(a)
            self._sites.lose(a)
        say("Fail over, with nothing but the stored plan.")
        since = time.monotonic()
        self._time("failover", shop.run_stored("dr", "failover", "shop", "--yes"))
        shop.wait_for_counts(b)
        achieved = time.monotonic() - since
        self._figures.append(
            f"recovery time, from the command to the last machine: {achieved:.1f} s"
        )
        self._lost(seen, "recovery point")
        say("Site a is back. Its machines stay off, and become the copies.")
        self._sites.bring_back(a)
        self._time("reprotect", shop.run_stored("dr", "reprotect", "shop", "--yes"))
        say("Bring everything home.")
        self._time("failback", shop.run_stored("dr", "failback", "shop", "--yes"))
        self._kept()
        shop.run("plan", "--detailed-exitcode")
        print("\nAchieved:", *self._figures, sep="\n  ", flush=True)

    def _counts(self, site: Site) -> dict[str, int]:
        return {name: self._shop.count(site, name) for name in MACHINES}

    def _go_on(self, site: Site, before: Mapping[str, int], text: str) -> None:
        now = self._counts(site)
        if any(now[name] <= before[name] for name in MACHINES):
            raise ShopError(f"not every machine went on at site {site.name}: {before}, {now}")
        say(f"{text}: {before['db']} to {now['db']} in the database.")

    def _time(self, what: str, text: str) -> None:
        found = TAKEN.search(text)
        self._figures.append(f"{what}: {found[1] if found else 'not told'}")

    def _lost(self, seen: Mapping[str, int], what: str) -> None:
        """Each machine counts once a second: what it begins with says what is lost."""
        for name in MACHINES:
            first = self._shop.log(self._sites.b, name).sequences()[0]
            lost = max(0, seen[name] - (first - 1))
            if name in CONTINUOUS and lost > 1:
                raise ShopError(f"{name} goes on with {first} after {seen[name]}")
            self._figures.append(
                f"{what} of {name}: {lost} s ({seen[name]} was seen, it went on with {first})"
            )

    def _kept(self) -> None:
        """Each machine goes on with the number behind the last that it printed over there."""
        for name in MACHINES:
            last = self._shop.count(self._sites.b, name)
            log = self._shop.log(self._sites.a, name)
            log.wait_for(f"LAB-SEQ {last + 1:08x}", 60.0)
        self._figures.append("lost on the way home: nothing")


def say(text: str) -> None:
    """Tell what comes next."""
    print(f"\n# {text}", flush=True)


def show(command: list[str], text: str) -> None:
    """A command, and the end of what it wrote without the steps one by one."""
    lines = [line for line in text.splitlines() if not BUSY.search(line)]
    print(f"\n$ provisioner {shlex.join(command)}", *lines[-SHOWN:], sep="\n", flush=True)


def main() -> int:
    """Run the demo."""
    if os.geteuid() != 0:
        print("demo: --dr needs root: its sites are daemons with networks of their own.")
        return 1
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        with (
            tempfile.TemporaryDirectory(prefix="provisioner-demo-", dir="/var/tmp") as folder,
            TwoSites(Flavour.SYSTEM) as sites,
            Shop(sites, Path(folder), show) as shop,
        ):
            Demo(sites, shop).run()
    except KeyboardInterrupt:
        print("\ndemo: interrupted. Nothing of it is left.")
        return 130
    except (ShopError, LabError) as problem:
        print(f"\ndemo: failed: {problem}\nNothing of it is left.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
