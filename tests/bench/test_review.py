"""The fleet whose plan is rendered: of the size that the goal speaks of, and measured in all
forms."""

from pathlib import Path

from tests.bench import fleet, review


def test_a_thousand_machines_are_some_four_thousand_resources() -> None:
    kinds = [manifest["kind"] for manifest in fleet.resources(review.MACHINES)]
    assert (1_000, 4_025) == (kinds.count("VirtualMachine"), len(kinds))


def test_the_same_number_gives_the_same_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        fleet.write(tmp_path / name, 60)
    one, two = (
        {path.name: path.read_bytes() for path in (tmp_path / name).iterdir()}
        for name in ("one", "two")
    )
    assert one == two


def test_every_form_is_measured() -> None:
    samples = review.measure(1, lambda _: None, machines=2)
    assert list(review.FORMS) == [phase for phase, _ in samples]
