"""What an interrupted run leaves: it is looked at, nothing of it is lost, and nothing else goes."""

from dataclasses import replace

from tests.unit.engine.made import Situation, declared, intent, ours, outline, recorded


def test_a_refresh_that_was_not_settled_is_about_nothing() -> None:
    unsettled = replace(intent("Net/n", "refresh"), detail={})
    assert [] == outline(
        Situation(
            (declared("Net/n"),), (recorded("Net/n"),), {"Net/n": ours("Net/n")}, (unsettled,)
        ).plan()
    )
