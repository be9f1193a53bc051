"""Whatever is recorded, declared, asked for and goes wrong: the records hold together, what belongs
to others is left alone, and a run without faults brings everything to what is declared.

After the fuzzing of Pulumi's engine (pkg/engine/lifecycletest/fuzzing): random state, stack,
provider and operation. A failure prints the case as a test. ``--slow`` tries others, more of them,
and makes the case that fails as small as it can.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, note, settings

from tests.fuzz import trial
from tests.fuzz.cases import Case, as_test, cases, printed_tests
from tests.fuzz.trial import check

CHECKS = list(HealthCheck)
QUICK = settings(
    derandomize=True,
    database=None,
    max_examples=70,
    suppress_health_check=CHECKS,
    # Making a failure smaller can take minutes.
    phases=[Phase.generate],
)
CHANGES = 15
"""Operations that change an object, at least, among the quick cases: many are refused, and where
they all are nothing is tested. Another text of ``hold`` makes other cases.
"""


def hold(case: Case) -> None:
    """Check a case and note it, should it fail."""
    note(as_test(case))
    check(case)


def told(trial: Callable[[], None]) -> None:
    """Try cases; of one that fails, its test stands in the output, to be copied as it is."""
    try:
        trial()
    except BaseException as problem:
        sys.stdout.write("\n\n".join(printed_tests(problem)))
        raise


def test_every_run_is_sound_and_the_last_one_converges(monkeypatch: pytest.MonkeyPatch) -> None:
    changes: list[int] = []
    monkeypatch.setattr(f"{__name__}.check", lambda case: changes.append(trial.check(case)))
    told(QUICK(given(cases())(hold)))
    assert sum(changes) >= CHANGES


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_at_length() -> None:
    told(settings(suppress_health_check=CHECKS)(given(cases())(hold)))
