"""Plan files: what is written is what is read, and nothing else is taken for a plan."""

import json
import os
import stat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provisioner.core.actions import Action, Impact
from provisioner.core.address import Address
from provisioner.core.diagnostics import Diagnostic, ProvisionerError, Severity, SourceRange
from provisioner.core.values import digest
from provisioner.engine.plan import Counterpart, Known, Plan, RestartPending, Step
from provisioner.engine.planfile import FORMAT, MAX_BYTES, plan_json, read, sealed, write
from provisioner.providers.api import Change
from provisioner.state.model import EndpointRecord
from tests.unit.engine.made import Situation, declared

# Every plan that can be, and some that cannot

WORDS = st.text(max_size=12)
NAMES = st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,10}[a-z0-9])?", fullmatch=True)
COUNTS = st.integers(0, 2**53)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
OBJECTS = st.dictionaries(WORDS, JSON, max_size=3)
ADDRESSES = st.builds(Address, st.sampled_from(["Disk", "Vm"]), NAMES)
PATHS = st.lists(WORDS, min_size=1, max_size=3).map(tuple)
IMPACTS = st.sampled_from(Impact)


def several(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(of, max_size=2).map(tuple)


KNOWN = st.builds(
    Known,
    address=ADDRESSES,
    endpoint=NAMES,
    name=NAMES,
    uid=st.uuids().map(str),
    generation=COUNTS,
    spec=OBJECTS,
    external_id=st.none() | WORDS,
    outputs=OBJECTS,
    dependencies=several(ADDRESSES),
    protect=st.booleans(),
)
CHANGES = st.builds(
    Change, path=PATHS, before=JSON, after=JSON, impact=IMPACTS, reason=WORDS
) | st.builds(
    Change,
    path=PATHS,
    before=JSON,
    after=JSON,
    impact=IMPACTS,
    reason=WORDS,
    running=JSON,
    differs_running=st.just(True),  # noqa: FBT003 - what the strategy draws
    pending=st.booleans(),
)
STEPS = st.builds(
    Step,
    id=WORDS,
    action=st.sampled_from(Action),
    known=KNOWN,
    fingerprint=WORDS,
    changes=several(CHANGES),
    impact=IMPACTS,
    reason=WORDS,
    depends_on=several(WORDS),
    restart=st.booleans(),
    deferred=several(PATHS),
    prior_serial=COUNTS,
    previous=st.none() | KNOWN,
    replace_order=st.sampled_from([None, "create-first", "delete-first"]),
    held=st.none() | WORDS,
)
SOURCES = st.builds(SourceRange, WORDS, COUNTS, COUNTS, st.just(""), st.just(1))
WARNINGS = st.builds(
    Diagnostic,
    severity=st.sampled_from(Severity),
    code=WORDS,
    summary=WORDS,
    detail=WORDS,
    source=st.none() | SOURCES,
    hint=WORDS,
    address=st.none() | WORDS,
    related=several(SOURCES),
)
ENDPOINTS = st.dictionaries(NAMES, st.tuples(WORDS, OBJECTS), max_size=2).map(
    lambda records: {name: EndpointRecord(name, *record) for name, record in records.items()}
)
PLANS = st.builds(
    Plan,
    stack=NAMES,
    environment=st.none() | NAMES,
    lineage=st.uuids().map(str),
    serial=COUNTS,
    destroy=st.booleans(),
    created_at=WORDS,
    tool_version=WORDS,
    providers=st.dictionaries(NAMES, WORDS, max_size=2),
    schemas=WORDS,
    max_impact=IMPACTS,
    steps=several(STEPS),
    held=several(STEPS),
    pending=several(st.builds(RestartPending, ADDRESSES, PATHS, JSON, JSON, WORDS)),
    refresh=several(KNOWN),
    context=several(KNOWN),
    endpoints=ENDPOINTS,
    consents=several(ADDRESSES),
    selection=st.dictionaries(WORDS, several(WORDS), max_size=2),
    interrupted=st.dictionaries(WORDS, several(COUNTS), max_size=2),
    unchanged=COUNTS,
    warnings=several(WARNINGS),
    counterparts=several(
        st.builds(
            Counterpart,
            address=ADDRESSES,
            known=KNOWN,
            site=NAMES,
            hosts=several(NAMES),
            is_new=st.booleans(),
            runs_here=st.booleans(),
        )
    ),
    trusted_sites=several(NAMES),
)


@settings(max_examples=60)
@given(PLANS)
def test_what_is_read_is_what_was_written(made: Plan) -> None:
    plan = sealed(made)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "made.plan"
        write(plan, path)
        found = read(path)
    assert plan == found
    assert plan == sealed(found)


@settings(max_examples=60)
@given(PLANS, st.data())
def test_no_part_of_a_plan_can_be_altered(made: Plan, data: st.DataObject) -> None:
    """Whichever value is replaced by another one, the digest does not fit any more."""
    document = plan_json(sealed(made))
    claimed = document.pop("digest")
    key = data.draw(st.sampled_from(sorted(document)))
    other = data.draw(JSON.filter(lambda value: digest(value) != digest(document[key])))
    assert claimed == digest(document)
    assert claimed != digest({**document, key: other})


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The file of a small plan."""
    path = tmp_path / "small.plan"
    write(Situation((declared("Net/n", {"mtu": 1500}),)).plan(), path)
    return path


def refusal(path: Path) -> Diagnostic:
    with pytest.raises(ProvisionerError) as caught:
        read(path)
    (problem,) = caught.value.diagnostics
    return problem


def with_digest(document: dict[str, Any]) -> str:
    """A document with a digest that fits it."""
    rest = {key: value for key, value in document.items() if key != "digest"}
    return json.dumps({**rest, "digest": digest(rest)})


# Writing


def test_only_its_owner_can_read_a_plan(written: Path) -> None:
    assert 0o600 == stat.S_IMODE(written.stat().st_mode)
    assert [written] == list(written.parent.iterdir())


def test_an_older_plan_is_replaced(written: Path) -> None:
    written.chmod(0o644)
    plan = Situation((declared("Net/other"),)).plan()
    write(plan, written)
    assert plan == read(written)
    assert 0o600 == stat.S_IMODE(written.stat().st_mode)


def test_a_plan_that_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "small.plan"
    folder.mkdir()
    with pytest.raises(ProvisionerError) as caught:
        write(Situation().plan(), folder)
    assert ["PRV2020"] == [problem.code for problem in caught.value.diagnostics]
    assert [folder] == list(tmp_path.iterdir())


def test_a_link_stays_and_what_it_leads_to_is_replaced(written: Path) -> None:
    link = written.with_name("link.plan")
    link.symlink_to(written)
    plan = Situation((declared("Net/other"),)).plan()
    write(plan, link)
    assert (True, plan) == (link.is_symlink(), read(written))


@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_file_is_not_replaced(tmp_path: Path, linked: bool) -> None:
    """As root, the way to a device."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    path = tmp_path / "small.plan" if linked else pipe
    if linked:
        path.symlink_to(pipe)
    with pytest.raises(ProvisionerError, match="PRV2020"):
        write(Situation().plan(), path)
    assert pipe.is_fifo()


def test_nothing_is_written_through_a_link_in_the_way(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("kept", encoding="utf-8")
    (tmp_path / f".small.plan.{os.getpid()}").symlink_to(precious)
    write(Situation().plan(), tmp_path / "small.plan")
    assert "kept" == precious.read_text(encoding="utf-8")


# Reading


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    assert "PRV2021" == refusal(tmp_path / "none.plan").code


def test_an_altered_plan(written: Path) -> None:
    text = written.read_text(encoding="utf-8")
    assert '"mtu":1500' in text
    written.write_text(text.replace('"mtu":1500', '"mtu":1501'), encoding="utf-8")
    problem = refusal(written)
    assert ("PRV2023", f"the plan file {written} was altered after it was made") == (
        problem.code,
        problem.summary,
    )


def test_an_altered_plan_whose_digest_was_made_to_fit(written: Path) -> None:
    """People compare ids: what a plan does is not changed under its id."""
    document = json.loads(written.read_text(encoding="utf-8"))
    document["steps"][0]["resource"]["spec"]["mtu"] = 1501
    written.write_text(with_digest(document), encoding="utf-8")
    problem = refusal(written)
    assert ("PRV2023", "Its content does not fit its id.") == (problem.code, problem.detail)


def test_a_plan_of_an_older_version_says_what_it_lacks(written: Path) -> None:
    document = json.loads(written.read_text(encoding="utf-8"))
    del document["id"]
    written.write_text(with_digest(document), encoding="utf-8")
    problem = refusal(written)
    assert ("PRV2022", "it lacks the key 'id': another version of the program made it") == (
        problem.code,
        problem.detail,
    )


def test_another_order_of_keys_and_other_spaces_are_no_alteration(written: Path) -> None:
    plan = read(written)
    document = json.loads(written.read_text(encoding="utf-8"))
    text = json.dumps(dict(reversed(document.items())), indent=4)
    written.write_text(text, encoding="utf-8")
    assert plan == read(written)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_a_truncated_plan(written: Path, share: float) -> None:
    data = written.read_bytes()
    written.write_bytes(data[: int(len(data) * share)])
    assert "PRV2022" == refusal(written).code


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "null",
        '"plan"',
        "{}",
        '{"format":"provisioner.plan/2"}',
        f'{{"format":"{FORMAT}","serial":NaN}}',
        f'{{"format":"{FORMAT}","stack":"\\ud800"}}',
        "[" * 100_000,
        with_digest({"format": FORMAT}),
        with_digest({"format": FORMAT, "steps": 5}),
    ],
)
def test_what_is_no_plan(tmp_path: Path, text: str) -> None:
    path = tmp_path / "no.plan"
    path.write_text(text, encoding="utf-8")
    assert "PRV2022" == refusal(path).code


def test_what_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "no.plan"
    path.write_bytes(b'{"format":"\xff"}')
    assert "PRV2022" == refusal(path).code


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("steps", 5),
        ("steps", [5]),
        ("endpoints", []),
        ("selection", []),
        ("interrupted", [1]),
        ("pending", [{}]),
        ("maxImpact", "worst"),
        ("context", None),
        ("consents", [5]),
    ],
)
def test_a_part_of_another_form_is_no_plan(written: Path, key: str, value: Any) -> None:
    """Made by another program, with a digest that fits."""
    document = json.loads(written.read_text(encoding="utf-8"))
    written.write_text(with_digest({**document, key: value}), encoding="utf-8")
    assert "PRV2022" == refusal(written).code


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "large.plan"
    path.touch()
    os.truncate(path, MAX_BYTES + 1)
    problem = refusal(path)
    assert ("PRV2022", f"it is larger than {MAX_BYTES} bytes") == (problem.code, problem.detail)
