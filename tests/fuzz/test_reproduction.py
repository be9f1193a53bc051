"""A case that fails is printed as a test, and that test fails in the same way."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings

from provisioner.engine.records import Records
from provisioner.state.ledger import Transaction
from tests.fuzz.cases import Case, as_test, cases
from tests.fuzz.test_lifecycle import QUICK, hold, told
from tests.fuzz.trial import check


def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that does not write down what it has deleted."""
    settle = Records.settle

    def broken(self: Records, *arguments: object, **entries: object) -> None:
        settle(self, *arguments, **{**entries, "remove": ()})  # type: ignore[arg-type]

    monkeypatch.setattr(Records, "settle", broken)


def careless(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that writes entries without their place in the ledger."""

    def broken(transaction: Transaction, table: str, key: str) -> None:
        transaction.connection.execute(f"DELETE FROM {table} WHERE address = ?", (key,))

    monkeypatch.setattr(Transaction, "drop", broken)


def run(module: str) -> None:
    names: dict[str, Callable[[], None]] = {}
    exec(compile(module, "test_pasted.py", "exec"), names)
    names["test_found_by_fuzzing"]()


def without_folder(problem: BaseException) -> str:
    """What it says, but for the folder, which is another one each time."""
    return re.sub(r"estate-\w+", "estate", str(problem))


@pytest.mark.parametrize("defect", [forgetful, careless])
def test_it_fails_as_the_case_did(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    defect: Callable[[pytest.MonkeyPatch], None],
) -> None:
    with monkeypatch.context() as broken:
        defect(broken)
        with pytest.raises(Exception) as found:  # noqa: PT011 - whatever the defect leads to
            told(QUICK(given(cases())(hold)))
        module = capsys.readouterr().out
        with pytest.raises(found.type) as again:
            run(module)
    assert without_folder(found.value) == without_folder(again.value)
    run(module)  # without the defect it passes


@settings(derandomize=True, database=None, max_examples=20, suppress_health_check=list(HealthCheck))
@given(cases())
def test_the_printed_case_is_the_same(case: Case) -> None:
    names: dict[str, object] = {}
    checked: list[Case] = []
    module = as_test(case).replace(f"from {check.__module__} import check\n", "")
    names["check"] = checked.append
    exec(module, names)
    names["test_found_by_fuzzing"]()  # type: ignore[operator]
    assert [case] == checked
