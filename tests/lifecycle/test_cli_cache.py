"""What the program keeps of manifests between two runs."""

from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return home


def kept(home: Path) -> list[str]:
    return sorted(path.relative_to(home).as_posix() for path in home.rglob("*") if path.is_file())


def test_a_run_keeps_what_it_has_read_in_the_users_folders(shop: CommandLine, home: Path) -> None:
    assert 0 == shop("validate").code
    cache, secret = kept(home)
    assert cache.startswith(".cache/provisioner/")
    assert ".local/state/provisioner/cache.key" == secret


def test_where_the_user_has_other_folders_they_are_taken(
    shop: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "one"))
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "two"))
    assert 0 == shop("validate").code
    cache, secret = kept(home)
    assert cache.startswith("one/provisioner/")
    assert "two/provisioner/cache.key" == secret


def test_no_cache_keeps_nothing(shop: CommandLine, home: Path) -> None:
    for command in ("validate", "plan", "apply --yes", "drift", "graph", "show", "destroy --yes"):
        assert 0 == shop(*command.split(), "--no-cache").code
    assert [] == kept(home)


def test_a_user_without_a_home_is_served_all_the_same(
    shop: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HOME")
    assert 0 == shop("validate").code
    assert [] == kept(home)


def test_state_commands_read_no_manifests_and_keep_none(shop: CommandLine, home: Path) -> None:
    assert 0 == shop("apply", "--yes", "--no-cache").code
    assert 0 == shop("state", "list").code
    assert [] == kept(home)


def test_an_edit_is_seen_by_the_next_run(shop: CommandLine, home: Path) -> None:
    assert 0 == shop("apply", "--yes").code
    (path,) = [path for path in shop.root.glob("*.yaml") if "count: 1" in path.read_text()]
    path.write_text(path.read_text().replace("count: 1", "count: 2"), encoding="utf-8")
    assert 2 == shop("plan", "--detailed-exitcode").code
