"""A recovery plan between two KVM hosts, with the program as a person would use it: a boot-sector
guest whose counter tells how much of its data was kept.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lab.bootsector import BootImage, counter
from tests.live.program import Stack

if TYPE_CHECKING:
    from tests.lab.sites import Site, TwoSites

pytest.importorskip("libvirt")

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

MANIFESTS = """\
apiVersion: provisioner/v1
kind: Stack
metadata: {{name: shop}}
spec: {{defaults: {{host: near}}}}
---
apiVersion: provisioner/v1
kind: Host
metadata: {{name: near}}
spec:
  provider: kvm
  connection: {{uri: "{a}", insecure: true, replication: {{shell: local}}}}
  accelerator: tcg
---
apiVersion: provisioner/v1
kind: Host
metadata: {{name: far}}
spec:
  provider: kvm
  connection: {{uri: "{b}", insecure: true, replication: {{shell: local}}}}
  accelerator: tcg
---
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: near-disks}}
spec: {{host: near, type: dir, path: "{pool_a}"}}
---
apiVersion: provisioner/v1
kind: StoragePool
metadata: {{name: far-disks}}
spec: {{host: far, type: dir, path: "{pool_b}"}}
---
apiVersion: provisioner/v1
kind: Image
metadata: {{name: boot}}
spec: {{pool: near-disks, source: {{file: boot.qcow2}}, format: qcow2}}
---
apiVersion: provisioner/v1
kind: Disk
metadata: {{name: root}}
spec: {{pool: near-disks, image: boot, clone: full, retention: delete}}
---
apiVersion: provisioner/v1
kind: VirtualMachine
metadata: {{name: web, labels: {{app: shop}}}}
spec:
  placement: {{host: near}}
  power: running
  memory: {{size: 16MiB}}
  disks: [{{disk: root}}]
  shutdownTimeout: 0s
---
apiVersion: provisioner/v1
kind: Site
metadata: {{name: east}}
spec: {{hosts: [{{host: near}}]}}
---
apiVersion: provisioner/v1
kind: Site
metadata: {{name: west}}
spec: {{hosts: [{{host: far}}]}}
---
apiVersion: provisioner/v1
kind: SitePair
metadata: {{name: both}}
spec: {{first: east, second: west, pools: [{{first: near-disks, second: far-disks}}]}}
---
apiVersion: provisioner/v1
kind: ProtectionGroup
metadata: {{name: shop}}
spec:
  sitePair: both
  selector: {{matchLabels: {{app: shop}}}}
  recoveryPointObjective: 1h
  replication: {{type: {way}, interval: 5s, keep: 3}}
---
apiVersion: provisioner/v1
kind: RecoveryPlan
metadata: {{name: shop}}
spec:
  groups: [{{group: shop}}]
  machines: [{{machine: web, health: {{serial: {{text: LAB-SEQ}}, timeout: 30s}}}}]
  fencing: [{{command: {{argv: ['true']}}, timeout: 10s}}]
"""


NETWORKS = """\
---
apiVersion: provisioner/v1
kind: Network
metadata: {{name: near-lan}}
spec: {{host: near, mode: nat, cidr: 10.71.0.0/24}}
---
apiVersion: provisioner/v1
kind: Network
metadata: {{name: far-lan}}
spec: {{host: far, mode: nat, cidr: 10.72.0.0/24}}
"""


def with_networks() -> str:
    """The stack whose machine has a card in a network that leads out."""
    return (
        MANIFESTS.replace("  shutdownTimeout: 0s\n", "  shutdownTimeout: 0s\n" + NIC)
        .replace("second: west,", "second: west, networks: [{{first: near-lan, second: far-lan}}],")
        .replace("insecure: true, ", "")
        .replace("fencing:", "bubble: [{{network: far-lan}}]\n  fencing:")
        + NETWORKS
    )


NIC = "  nics: [{{name: lan, network: near-lan}}]\n"


class Shop(Stack):
    """The stack on two sites, applied, whose guest counts."""

    def __init__(
        self,
        folder: Path,
        sites: TwoSites,
        image: BootImage,
        way: str,
        manifests: str = MANIFESTS,
    ) -> None:
        self.sites = sites
        text = manifests.format(
            a=sites.a.uri,
            b=sites.b.uri,
            pool_a=sites.a.daemon.directory / "shop",
            pool_b=sites.b.daemon.directory / "shop",
            way=way,
        )
        super().__init__(folder, sites.a.uri, folder, text.replace("{", "{{").replace("}", "}}"))
        image.copy(folder / "boot.qcow2")
        self.run("apply", "--yes")
        self.wait_for("LAB-SEQ")

    def dr(self, *arguments: str) -> dict[str, Any]:
        """Results of the tasks of a run, by their ids."""
        out = self.run("dr", *arguments, "--json")
        finished = json.loads(out.splitlines()[-1])
        return {task["id"]: task["result"] for task in finished["tasks"]}

    def count(self, site: Site) -> int:
        """How far the guest's disk at a site has come."""
        (disk,) = (site.daemon.directory / "shop").glob("root.*.qcow2")
        return counter(disk)


def test_a_drill_a_migration_and_the_way_back(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "incremental")
    a, b = two_sites.a, two_sites.b
    shop.run("replicate", "run")
    before = shop.count(a)
    shop.dr("test", "shop")
    assert ["drill-shop-web"] == list(b.daemon.guests())
    assert before < shop.count(a)  # it goes on
    assert 0 == shop.dr("cleanup", "shop")["left"]["left"]
    assert {} == b.daemon.guests()
    with two_sites.observed() as observer:
        shop.dr("migrate", "shop", "--yes")
        left = shop.count(a)
        assert left <= shop.count(b)
        shop.dr("reprotect", "shop", "--yes")
        shop.dr("failback", "shop", "--yes")
        assert left < shop.count(a)
    assert ["a", "b", "a"] == observer.places("web")


def test_the_card_of_a_drill_is_in_a_network_that_leads_nowhere(
    two_system_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_system_sites, boot_image, "incremental", with_networks())
    shop.run("replicate", "run")
    results = shop.dr("test", "shop")
    assert ["drill-shop-far-lan"] == results["start/web"]["networks"]
    with two_system_sites.b.connected() as connection:
        bubble = connection.networkLookupByName("drill-shop-far-lan").XMLDesc()
        guest = connection.lookupByName("drill-shop-web").XMLDesc()
    assert "<forward" not in bubble
    assert ("drill-shop-far-lan" in guest, "'far-lan'" in guest) == (True, False)
    assert 0 == shop.dr("cleanup", "shop")["left"]["left"]
    with two_system_sites.b.connected() as connection:
        assert ["far-lan"] == [item.name() for item in connection.listAllNetworks()]


def test_a_failover_from_a_file_after_the_whole_site_is_lost(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "incremental")
    a, b = two_sites.a, two_sites.b
    shop.run("replicate", "run")
    copied = shop.count(a)
    shop.run("dr", "key", "ops")
    shop.run("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    two_sites.lose(a)
    for path in (tmp_path / "stack.yaml", tmp_path / "boot.qcow2"):
        path.unlink()
    with two_sites.observed() as observer:
        results = shop.dr("failover", "--from", "shop.dr", "--trusted", "ops.pub", "--yes")
        assert results["choose/web"]["loss"] < 60
        assert not results["off/web"]["reachable"]
        two_sites.bring_back(a)
        # It is one less at the most: the guest may have counted while the point was taken.
        assert copied - 1 <= shop.count(b)
        shop.dr("reprotect", "--from", "shop.dr", "--trusted", "ops.pub", "--yes")
        shop.dr("failback", "--from", "shop.dr", "--trusted", "ops.pub", "--yes")
    assert ["b", "a"] == observer.places("web")


def test_after_a_power_cut_at_both_sites_the_newest_disk_is_not_overwritten(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "incremental")
    a, b = two_sites.a, two_sites.b
    shop.run("replicate", "run")
    two_sites.lose(a)
    shop.dr("failover", "shop", "--yes")
    with b.connected() as connection:
        connection.lookupByName("web").destroy()
    two_sites.bring_back(a)
    newest = shop.count(b)
    # What a journal would say that knows nothing of the failover.
    reprotect = ("dr", "reprotect", "shop", "--yes", "--json", "--running-at")
    assert "PRV7076" in shop.run(*reprotect, "east", expect=6)
    assert newest == shop.count(b)
    with b.connected() as connection:
        connection.lookupByName("web").create()
    shop.run(*reprotect, "west")
    assert newest <= shop.count(b)


def test_the_hosts_tell_which_way_a_plan_leads_whose_journal_is_lost(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "incremental")
    stored = ("--from", "shop.dr", "--trusted", "ops.pub")
    shop.run("dr", "key", "ops")
    shop.run("dr", "compile", "shop", "-o", "shop.dr", "--key", "ops")
    with two_sites.observed() as observer:
        shop.dr("migrate", *stored, "--yes")
        (tmp_path / "shop.dr.runs.db").unlink()
        moved = shop.count(two_sites.b)
        shop.dr("reprotect", *stored, "--yes")
        (tmp_path / "shop.dr.runs.db").unlink()
        two_sites.lose(two_sites.b)
        # What is left of it stands by, so the site that is silent is the one to leave.
        results = shop.dr("failover", *stored, "--yes")
        assert not results["off/web"]["reachable"]
        assert moved - 1 <= shop.count(two_sites.a)
    assert ["a", "b", "a"] == observer.places("web")


@pytest.mark.slow
def test_continuous_replication_keeps_all_but_the_last_write(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "continuous")
    a, b = two_sites.a, two_sites.b
    shop.run("replicate", "run")
    shop.run("replicate", "status")
    two_sites.lose(a)
    lost = shop.count(a)
    with two_sites.observed() as observer:
        results = shop.dr("failover", "shop", "--yes")
        assert results["choose/web"]["continuous"]
        assert lost - 1 <= shop.count(b)
        two_sites.bring_back(a)
        # A pipeline knows nothing of the failover.
        (journals,) = tmp_path.rglob("recovery")
        shutil.rmtree(journals)
        (held,) = shop.plan()["held"]
        why = "it runs at Site/west (Host/far), and would run twice"
        assert ("VirtualMachine/web", why) == (held["id"], held["held"])
        shop.run("apply", "--yes", expect=4)
    assert ["b"] == observer.places("web")


MOVES_NO_DISK = """\
#!/bin/sh
for to in "$@"; do :; done
case "$to" in *.replica.*) exec /bin/mv "$@" ;; esac
echo "the host is gone" >&2
exit 1
"""


def test_after_a_rollback_a_promotion_that_did_not_end_is_in_nobody_s_way(
    two_sites: TwoSites, boot_image: BootImage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = Shop(tmp_path, two_sites, boot_image, "incremental")
    a, b = two_sites.a, two_sites.b
    shop.run("replicate", "run")
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "mv"
    program.write_text(MOVES_NO_DISK)
    program.chmod(0o755)
    with monkeypatch.context() as patched:
        patched.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
        assert "PRV5360" in shop.run("dr", "failover", "shop", "--yes", expect=6)
    shop.dr("rollback", "shop", "--yes")
    assert (["web"], []) == (list(a.daemon.guests()), list(b.daemon.guests()))
    refused = shop.run("replicate", "run", expect=1)
    assert "PRV5378" in refused
    assert "provisioner dr reprotect shop" in refused
    shop.dr("reprotect", "shop", "--yes")
    left = shop.count(a)
    shop.dr("migrate", "shop", "--yes")
    assert left < shop.count(a) <= shop.count(b)
