"""The cache of documents: what is found again, and what is never taken for our own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from provisioner.core import sealed
from provisioner.manifest import cache as module
from provisioner.manifest.cache import DocumentCache
from provisioner.manifest.catalog import SchemaCatalog
from provisioner.manifest.loader import load
from provisioner.manifest.model import Stack
from tests.unit.manifest.stacks import BASE, NETWORK, POOL, Remembered, catalog

MANY = "---\n".join(POOL.replace("images", f"pool-{number}") for number in range(200))


class User:
    """A user with a stack, whose program keeps what it has read."""

    def __init__(self, home: Path) -> None:
        self.stack = home / "stack"
        self.caches = home / "cache" / "provisioner"
        self.secret = home / "state" / "provisioner" / "cache.key"
        self.write("stack.yaml", BASE)

    def write(self, name: str, text: str) -> None:
        self.stack.mkdir(parents=True, exist_ok=True)
        (self.stack / name).write_text(text, encoding="utf-8")

    def cache(self) -> DocumentCache:
        return DocumentCache(self.caches, self.secret, self.stack, catalog())

    def load(self) -> Stack:
        known = self.cache()
        stack = load(self.stack, catalog(), known=known)
        known.save()
        return stack

    @property
    def file(self) -> Path:
        (found,) = self.caches.glob("*.documents")
        return found

    def parsed(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What loading the stack has to parse."""
        texts: list[str] = []
        parser = "provisioner.manifest.yamlstrict._parser"
        real: Callable[[str], Any] = __import__(
            "provisioner.manifest.yamlstrict", fromlist=["_parser"]
        )._parser

        def noting(text: str) -> Any:
            texts.append(text)
            return real(text)

        with monkeypatch.context() as patch:
            patch.setattr(parser, noting)
            self.load()
        return texts


@pytest.fixture
def user(tmp_path: Path) -> User:
    return User(tmp_path)


def test_what_was_read_is_not_parsed_again(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write("lan.yaml", NETWORK)
    assert NETWORK + BASE == "".join(user.parsed(monkeypatch))
    assert [] == user.parsed(monkeypatch)


def test_what_comes_from_the_cache_is_what_was_read(user: User) -> None:
    user.write("lan.yaml", NETWORK)
    assert user.load() == user.load()


def test_an_edit_is_seen(user: User) -> None:
    user.write("lan.yaml", NETWORK)
    user.load()
    user.write("lan.yaml", NETWORK.replace("10.20.0.0", "10.30.0.0"))
    (declaration,) = user.load().declarations.values()
    assert declaration.spec["cidr"] == "10.30.0.0/24"


def test_an_edit_costs_the_documents_around_it_and_not_the_whole_file(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write("pools.yaml", MANY)
    user.load()
    user.write("pools.yaml", MANY.replace("{name: pool-77}", "{name: another-pool}"))
    (text,) = user.parsed(monkeypatch)
    assert "another-pool" in text
    assert text.count("kind:") < 100


def test_a_document_more_shifts_the_others_only(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write("pools.yaml", MANY)
    user.load()
    user.write("pools.yaml", POOL + "---\n" + MANY)
    (text,) = user.parsed(monkeypatch)
    assert text.count("kind:") < 100
    (declaration, *_, last) = user.load().declarations.values()
    assert declaration.source.line == 1
    assert last.source.line == 1 + 201 * POOL.count("\n") + 200 - POOL.count("\n")


def test_it_stands_for_the_schemas_that_it_was_made_with(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.load()
    other = SchemaCatalog.of({"stack.v1.json": catalog().kinds["Stack"].schema})
    assert other.digest != catalog().digest
    known = DocumentCache(user.caches, user.secret, user.stack, other)
    assert [] == known_keys(known)
    assert [] != known_keys(user.cache())


def test_it_stands_for_the_program_that_made_it(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.load()
    monkeypatch.setattr(module, "__version__", "0.0.1")
    assert [] == known_keys(user.cache())


def known_keys(known: DocumentCache) -> list[str]:
    return sorted(known._lines)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "truncated": lambda data: data[: len(data) // 2],
    "altered": lambda data: data.replace(b"10.20.0.0", b"10.66.0.0"),
    "longer": lambda data: data + b"\n0 []",
    "without a seal": lambda data: b"\n" + data.partition(b"\n")[2],
    "noise": lambda _: bytes(range(256)) * 64,
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_file_that_was_altered_is_not_used(user: User, damage: str) -> None:
    user.write("lan.yaml", NETWORK)
    before = user.load()
    user.file.write_bytes(DAMAGES[damage](user.file.read_bytes()))
    assert [] == known_keys(user.cache())
    assert before == user.load()
    assert [] != known_keys(user.cache()), "a new one was written in its place"


def test_a_file_of_another_user_is_not_used(user: User, tmp_path: Path) -> None:
    """A cache that was brought from elsewhere has another secret's seal."""
    user.load()
    other = User(tmp_path / "other")
    other.stack = user.stack
    other.load()
    user.file.write_bytes(other.file.read_bytes())
    assert [] == known_keys(user.cache())


@pytest.mark.parametrize("which", ["file", "secret"])
def test_what_others_could_have_written_is_not_used(user: User, which: str) -> None:
    user.load()
    getattr(user, which).chmod(0o666)
    assert [] == known_keys(user.cache())


def test_a_folder_in_which_others_could_write_gets_no_file(user: User) -> None:
    user.caches.mkdir(parents=True)
    user.caches.chmod(0o777)
    user.load()
    assert [] == list(user.caches.iterdir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_that_belongs_to_somebody_else_is_not_used(user: User) -> None:
    user.load()
    os.chown(user.file, 65534, -1)
    assert [] == known_keys(user.cache())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can have somebody else's home")
def test_in_the_home_of_somebody_else_nothing_is_made(user: User) -> None:
    home = user.stack.parent
    os.chown(home, 65534, -1)
    assert "shop" == user.load().name
    assert ["stack"] == [path.name for path in home.iterdir()]


def test_a_cache_that_cannot_be_touched_is_used_all_the_same(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.load()

    def read_only(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(os, "utime", read_only)
    assert [] != known_keys(user.cache())


def test_a_link_is_not_followed(user: User, tmp_path: Path) -> None:
    user.load()
    file = user.file
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert [] == known_keys(user.cache())


def test_a_pipe_does_not_stop_it(user: User) -> None:
    user.load()
    file = user.file
    file.unlink()
    os.mkfifo(file, 0o600)
    assert [] == known_keys(user.cache())


def test_files_are_for_their_owner_only(user: User) -> None:
    user.load()
    assert [0o600, 0o600] == [path.stat().st_mode & 0o777 for path in (user.file, user.secret)]
    assert [0o700, 0o700] == [
        path.parent.stat().st_mode & 0o777 for path in (user.file, user.secret)
    ]


def test_where_nothing_can_be_written_manifests_are_read_all_the_same(user: User) -> None:
    user.caches.parent.mkdir(parents=True)
    user.caches.write_text("a file in the place of the folder")
    user.secret.parent.parent.mkdir(parents=True)
    user.secret.parent.write_text("here, too")
    assert "shop" == user.load().name
    assert "shop" == user.load().name


def test_a_file_too_large_is_neither_written_nor_read(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.load()
    with monkeypatch.context() as patch:
        patch.setattr(module, "FILE_LIMIT", user.file.stat().st_size - 1)
        assert [] == known_keys(user.cache())
        user.write("lan.yaml", NETWORK)
        before = user.file.read_bytes()
        user.load()
    assert before == user.file.read_bytes()


def test_the_stacks_used_longest_ago_make_room(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[Path, int] = {}
    for number in range(3):
        user.stack = user.stack.with_name(f"stack-{number}")
        user.write("stack.yaml", BASE)
        user.load()
        (path,) = set(user.caches.iterdir()) - sizes.keys()
        sizes[path] = path.stat().st_size
        os.utime(path, (number, number))
    first, second, _ = sizes
    user.stack = user.stack.with_name("stack-0")
    assert [] != known_keys(user.cache()), "the first one is used, and so the youngest now"
    user.stack = user.stack.with_name("stack-3")
    user.write("stack.yaml", BASE)
    monkeypatch.setattr(sealed, "FOLDER_LIMIT", sum(sizes.values()) + 10)
    user.load()
    assert first.exists()
    assert not second.exists()


def test_what_is_no_longer_in_the_stack_goes_with_the_next_change(user: User) -> None:
    user.write("lan.yaml", NETWORK)
    user.load()
    (user.stack / "lan.yaml").unlink()
    user.write("pool.yaml", POOL)
    user.load()
    assert b"10.20.0.0" not in user.file.read_bytes()


def test_what_has_aliases_is_not_kept(user: User) -> None:
    """They count over the whole file, so it has to be read to know whether they are too many."""
    user.write(
        "pool.yaml", POOL.replace("{name: images}", "{name: images, labels: {a: &x b, c: *x}}")
    )
    known = Remembered()
    for _ in range(2):
        (declaration,) = load(user.stack, catalog(), known=known).declarations.values()
        assert {"a": "b", "c": "b"} == declaration.spec["labels"]
    assert [] == [line for line in known.lines.values() if "images" in line]


def test_what_follows_them_is_kept(user: User) -> None:
    first = POOL.replace("{name: images}", "{name: first, labels: {a: &x b, c: *x}}")
    user.write("pools.yaml", first + "---\n" + MANY)
    known = Remembered()
    load(user.stack, catalog(), known=known)
    assert any("pool-199" in line for line in known.lines.values())
