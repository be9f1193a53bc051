"""Plan files: written, carried out as they are, refused when altered or out of place."""

import json
from pathlib import Path

import pytest

from tests.lifecycle.commandline import CommandLine


def test_a_plan_file_is_carried_out_without_a_question(shop: CommandLine) -> None:
    planned = shop("plan", "-o", "first.plan")
    assert "provisioner apply first.plan" in planned.err
    assert 0o600 == (shop.root / "first.plan").stat().st_mode & 0o777
    assert 0 == shop("apply", "first.plan").code
    assert 4 == len(shop.objects())


def test_of_a_plan_that_is_refused_no_apply_is_proposed(shop: CommandLine) -> None:
    shop("apply", "--yes")
    planned = shop("plan", "--destroy", "--max-impact", "none", "-o", "first.plan")
    assert "Written to first.plan. It can be shown and compared" in planned.err
    assert "PRV3002" in shop("apply", "first.plan").err


def test_it_does_exactly_what_was_planned(shop: CommandLine) -> None:
    """Manifests edited after the plan was made do not matter."""
    shop("plan", "-o", "first.plan")
    shop.write("resources.yaml", "not: [a manifest\n")
    assert 0 == shop("apply", "first.plan").code
    assert 4 == len(shop.objects())


def test_show_needs_no_endpoint(shop: CommandLine) -> None:
    planned = shop("plan", "-o", "first.plan")
    shop.faults({"call": "open", "effect": "terminal", "times": 0})
    shown = shop("show", "first.plan")
    assert (0, planned.out) == (shown.code, shown.out)


def test_an_altered_file_is_refused(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    path = shop.root / "first.plan"
    path.write_text(path.read_text().replace('"cidr":"10.0.0.0/24"', '"cidr":"10.9.0.0/24"'))
    refused = shop("apply", "first.plan")
    assert (1, True) == (refused.code, "PRV2023" in refused.err)
    assert [] == shop.objects()


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"format": "provisioner.plan/1"}'])
def test_what_is_no_plan_file_is_refused(shop: CommandLine, text: str) -> None:
    shop.write("x.plan", text + "\n")
    refused = shop("apply", "x.plan")
    assert 1 == refused.code
    assert "PRV202" in refused.err


def test_options_of_plan_do_not_go_with_a_file(shop: CommandLine) -> None:
    shop("plan", "-o", "first.plan")
    refused = shop("apply", "first.plan", "--target", "Disk/*")
    assert (1, True) == (refused.code, "PRV6001" in refused.err)


def test_from_another_folder(
    shop: CommandLine, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop("plan", "-o", "first.plan")
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    lost = shop("apply", shop.root / "first.plan")
    assert (1, True) == (lost.code, "PRV6004" in lost.err)
    assert [] == list(elsewhere.iterdir())
    assert 0 == shop("apply", shop.root / "first.plan", "--stack", shop.root).code


def test_a_file_that_cannot_be_written(shop: CommandLine) -> None:
    failed = shop("plan", "-o", Path("no", "such", "folder", "x.plan"))
    assert (1, True) == (failed.code, "PRV2020" in failed.err)


def test_json_of_a_plan_is_documented_data(shop: CommandLine) -> None:
    document = shop("plan", "--json").json
    assert {"provisioner.plan-view/1", "test"} == {document["format"], document["stack"]}
    assert {"create": 4} == document["counts"]
    assert [] == document["refused"]
    assert document == json.loads(json.dumps(document))


def test_what_is_shown_as_json_is_no_plan_file(shop: CommandLine) -> None:
    shop.write("shown.json", shop("plan", "--json").out)
    refused = shop("apply", "shown.json")
    assert (1, True) == (refused.code, "provisioner.plan-view/1" in refused.err)


def test_the_same_inputs_give_the_same_id(shop: CommandLine) -> None:
    """Once there is a record: before that each plan would make other objects."""
    ids = {shop("plan", "--json").json["id"] for _ in range(2)}
    shop("plan", "-o", "first.plan")
    kept = {shop("plan", "--json").json["id"] for _ in range(2)}
    assert (2, 1) == (len(ids), len(kept))
    assert kept == {shop("show", "first.plan", "--json").json["id"]}
