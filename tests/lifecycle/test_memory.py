"""What a session finds again of what an earlier run kept, and what it does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from provisioner.providers.api import Context, Description, Endpoint
from provisioner.service import memories
from provisioner.service.layout import CachePlace
from provisioner_plugins.memory.provider import MemoryProvider
from provisioner_plugins.memory.session import MemorySession
from tests.lifecycle.scenario import HOST, Scenario
from tests.lifecycle.stacks import POOL


class Remembering(MemoryProvider):
    """Each of its sessions recalls what the one before has kept."""

    def __init__(self) -> None:
        super().__init__()
        self.version = "1.0"
        self.recalled: list[bytes | None] = []

    def describe(self) -> Description:
        return replace(super().describe(), version=self.version)

    def open(self, endpoint: Endpoint, context: Context) -> MemorySession:
        self.recalled.append(context.memory.recall("number"))
        context.memory.keep("number", str(len(self.recalled)).encode())
        return super().open(endpoint, context)


class Runs:
    """A stack of which a plan was made; each plan is a run of its own."""

    def __init__(self, scenario: Scenario, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.scenario = scenario
        self.patch = patch
        self.provider = Remembering()
        scenario.provider = self.provider
        scenario.cache = CachePlace(home / "cache", home / "cache.key")
        scenario.declare(POOL)
        scenario.plan()

    @property
    def file(self) -> Path:
        assert self.scenario.cache is not None
        (path,) = self.scenario.cache.folder.glob("*.memory")
        return path

    def recalled(self) -> bytes | None:
        """What a session of the next run knows."""
        self.scenario.plan()
        return self.provider.recalled[-1]


@pytest.fixture
def runs(
    scenario: Scenario, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    return Runs(scenario, tmp_path_factory.mktemp("home"), monkeypatch)


def test_the_next_run_knows_what_was_kept(runs: Runs) -> None:
    assert [None, b"1"] == [runs.provider.recalled[-1], runs.recalled()]


def test_whatever_a_run_does_keeps_it(runs: Runs) -> None:
    plan = runs.scenario.plan()
    assert "done" == runs.scenario.apply(plan).outcome
    runs.scenario.drift()
    assert [None, b"1", b"2", b"3"] == runs.provider.recalled


def test_a_run_that_fails_keeps_it_too(runs: Runs) -> None:
    runs.scenario.provider.faults("here").add({"call": "observe", "effect": "terminal"})
    with pytest.raises(Exception, match="refuses"):
        runs.scenario.plan()
    assert b"2" == runs.recalled()


def test_nothing_is_recorded_in_the_stacks_folder(runs: Runs) -> None:
    before = sorted(runs.scenario.root.rglob("*"))
    runs.scenario.drift()
    assert before == sorted(runs.scenario.root.rglob("*"))


# What may differ from one run to the next.


def another_user(runs: Runs) -> None:
    assert runs.scenario.cache is not None
    secret = runs.scenario.cache.secret.with_name("other.key")
    runs.scenario.cache = runs.scenario.cache._replace(secret=secret)


def an_altered_file(runs: Runs) -> None:
    runs.file.write_bytes(runs.file.read_bytes()[:-1] + b"7")


def another_version_of_the_provider(runs: Runs) -> None:
    runs.provider.version = "1.1"


def another_version_of_the_program(runs: Runs) -> None:
    runs.patch.setattr(memories, "__version__", "0.0.0")


def another_connection(runs: Runs) -> None:
    runs.scenario.write(
        "host.yaml", HOST.replace("provider: memory", "provider: memory, connection: {faults: []}")
    )


def another_stack(runs: Runs) -> None:
    moved = runs.scenario.root.with_name("moved")
    runs.scenario.root.rename(moved)
    runs.scenario.root = moved


def no_cache(runs: Runs) -> None:
    runs.scenario.cache = None


@pytest.mark.parametrize(
    "differs",
    [
        another_user,
        an_altered_file,
        another_version_of_the_provider,
        another_version_of_the_program,
        another_connection,
        another_stack,
        no_cache,
    ],
)
def test_it_is_not_known_with(runs: Runs, differs: Callable[[Runs], None]) -> None:
    differs(runs)
    assert None is runs.recalled()


def test_a_file_under_the_name_of_that_of_another_endpoint_is_not_known(runs: Runs) -> None:
    """As somebody could rename it who carries the cache from run to run."""
    first = runs.file
    another_connection(runs)
    runs.scenario.plan()
    assert runs.scenario.cache is not None
    (second,) = set(runs.scenario.cache.folder.glob("*.memory")) - {first}
    first.replace(second)
    assert None is runs.recalled()


def test_each_endpoint_has_a_memory_of_its_own(runs: Runs) -> None:
    runs.scenario.write("there.yaml", HOST.replace("here", "there"))
    runs.scenario.declare(POOL + "host: here", POOL.replace("/", "/other-", 1) + "host: there")
    runs.scenario.plan()
    assert {b"1", None} == set(runs.provider.recalled[-2:])
