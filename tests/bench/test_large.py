"""The table of shares of a large stack, on the smallest that there is."""

from tests.bench import large
from tests.bench.shares import PARTS, REST


def test_every_command_is_taken_apart() -> None:
    shares = large.take_apart(5, lambda _: None)
    heading, *rows = large.share_rows(shares)
    assert ("share of CPU time, %", *large.COMMANDS) == heading
    assert [*PARTS.values(), REST] == [row[0] for row in rows]
    for column in range(1, len(heading)):
        assert 95 <= sum(int(row[column]) for row in rows) <= 105
