"""Faults on demand do what their rules say, as often as they say."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from provisioner.core.address import Address
from provisioner.core.clock import Deadline, SystemClock
from provisioner.core.identity import Stamp, identity
from provisioner.core.values import Secret
from provisioner.providers.api import (
    Context,
    Endpoint,
    Present,
    Resource,
    Retryable,
    Session,
    Terminal,
    Undetermined,
)
from provisioner_plugins.memory import provider
from provisioner_plugins.memory.outside import Outside
from provisioner_plugins.memory.provider import MemoryProvider

LINEAGE = UUID("6f9619ff-8b86-4d01-b42d-00c04fc964ff")
CLOCK = SystemClock()


class NoSecrets:
    def resolve(self, reference: str) -> Secret:
        raise LookupError(reference)


def context(root: Path) -> Context:
    return Context(root, CLOCK, NoSecrets(), lambda *_args, **_rest: None)


def disk(name: str = "data") -> Resource:
    address = Address("Disk", name)
    stamp = Stamp(str(LINEAGE), str(address))
    return Resource(address, name, identity(LINEAGE, address), stamp, {"size": 1})


class Rig:
    def __init__(self, root: Path, rules: list[dict[str, Any]]) -> None:
        self.provider: MemoryProvider = provider()
        self.endpoint = Endpoint("lab", "memory", {"faults": rules})
        self.session: Session = self.provider.open(self.endpoint, context(root))
        self.outside = Outside(self.provider.inventory(self.endpoint, root))

    def create(self, name: str = "data", seconds: float = 5.0) -> None:
        self.session.create(disk(name), Deadline.after(seconds, CLOCK))


MakeRig = Callable[..., Rig]


@pytest.fixture
def rig(tmp_path: Path) -> MakeRig:
    return lambda *rules: Rig(tmp_path, list(rules))


@pytest.mark.parametrize(("effect", "error"), [("retryable", Retryable), ("terminal", Terminal)])
def test_a_failure_happens_before_anything_is_done(
    rig: MakeRig, effect: str, error: type[Exception]
) -> None:
    one = rig({"call": "create", "effect": effect, "times": 2})
    for _ in range(2):
        with pytest.raises(error):
            one.create()
        assert [] == one.outside.objects()
    one.create()
    assert 1 == len(one.outside.objects())


def test_zero_times_is_every_time(rig: MakeRig) -> None:
    one = rig({"call": "create", "effect": "terminal", "times": 0})
    for _ in range(5):
        with pytest.raises(Terminal):
            one.create()


def test_a_rule_is_about_the_addresses_it_names(rig: MakeRig) -> None:
    one = rig({"call": "create", "address": "Disk/web*", "effect": "terminal"})
    one.create("data")
    with pytest.raises(Terminal):
        one.create("web1")


def test_a_lost_answer_comes_after_the_work(rig: MakeRig) -> None:
    one = rig({"call": "create", "effect": "lost-answer"})
    with pytest.raises(Retryable):
        one.create()
    assert ["data"] == [item.name for item in one.outside.objects()]


def test_a_hang_lasts_until_the_deadline(rig: MakeRig) -> None:
    one = rig({"call": "create", "effect": "hang"})
    started = CLOCK.monotonic()
    with pytest.raises(Retryable):
        one.create(seconds=0.2)
    assert 0.2 <= CLOCK.monotonic() - started < 3
    assert [] == one.outside.objects()


def test_a_delay_comes_before_the_work(rig: MakeRig) -> None:
    one = rig({"call": "create", "effect": "delay", "seconds": 0.2})
    started = CLOCK.monotonic()
    one.create()
    assert 0.2 <= CLOCK.monotonic() - started
    assert 1 == len(one.outside.objects())


def test_observe_cannot_tell(rig: MakeRig) -> None:
    one = rig({"call": "observe", "address": "Disk/a", "effect": "undetermined"})
    one.create("a")
    one.create("b")
    found = one.session.observe([disk("a"), disk("b")])
    assert isinstance(found[Address("Disk", "a")], Undetermined)
    assert isinstance(found[Address("Disk", "b")], Present)
    assert isinstance(one.session.observe([disk("a")])[Address("Disk", "a")], Present)


def test_opening_can_fail(rig: MakeRig, tmp_path: Path) -> None:
    with pytest.raises(Terminal):
        rig({"call": "open", "effect": "terminal"})


def test_calls_are_counted(rig: MakeRig) -> None:
    one = rig()
    one.create()
    one.session.observe([disk(f"disk-{number}") for number in range(50)])
    list(one.session.discover({"Disk"}))
    expected = {"open": 1, "create": 1, "observe": 1, "discover": 1}
    assert expected == one.provider.calls("lab")
    assert {} == one.provider.calls("elsewhere")


def test_endpoints_without_a_file_belong_to_their_provider(tmp_path: Path) -> None:
    first, second = Rig(tmp_path, []), Rig(tmp_path, [])
    first.create()
    again = first.provider.open(first.endpoint, context(tmp_path))
    other = Endpoint("other", "memory", {})
    assert isinstance(again.observe([disk()])[disk().address], Present)
    assert [] == second.outside.objects()
    assert [] == Outside(first.provider.inventory(other, tmp_path)).objects()


def test_a_relative_path_counts_from_the_stacks_folder(tmp_path: Path) -> None:
    memory = provider()
    session = memory.open(Endpoint("lab", "memory", {"path": "here.jsonl"}), context(tmp_path))
    session.create(disk(), Deadline.after(5, CLOCK))
    session.close()
    assert (tmp_path / "here.jsonl").exists()


def test_a_closed_session_says_so(rig: MakeRig) -> None:
    one = rig()
    one.session.close()
    with pytest.raises(Terminal):
        one.session.observe([])


@pytest.mark.parametrize(("effect", "left"), [("kill-before", 0), ("kill-after", 1)])
def test_the_process_dies_at_the_call(tmp_path: Path, effect: str, left: int) -> None:
    path = tmp_path / "endpoint.jsonl"
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.unit.memory.test_faults import *\n"
        "rule = {'call': 'create', 'effect': sys.argv[2]}\n"
        "endpoint = Endpoint('lab', 'memory', {'path': sys.argv[1], 'faults': [rule]})\n"
        "session = provider().open(endpoint, context(Path('.')))\n"
        "session.create(disk(), Deadline.after(5, CLOCK))\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), effect], check=False)
    assert -9 == done.returncode
    memory = provider()
    inventory = memory.inventory(Endpoint("lab", "memory", {"path": str(path)}), tmp_path)
    assert left == len(Outside(inventory).objects())
