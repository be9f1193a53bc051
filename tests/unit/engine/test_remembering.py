"""What sessions remember for later ones: within one run, from run to run, and what is not kept."""

from pathlib import Path

from provisioner.core.redaction import Redactor
from provisioner.core.sealed import SealedFile
from provisioner.core.values import Secret
from provisioner.engine.remembering import EndpointMemory

PASSWORD = Secret('so "secret" a word', "env://PASSWORD")


def memory(home: Path, redactor: Redactor | None = None, limit: int = 10_000) -> EndpointMemory:
    """That of one run."""
    return EndpointMemory(
        SealedFile(home / "cache/file", home / "key", b"test", limit), redactor or Redactor()
    )


def remembered(home: Path, *subjects: str) -> list[bytes | None]:
    """What a later run knows."""
    later = memory(home)
    return [later.recall(subject) for subject in subjects]


def test_a_later_run_knows_what_was_kept(tmp_path: Path) -> None:
    first = memory(tmp_path)
    contents = [bytes(range(256)), b"\n", b"[3, 4]\n5", "\u00fc".encode()]
    subjects = ["vm-1", "two\nlines", "\u00fc \ud800", ""]
    for subject, content in zip(subjects, contents, strict=True):
        first.keep(subject, content)
    assert contents == [first.recall(subject) for subject in subjects]
    assert None is memory(tmp_path).recall("vm-1"), "nothing is written before the end"
    first.save()
    assert [*contents, None] == remembered(tmp_path, *subjects, "other")


def test_what_a_run_did_not_ask_for_stays(tmp_path: Path) -> None:
    for subject in ("a", "b"):
        run = memory(tmp_path)
        run.keep(subject, b"x")
        run.save()
    assert [b"x", b"x"] == remembered(tmp_path, "a", "b")


def test_something_newer_takes_its_place_and_nothing_removes_it(tmp_path: Path) -> None:
    for a, b in ((b"old", b"old"), (b"new", b"")):
        run = memory(tmp_path)
        run.keep("a", a)
        run.keep("b", b)
        run.save()
    assert [b"new", None] == remembered(tmp_path, "a", "b")


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    memory(tmp_path).save()
    assert [] == list(tmp_path.iterdir())
    run = memory(tmp_path)
    run.keep("a", b"x")
    run.save()
    before = (tmp_path / "cache/file").stat().st_ino
    run = memory(tmp_path)
    run.keep("a", run.recall("a") or b"")
    run.save()
    assert before == (tmp_path / "cache/file").stat().st_ino


def test_of_two_runs_at_once_the_last_one_wins(tmp_path: Path) -> None:
    one, other = memory(tmp_path), memory(tmp_path)
    one.keep("a", b"of one")
    other.keep("a", b"of the other")
    one.save()
    other.save()
    assert [b"of the other"] == remembered(tmp_path, "a")


def test_what_was_used_longest_ago_makes_room(tmp_path: Path) -> None:
    run = memory(tmp_path)
    for subject in ("a", "b", "c"):
        run.keep(subject, b"x" * 300)
    run.save()
    run = memory(tmp_path, limit=1_100)
    run.recall("a")
    run.keep("d", b"x" * 300)
    run.keep("too large", b"x" * 2_000)
    run.save()
    assert [True, False, True, True, False] == [
        content is not None for content in remembered(tmp_path, "a", "b", "c", "d", "too large")
    ]


def test_what_holds_a_secret_is_not_kept_whenever_that_was_read(tmp_path: Path) -> None:
    redactor = Redactor()
    run = memory(tmp_path, redactor)
    run.keep("plain", b"x")
    run.keep("told", f"<<{PASSWORD.reveal()}>>".encode())
    run.keep("quoted", rb"""{"annotation": "so \"secret\" a word"}""")
    run.keep(f"about {PASSWORD.reveal()}", b"x")
    redactor.learn(PASSWORD)
    run.save()
    assert [b"x", None, None, None] == remembered(
        tmp_path, "plain", "told", "quoted", f"about {PASSWORD.reveal()}"
    )


def test_what_turns_out_to_hold_a_secret_goes(tmp_path: Path) -> None:
    secret = PASSWORD.reveal().encode()
    run = memory(tmp_path)
    run.keep("a", secret)
    run.save()
    assert [secret] == remembered(tmp_path, "a"), "nobody knew it"
    redactor = Redactor()
    redactor.learn(PASSWORD)
    run = memory(tmp_path, redactor)
    run.keep("a", secret)
    run.save()
    assert [None] == remembered(tmp_path, "a")
