"""The journal: its file, who may write it, what it says to others, and what is wrong with one."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from provisioner.core.diagnostics import Diagnostic, ProvisionerError
from provisioner.workflows.journal import Journal, Note
from provisioner.workflows.refusals import Ways
from provisioner.workflows.runs import Outcome, RunRecord, TaskState, What
from tests.unit.workflows.acting import far_away, runbook, task, whats

ROOT = Path(__file__).resolve().parents[3]
PLAN = runbook(task("a"), task("b", "a"))
WAYS = Ways(
    "go on with `resume`",
    "end it with `cancel`",
    "`take over`",
    "`status`",
    "`clear away`",
    "`end unseen`",
    "`clear away unseen`",
    "`fail over`",
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "dr" / "shop.db"


def refusal(call: Callable[[], object]) -> Diagnostic:
    with pytest.raises(ProvisionerError) as refused:
        call()
    return refused.value.diagnostics[0]


def died(path: Path) -> RunRecord:
    """A run whose process has ended in the middle of its first task."""
    script = (
        "import sys; from pathlib import Path;"
        "from tests.unit.workflows.test_journal import PLAN;"
        "from provisioner.workflows.journal import Journal, Note;"
        "from provisioner.workflows.runs import What;"
        "journal = Journal(Path(sys.argv[1])); run = journal.begin(PLAN, 'ann').id;"
        "journal.write(run, [Note(What.BEGUN, 'a', 'act')])"
    )
    subprocess.run([sys.executable, "-c", script, path], check=True, timeout=60, cwd=ROOT)
    found = Journal(path).last()
    assert found is not None
    return found


def elsewhere(path: Path) -> RunRecord:
    """A run that a process of another machine carries out."""
    run = Journal(path).begin(PLAN, "ann")
    far_away(path)
    return run


def test_it_is_for_its_user_alone(path: Path) -> None:
    journal = Journal(path)
    journal.begin(PLAN, "ann")
    modes = {item.name: item.stat().st_mode & 0o777 for item in path.parent.iterdir()}
    assert {"shop.db": 0o600} == modes
    assert 0o700 == path.parent.stat().st_mode & 0o777


def test_reading_makes_nothing(path: Path) -> None:
    journal = Journal(path)
    assert ([], None, [], []) == (
        journal.runs(),
        journal.last(),
        journal.entries("x"),
        journal.samples("test", 5),
    )
    assert "PRV7003" == refusal(lambda: journal.run("x")).code
    assert not path.parent.exists()


def test_others_read_while_it_is_written(path: Path) -> None:
    writer, reader = Journal(path), Journal(path)
    run = writer.begin(PLAN, "ann").id
    writer.write(run, [Note(What.BEGUN, "a", "act")])
    first = reader.entries(run)
    assert [What.CARRIED, What.BEGUN] == [entry.what for entry in first]
    writer.write(run, [Note(What.DONE, "a", "act", 2.5, {"result": {"n": 1}})])
    (entry,) = reader.entries(run, after=first[-1].sequence)
    assert (What.DONE, 2.5, {"result": {"n": 1}}) == (entry.what, entry.seconds, entry.detail)
    found = reader.run(run)
    assert ({"a": What.DONE, "b": None}, None) == (whats(found), found.seconds)
    writer.end(run, Outcome.CANCELLED, [Note(What.SKIPPED, "b", "act")])
    found = reader.run(run)
    assert (PLAN, Outcome.CANCELLED) == (found.runbook, found.record.outcome)
    assert TaskState("b", What.SKIPPED, sequence=4) == found.tasks["b"]


def test_notes_are_written_all_or_none(path: Path) -> None:
    journal = Journal(path)
    run = journal.begin(PLAN, "ann").id
    with pytest.raises(TypeError):
        journal.write(run, [Note(What.BEGUN, "a"), Note(What.DONE, "a", detail={"x": object()})])
    assert {"a": None, "b": None} == whats(journal.run(run))


def test_the_same_runbook_is_kept_once(path: Path) -> None:
    journal = Journal(path)
    for _ in range(3):
        journal.end(journal.begin(PLAN, "ann").id, Outcome.SUCCEEDED)
    with closing(sqlite3.connect(path)) as connection:
        assert (1,) == connection.execute("SELECT count(*) FROM runbooks").fetchone()
    assert 3 == len({run.id for run in journal.runs()})


def test_a_second_run_is_refused_with_who_and_when_and_what_to_do(path: Path) -> None:
    run = Journal(path).begin(PLAN, "ann")
    said = refusal(lambda: Journal(path, ways=WAYS).begin(PLAN, "bob"))
    assert "PRV7001" == said.code
    assert (
        f"the drill of plan that ann began at {run.started:%Y-%m-%d %H:%M:%S} (UTC) is under way"
        == said.summary
    )
    assert f"(process {os.getpid()})" in said.detail
    assert all(way in said.hint for way in WAYS[:2])


def test_a_run_whose_process_died_holds_up_others_until_it_is_gone_on_with(path: Path) -> None:
    run = died(path)
    journal = Journal(path, ways=WAYS)
    assert journal.is_orphaned(run.id)
    said = refusal(lambda: journal.begin(PLAN, "bob"))
    assert ("PRV7001", True) == (said.code, "was interrupted" in said.summary)
    assert all(way in said.hint for way in WAYS[:2])
    resumed = journal.resume("bob")
    journal.write(run.id, [Note(What.BEGUN, "a", "act"), Note(What.DONE, "a", "act")])
    assert {"a": 2, "b": 0} == {
        name: state.beginnings for name, state in journal.run(run.id).tasks.items()
    }
    assert (run.id, "bob", os.getpid()) == (
        resumed.id,
        resumed.carrier.actor,
        resumed.carrier.pid,
    )
    assert ["ann", "bob"] == [carrier.actor for carrier in journal.run(run.id).carriers]


def test_a_run_whose_process_died_is_cancelled_at_once(path: Path) -> None:
    run = died(path)
    journal = Journal(path)
    assert Outcome.CANCELLED is journal.cancel("bob").outcome
    found = journal.run(run.id)
    assert {"a": What.BEGUN, "b": None} == whats(found)
    assert ["bob"] == [entry.actor for entry in found.cancellations]


def test_a_run_that_has_ended_is_given_up_once_and_until_somebody_goes_on(path: Path) -> None:
    journal = Journal(path)
    run = died(path)
    journal.cancel("bob")
    assert not journal.run(run.id).given_up
    assert Outcome.CANCELLED is journal.cancel("bob").outcome
    assert journal.run(run.id).given_up
    assert "PRV7004" == refusal(lambda: journal.cancel("bob")).code
    journal.resume("ann")
    journal.end(run.id, Outcome.IN_PART)
    assert not journal.run(run.id).given_up
    journal.begin(PLAN, "bob")


@pytest.mark.parametrize(
    ("mode", "ways"),
    [
        ("test", {WAYS.resume, WAYS.cancel, WAYS.clear}),
        ("migrate", {WAYS.resume, WAYS.cancel}),
    ],
)
def test_an_interrupted_drill_may_be_cleared_away(path: Path, mode: str, ways: set[str]) -> None:
    journal = Journal(path, ways=WAYS)
    journal.leave(journal.begin(runbook(task("a"), mode=mode), "ann").id)
    said = refusal(lambda: journal.begin(PLAN, "bob"))
    assert ways == {way for way in WAYS if way in said.hint}


@pytest.mark.parametrize(
    ("mode", "ways"),
    [
        ("test", {WAYS.clear_unseen, WAYS.fail_over}),
        ("cleanup", {WAYS.clear_unseen, WAYS.fail_over}),
        ("migrate", set()),
    ],
)
def test_who_cannot_see_whether_a_run_lives_is_told_what_consent_allows(
    path: Path, mode: str, ways: set[str]
) -> None:
    journal = Journal(path, ways=WAYS)
    journal.begin(runbook(task("a"), mode=mode), "ann")
    far_away(path)
    said = refusal(lambda: journal.begin(PLAN, "bob"))
    assert ("PRV7001", True) == (said.code, "Whether that lives cannot be seen" in said.detail)
    always = {WAYS.cancel, WAYS.take_over, WAYS.end_unseen}
    assert always | ways == {way for way in WAYS if way in said.hint}


def test_a_roll_back_ends_the_run_whose_process_died(path: Path) -> None:
    run = died(path)
    journal = Journal(path)
    undo = journal.begin(runbook(task("z"), mode="undo"), "bob", undoes=run.id)
    assert (run.id, Outcome.CANCELLED) == (undo.undoes, journal.run(run.id).record.outcome)


def test_a_roll_back_does_not_end_a_run_that_is_under_way(path: Path) -> None:
    journal = Journal(path)
    run = journal.begin(PLAN, "ann").id
    said = refusal(lambda: journal.begin(runbook(task("z"), mode="undo"), "bob", undoes=run))
    assert "PRV7001" == said.code


@pytest.mark.parametrize("consent", [False, True])
def test_a_process_of_another_machine_is_only_taken_for_dead_with_consent(
    path: Path, *, consent: bool
) -> None:
    elsewhere(path)
    journal = Journal(path, ways=WAYS)
    if not consent:
        said = refusal(lambda: journal.resume("bob"))
        assert "PRV7002" == said.code
        assert (True, True) == (WAYS.cancel in said.hint, WAYS.take_over in said.hint)
        assert f"it is the file {path}, and {path}-journal" in said.detail
        assert journal.cancel("bob").is_open
    else:
        assert "bob" == journal.resume("bob", consent=True).carrier.actor


def test_it_is_ended_with_consent_wherever_its_process_is(path: Path) -> None:
    elsewhere(path)
    assert Outcome.CANCELLED is Journal(path).cancel("bob", consent=True).outcome


def test_no_consent_takes_a_run_from_a_process_that_is_seen_to_live(path: Path) -> None:
    run = Journal(path).begin(PLAN, "ann")
    journal = Journal(path, ways=WAYS)
    said = refusal(lambda: journal.resume("bob", consent=True))
    assert ("PRV7002", True) == (said.code, f"in process {os.getpid()}" in said.summary)
    assert all(way in said.hint for way in (WAYS.status, WAYS.cancel, WAYS.resume))
    assert journal.cancel("bob", consent=True).is_open
    assert "ann" == journal.run(run.id).carriers[-1].actor


def test_what_is_to_be_known_of_a_run_is_noted_with_whoever_carries_it_out(path: Path) -> None:
    first = Journal(path, notices=["the plan is old"])
    run = first.begin(PLAN, "ann").id
    first.leave(run)
    found = Journal(path)
    found.resume("bob")
    assert [("the plan is old",), ()] == [item.notices for item in found.run(run).carriers]


def test_one_file_is_the_whole_journal_after_each_write(path: Path, tmp_path: Path) -> None:
    journal = Journal(path)
    run = journal.begin(PLAN, "ann").id
    for number, what in enumerate((What.BEGUN, What.DONE, What.FAILED)):
        journal.write(run, [Note(what, "a", "act")] if number < 2 else [Note(What.BEGUN, "b")])
        copy = tmp_path / f"copy-{number}.db"
        shutil.copyfile(path, copy)
        assert journal.entries(run) == Journal(copy).entries(run)
    assert [path.name] == [item.name for item in path.parent.iterdir()]


def test_one_file_is_what_a_killed_process_leaves(path: Path, tmp_path: Path) -> None:
    run = died(path).id
    copy = tmp_path / "copy.db"
    shutil.copyfile(path, copy)
    assert {"a": What.BEGUN, "b": None} == whats(Journal(copy).run(run))


def test_a_write_that_was_cut_short_is_taken_back_where_both_files_are(
    path: Path, tmp_path: Path
) -> None:
    journal = Journal(path)
    run = journal.begin(PLAN, "ann").id
    journal.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")  # pages go to the file before the commit
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO log SELECT NULL, ?, 'done', 'a', 'act', '', '', 1.0, hex(i) FROM n",
            (run,),
        )
        copies = [path.name, path.name + "-journal"]
        for name in copies:
            shutil.copyfile(path.parent / name, tmp_path / name)
        connection.execute("ROLLBACK")
    assert (tmp_path / copies[1]).stat().st_size
    assert {"a": None, "b": None} == whats(Journal(tmp_path / path.name).run(run))


def test_a_journal_of_an_earlier_version_becomes_one_file(path: Path) -> None:
    run = died(path).id
    with closing(sqlite3.connect(path)) as connection:
        assert ("wal",) == connection.execute("PRAGMA journal_mode = WAL").fetchone()
        journal = Journal(path)
        journal.resume("bob")  # while somebody reads it in the way of that version
        journal.write(run, [Note(What.DONE, "a", "act")])
        journal.close()
    again = Journal(path)
    again.cancel("bob")
    assert [path.name] == [item.name for item in path.parent.iterdir()]
    assert What.DONE is Journal(path).run(run).tasks["a"].what


def test_who_lost_a_run_writes_nothing_more(path: Path) -> None:
    first, second = Journal(path), Journal(path)
    run = first.begin(PLAN, "ann").id
    far_away(path)
    second.resume("bob", consent=True)
    said = refusal(lambda: first.write(run, [Note(What.BEGUN, "a", "act")]))
    assert ("PRV7006", True) == (said.code, "Carried out by bob" in said.detail)
    assert "PRV7006" == refusal(lambda: first.end(run, Outcome.SUCCEEDED)).code
    first.leave(run)
    assert not second.is_orphaned(run)


def test_whoever_gives_a_run_up_lets_others_go_on(path: Path) -> None:
    first = Journal(path)
    first.leave(first.begin(PLAN, "ann").id)
    assert "bob" == Journal(path).resume("bob").carrier.actor


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("PRAGMA application_id = 7", "PRV7007"),
        ("PRAGMA user_version = 99", "PRV7008"),
        ("DROP TABLE log", "PRV7007"),
        ("UPDATE runbooks SET document = x'00'", "PRV7007"),
        ("UPDATE log SET detail = '{'", "PRV7007"),
    ],
)
@pytest.mark.parametrize("writing", [False, True])
def test_what_is_not_what_was_written_is_refused(
    path: Path, what: str, code: str, *, writing: bool
) -> None:
    journal = Journal(path)
    run = journal.begin(PLAN, "ann").id
    journal.close()
    far_away(path)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(what)
    again = Journal(path)

    def use() -> None:
        if writing:
            again.resume("bob", consent=True)
        again.run(run)

    assert code == refusal(use).code


@pytest.mark.parametrize(
    "content", [b"no database at all, and long enough to be seen as none" * 20]
)
def test_another_file_is_refused(path: Path, content: bytes) -> None:
    path.parent.mkdir()
    path.write_bytes(content)
    found: Sequence[str] = [
        refusal(call).code
        for call in (Journal(path).last, lambda: Journal(path).begin(PLAN, "ann"))
    ]
    assert ["PRV7007", "PRV7007"] == found
    assert content == path.read_bytes()


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = refusal(lambda: Journal(tmp_path / "file" / "shop.db").begin(PLAN, "ann"))
    assert "PRV7009" == said.code
