"""The pictures of the documentation: a plan and a failover made by hand, drawn by the program. Run
by scripts/pictures.

The drawing is compared byte for byte with ``--check``; photographs of pages are taken where there
is a browser, and are not compared.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from provisioner.cli.render.html.page import render_html
from provisioner.cli.render.recovery.page import render_page
from provisioner.cli.render.svg import render_svg
from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.engine.plan import Known, Plan, Step
from provisioner.providers.api import Change
from provisioner.service.graph import dependencies_of_plan
from provisioner.service.recovery.reporting import Evidence
from provisioner.service.schema import Vocabulary
from provisioner.workflows.recovery.model import Mode
from provisioner.workflows.recovery.report import report

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
GRAPH, PAGE = IMAGES / "plan-graph.svg", IMAGES / "plan-page.png"
REPORT = IMAGES / "recovery-report.png"
BROWSERS = ("chromium", "chromium-headless-shell", "google-chrome")
GIB = 1024**3
COMMAND = ("provisioner", "plan", "--env", "prod", "-o", "shop.plan")


def known(address: str, spec: dict[str, object], *needs: str) -> Known:
    """A resource of the shop."""
    parsed = Address.parse(address)
    uid = "3b241101-e2bb-4255-8caf-4136c566a962"
    dependencies = tuple(sorted(map(Address.parse, needs)))
    return Known(parsed, "rack1", parsed.name, uid, 0, spec, dependencies=dependencies)


def step(known: Known, action: Action, impact: Impact = Impact.NONE, *changes: Change) -> Step:
    """What is done to it."""
    fingerprint = "absent" if action is Action.CREATE else "seen"
    return Step(str(known.address), action, known, fingerprint, changes, impact)


def shop() -> Plan:
    """A plan with something of everything, for three tiers."""
    pool, lan, image = "StoragePool/fast", "Network/lan", "Image/debian-13"
    disks = [
        known(f"Disk/web-{n}-root", {"pool": "fast", "image": "debian-13"}, pool, image)
        for n in (1, 2, 3)
    ]
    web = [
        known(f"VirtualMachine/web-{n}", {"cpu": {"count": 2}}, f"Disk/web-{n}-root", lan)
        for n in (1, 2, 3)
    ]
    database = known("Disk/db-data", {"pool": "fast", "size": 200 * GIB}, pool)
    steps = [
        step(
            known(lan, {"mode": "nat", "mtu": 9000}),
            Action.UPDATE,
            Impact.LIVE,
            Change(("mtu",), 1500, 9000, Impact.LIVE),
        ),
        step(disks[2], Action.CREATE),
        step(web[2], Action.CREATE),
        *(
            step(
                machine,
                Action.UPDATE,
                Impact.LIVE,
                Change(("cpu", "count"), 1, 2, Impact.LIVE, "a processor is plugged in"),
            )
            for machine in web[:2]
        ),
        step(
            known("VirtualMachine/db", {"memory": {"size": 8 * GIB}}, "Disk/db-data", lan),
            Action.UPDATE,
            Impact.RESTART,
            Change(
                ("memory", "size"),
                4 * GIB,
                8 * GIB,
                Impact.RESTART,
                "8GiB exceed the maximum that it was started with",
            ),
            Change(("firmware", "type"), "bios", "uefi", Impact.RESTART),
        ),
        replace(
            step(
                known("VirtualMachine/balancer", {"machineType": "q35"}, lan),
                Action.REPLACE,
                Impact.REPLACE,
                Change(("machineType",), "pc", "q35", Impact.REPLACE),
            ),
            replace_order="delete-first",
            reason="the type of machine is fixed when it is made",
        ),
        step(known("Disk/reports", {"pool": "fast"}, pool), Action.DELETE, Impact.DATA_LOSS),
        step(known("Network/old", {}), Action.DELETE, Impact.LIVE),
        step(known("Image/uploaded", {}, pool), Action.ADOPT),
    ]
    vault = step(known("VirtualMachine/vault", {}, lan), Action.DELETE, Impact.REPLACE)
    return Plan(
        stack="shop",
        environment="prod",
        lineage="c0ffee00-0000-4000-8000-000000000000",
        serial=12,
        destroy=False,
        created_at="2026-01-01T12:00:00+00:00",
        tool_version="0.1.0",
        providers={"kvm": "1.0.0"},
        schemas="0" * 64,
        max_impact=Impact.RESTART,
        steps=tuple(steps),
        held=(replace(vault, held="it is protected (metadata.protect)"),),
        context=(known(pool, {}), known(image, {}, pool), *disks[:2], database),
        unchanged=12,
        id="3f2a91c4b07d" + "0" * 52,
    )


def graph() -> str:
    """The drawing of what the plan is about."""
    first, *rest = render_svg(dependencies_of_plan(shop()))
    note = "<!-- Generated by scripts/pictures; do not edit. -->"
    return "\n".join([first, note, *rest]) + "\n"


def failover() -> list[str]:
    """The report of a failover of which one machine did not come up."""
    # Beside the program in the checkout, and not installed.
    sys.path.insert(0, str(ROOT))
    from tests.unit.workflows.recovery import told  # noqa: PLC0415

    run = told.run_of(told.shop(), Mode.FAILOVER, "gate/cache/1")
    return render_page(Evidence(report(run), {}, "7c" * 32, "ed25519:" + "3f" * 16))


def photograph(
    path: Path, lines: Iterable[str], *, width: int = 960, height: int, dark: bool = False
) -> bool:
    """Write a picture of a page as a browser shows it; False where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        return False
    with tempfile.TemporaryDirectory(prefix="pictures-") as folder:
        page = Path(folder) / "page.html"
        page.write_text("\n".join(lines), encoding="utf-8")
        options = ["--blink-settings=preferredColorScheme=0"] if dark else []
        subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--hide-scrollbars",
                f"--user-data-dir={folder}/profile",
                f"--window-size={width},{height}",
                f"--screenshot={path}",
                *options,
                page.as_uri(),
            ],
            check=True,
            capture_output=True,
            timeout=120,
        )
    return True


def main(arguments: Sequence[str]) -> int:
    """Write the pictures, or with ``--check`` say whether the drawing is up to date."""
    if arguments == ["--check"]:
        if GRAPH.exists() and GRAPH.read_text(encoding="utf-8") == graph():
            return 0
        print(f"{GRAPH.relative_to(ROOT)} is out of date: run scripts/pictures", file=sys.stderr)
        return 1
    if arguments:
        print("usage: scripts/pictures [--check]", file=sys.stderr)
        return 2
    GRAPH.write_text(graph(), encoding="utf-8")
    print(f"written: {GRAPH.relative_to(ROOT)}")
    pages = (PAGE, render_html(shop(), Vocabulary(), COMMAND), 880), (REPORT, failover(), 1180)
    for path, lines, height in pages:
        if photograph(path, lines, height=height):
            print(f"written: {path.relative_to(ROOT)}")
        else:
            print(f"not written: {path.relative_to(ROOT)}: no {' or '.join(BROWSERS)} on the PATH")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
