"""The whole folder of the state put back from an older copy, mark and all: nothing in it tells.
Then the endpoints do.
"""

from __future__ import annotations

import shutil

from tests.lifecycle.commandline import CommandLine
from tests.lifecycle.stacks import DISK, LAN, POOL, WEB

SPARE = "Network/spare\nmode: isolated\n"
SCRATCH = "Network/scratch\nmode: isolated\n"


def test_what_was_done_since_is_found_and_not_done_again(shop: CommandLine) -> None:
    folder, copy = shop.root / ".provisioner", shop.root / ".copy"
    shop.declare(LAN, POOL, DISK, WEB, SCRATCH)
    assert 0 == shop("apply", "--yes").code
    shutil.copytree(folder, copy)
    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"), SPARE)
    assert 0 == shop("apply", "--yes", "--max-impact", "replace").code
    later = shop.outside.objects()
    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 3"), SPARE)
    assert 0 == shop("plan", "-o", "later.plan", "--max-impact", "restart").code

    shutil.rmtree(folder)
    shutil.copytree(copy, folder)
    # A plan that was made with what is forgotten does not fit.
    assert 3 == shop("apply", "later.plan").code
    shop.declare(LAN, POOL, DISK, WEB.replace("count: 1", "count: 2"), SPARE)
    planned = shop("plan", "--json").json["steps"]
    assert {"forget Network/scratch", "adopt Network/spare"} == {
        f"{step['action']} {step['id']}" for step in planned
    }
    assert 0 == shop("apply", "--yes").code
    assert later == shop.outside.objects()
    assert 0 == shop("plan", "--detailed-exitcode").code
